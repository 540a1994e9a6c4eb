"""The audio interface as the rest of buscomp sees it: full duplex, on one clock, one unbroken stream."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from ..manifests.pcm import Float32


@dataclass(frozen=True)
class Recording:
    """What came back while something was sent."""

    audio: Float32  # (frames, inputs): frame n was recorded while frame n of the send was played
    xrun_frames: tuple[int, ...] = ()  # where the driver raised a flag: a suspicion, not yet a fault
    stream_frame: int = 0  # number of its first frame in the unbroken stream; a new stream starts at 0 again
    started_at: datetime | None = None  # UTC, when its first frame was played; None where no clock is kept
    elapsed_s: float = 0.0  # from its first to its last sample, on the monotonic clock


class Interface(Protocol):
    """One open stream. What is sent and what returns share one clock, frame for frame."""

    name: str  # as the system names it
    host_api: str
    sample_rate: int  # Hz
    block_size: int  # frames per callback

    def play(self, send: Float32) -> None:
        """Queue `send` (frames, outputs). It begins in the very frame after the send that was queued before it, or as
        soon as possible. At most two sends may be queued or not yet fetched by `record`. `DeviceError` when the device
        died; the interface is of no use then."""

    def record(self) -> Recording:
        """What came back during the oldest send that was not fetched yet; waits for its end. Between sends the stream
        goes on with silence. `DeviceError` when the device died."""

    def withdraw(self) -> bool:
        """Take back the send that was queued last, if it has not begun; whether it was taken back."""

    def close(self) -> None:
        """Give the device back. Never hangs."""


@dataclass(frozen=True)
class Sounding:
    """A glance at what sounds now, for a meter; no record of anything."""

    frame: int  # of the send: so far it has been played and recorded
    frames: int  # of the whole send
    sent: Float32  # (n, outputs): the last frames up to `frame`
    returned: Float32  # (n, inputs): what was recorded in the same frames
    ended: int  # sends that are over and were not fetched yet: so many stand before this one


@runtime_checkable
class Watchable(Protocol):
    """An interface that lets others look on while it plays."""

    def sounding(self, frames: int) -> Sounding | None:
        """The last `frames` at most of the send that sounds; None between sends. From any thread, at once, and never
        in the way of the stream: what it shows may be a quarter of a second old."""


def play_and_record(interface: Interface, send: Float32) -> Recording:
    """Play `send` and wait for what comes back."""
    interface.play(send)
    return interface.record()

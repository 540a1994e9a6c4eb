"""The audio interface as the rest of buscomp sees it: full duplex, on one clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..manifests.pcm import Float32


@dataclass(frozen=True)
class Recording:
    """What came back while something was sent."""

    audio: Float32  # (frames, returns): frame n was recorded while frame n of the send was played
    xrun_frames: tuple[int, ...] = ()  # where the driver raised a flag: a suspicion, not yet a fault


class Interface(Protocol):
    """One open stream. What is sent and what returns share one clock, frame for frame."""

    name: str  # as the system names it
    host_api: str
    sample_rate: int  # Hz
    block_size: int  # frames per callback

    def play_and_record(self, send: Float32) -> Recording:
        """Play `send` (frames, sends) and return as many frames from the unit. Between calls the stream goes on
        with silence. `DeviceError` when the device died; the interface is of no use then."""

    def close(self) -> None:
        """Give the device back. Never hangs."""

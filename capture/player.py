"""The stream's callback: plays queued takes without a gap, and records what returns in the same frames."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

from ..manifests.pcm import Float32


class Counter(Protocol):
    """A number in memory that parent and child share."""

    value: int


@dataclass
class Take:
    """One take on its way through the callback."""

    slot: int  # which take buffer it lives in
    frames: int
    send: Float32  # (frames or more, output channels)
    returned: Float32  # (frames or more, input channels)
    position: int = 0  # frames done
    stream_frame: int = 0  # of its first frame
    started_s: float = 0.0  # its first frame, on the monotonic clock
    started_unix_s: float = 0.0  # the same moment, seconds since 1970
    ended_s: float = 0.0  # behind its last frame, on the monotonic clock
    xrun_frames: list[int] = field(default_factory=list)


class Player:
    """What PortAudio calls for every block. It copies slices and does nothing else: a take that ends within a block is
    followed by the next one in the very next frame, and where none is queued there is silence.

    Other threads `queue` and `withdraw` takes, and find those that are over in `finished`; a deque's ends are safe to
    use from two threads.
    """

    def __init__(self, streamed: Counter, sample_rate: int):
        self._streamed = streamed
        self._frame_s = 1 / sample_rate
        self._stream_frame = 0
        self._queued: deque[Take] = deque()
        self._playing: Take | None = None
        self.finished: deque[Take] = deque()
        self.block_size = 0  # frames of the first callback
        self.running = Event()
        self.error: BaseException | None = None

    def queue(self, take: Take) -> None:
        """Play `take` behind all that is queued."""
        self._queued.append(take)

    def withdraw(self) -> bool:
        """Take back the take queued last, unless it has begun."""
        try:
            self._queued.pop()
        except IndexError:
            return False
        return True

    @property
    def busy(self) -> bool:
        """Whether a take plays or waits."""
        return self._playing is not None or bool(self._queued)

    def __call__(self, indata: Float32, outdata: Float32, frames: int, times: Any, status: Any) -> None:
        if not self.block_size:
            self.block_size = frames
            self.running.set()
        try:
            self._fill(indata, outdata, frames, status)
        except BaseException as error:  # noqa: BLE001  PortAudio would swallow it: the parent shall hear of it
            self.error = error
            outdata.fill(0)
        self._stream_frame += frames
        self._streamed.value = self._stream_frame

    def _fill(self, indata: Float32, outdata: Float32, frames: int, status: Any) -> None:
        done = 0
        while done < frames:
            take = self._playing
            if take is None:
                if not self._queued:
                    outdata[done:] = 0
                    return
                try:
                    take = self._queued.popleft()
                except IndexError:  # withdrawn this moment
                    continue
                take.stream_frame = self._stream_frame + done
                take.started_s = time.monotonic() + done * self._frame_s
                take.started_unix_s = time.time() + done * self._frame_s
                self._playing = take
            begin = take.position
            end = min(begin + frames - done, take.frames)
            until = done + end - begin
            outdata[done:until] = take.send[begin:end]
            take.returned[begin:end] = indata[done:until]
            if status and is_xrun(status):
                take.xrun_frames.append(begin)
            take.position = end
            done = until
            if end == take.frames:
                take.ended_s = time.monotonic() + done * self._frame_s
                self._playing = None
                self.finished.append(take)


def is_xrun(status: Any) -> bool:
    """Whether the driver lost, or may have lost, samples around a block. `priming_output` is none of these."""
    return bool(status.input_overflow or status.output_underflow or status.input_underflow or status.output_overflow)

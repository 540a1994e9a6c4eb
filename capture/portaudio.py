"""PortAudio as an `Interface`: JACK, ALSA, Core Audio, ASIO, through `sounddevice` in a process of its own.

What a dying audio system does to its callers was measured on JACK: callbacks just stop, nothing is raised, and stop,
abort, close and even the interpreter's exit hang for ever. Hence three rules: PortAudio lives in a child process
(`portaudio_child.py`); a counter of streamed frames in shared memory is watched from here; and a child whose counter
stands still is killed, never asked to stop.

Two takes have a place in shared memory, so that one can be queued while the other plays.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from ..manifests.errors import DeviceError, UsageError
from ..manifests.pcm import Float32
from .audio_process import AudioProcess
from .device import DeviceProfile
from .interface import Recording, Sounding
from .player import Counter
from .portaudio_child import Attach, Attached, Opened, PlayTake, TakeDone, Withdraw, Withdrawn, serve
from .take_buffer import TakeBuffer

__all__ = ["AudioProcess", "PortAudioInterface"]

OPEN_LIMIT_S = 30.0  # JACK takes about 5 s longer to start after a client that was killed
STALL_S = 8.0  # plus four blocks, without one callback. A JACK client that was killed holds up its server for 5 s
POLL_S = 0.02
SLOTS = 2  # takes queued or not yet fetched
SEEN_LATE_S = 0.1  # what a meter is shown is so old, so that it has certainly been recorded
GROWTH = 1.25  # a buffer that is too short is made so much longer than the take
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Slot:
    """A take on its way: where it lies, and how long it is."""

    slot: int
    frames: int
    begin: int  # frame of the stream in which it begins: a guess, a block or two early, until one before it has ended


class PortAudioInterface:
    """One persistent full-duplex stream on the device that `profile` means; silence is played between takes.

    `longest_frames`: room for takes of this length is made before the stream runs; for a longer one it is made when
    it comes. `UsageError` when no or several devices are meant, `DeviceError` when the device cannot do what is asked.
    """

    def __init__(self, profile: DeviceProfile, longest_frames: int = 0):
        self.name = profile.match
        self.sample_rate = profile.sample_rate
        self._outputs = tuple(channel - 1 for channel in profile.wiring.outputs)
        self._inputs = tuple(channel - 1 for channel in profile.wiring.inputs)
        self._streamed: Counter = multiprocessing.get_context("spawn").RawValue("q", 0)
        self._buffers: list[TakeBuffer] = []
        self._process: AudioProcess | None = None
        self._usable = False  # False also while parent and child speak: who breaks in there has broken it
        self._on_the_way: deque[_Slot] = deque()  # queued, playing or over, not yet fetched
        self._done: deque[TakeDone] = deque()  # over, not yet fetched
        try:
            for _ in range(SLOTS):
                self._buffers.append(self._new_buffer(max(longest_frames, 1)))
            shapes = [buffer.shape for buffer in self._buffers]
            self._process = AudioProcess(serve, self._streamed, profile, shapes)
            opened: Opened = self._process.answer(OPEN_LIMIT_S, f"opening {profile.match}")
        except BaseException:
            self.close()
            raise
        for buffer in self._buffers:
            buffer.unlink()
        self.name = opened.device.name
        self.host_api: str = opened.device.host_api
        self.block_size: int = opened.block_size
        self.real_time: bool = opened.real_time  # whether the system granted the callback real-time priority
        self._usable = True

    def play(self, send: Float32) -> None:
        """Queue `send` (frames, outputs of the profile's wiring). It begins in the very frame after the one queued
        before it ends, or with the next block. `DeviceError` when the device died."""
        if send.ndim != 2 or send.shape[1] != len(self._outputs) or not len(send):
            raise UsageError(
                "what is sent does not fit the device", got=send.shape, allowed=f"(frames, {len(self._outputs)})"
            )
        process = self._running()
        while process.connection.poll():  # bad news may have come since
            self._hear(process)
        if len(self._on_the_way) == SLOTS:
            raise RuntimeError(f"{SLOTS} sends are queued or not fetched: call record() first")
        slot = min(set(range(SLOTS)) - {take.slot for take in self._on_the_way})
        if len(send) > self._buffers[slot].shape.frames:
            self._grow(process, slot, round(GROWTH * len(send)))
        for column, channel in enumerate(self._outputs):
            self._buffers[slot].send[: len(send), channel] = send[:, column]
        with self._speaking():
            process.tell(PlayTake(slot, len(send)))
            before = self._on_the_way[-1] if self._on_the_way else None
            begin = before.begin + before.frames if before else 0
            self._on_the_way.append(_Slot(slot, len(send), max(begin, self._streamed.value)))

    def record(self) -> Recording:
        """What came back (frames, inputs of the profile's wiring) during the oldest send not yet fetched.

        `xrun_frames` are the first frames of the callbacks that the driver flagged. Under a JACK server in
        synchronous mode such a flag means that time was stretched and no sample is lost; elsewhere samples may be.
        `DeviceError` when the device died. Ctrl-C while it waits leaves the take where it is.
        """
        process = self._running()
        if not self._on_the_way:
            raise RuntimeError("nothing was sent: call play() first")
        while not self._done:
            self._hear(process)
        take, done = self._on_the_way[0], self._done[0]
        audio = np.empty((take.frames, len(self._inputs)), np.float32)
        for column, channel in enumerate(self._inputs):  # by column: ten times as fast as np.take
            audio[:, column] = self._buffers[take.slot].returned[: take.frames, channel]
        with self._speaking():
            self._on_the_way.popleft()
            self._done.popleft()
        started_at = datetime.fromtimestamp(done.started_unix_s, UTC)
        return Recording(audio, done.xrun_frames, done.stream_frame, started_at, done.elapsed_s)

    def withdraw(self) -> bool:
        """Take back the send that was queued last, if it has not begun; whether it was taken back."""
        process = self._running()
        if not self._on_the_way:
            return False
        with self._speaking():
            taken_back = self._ask(process, Withdraw(), Withdrawn).taken_back
            if taken_back:
                self._on_the_way.pop()
        return taken_back

    def sounding(self, frames: int) -> Sounding | None:
        """See `Watchable`. It reads the counter and the memory that the callback fills anyway."""
        now = self._streamed.value - round(SEEN_LATE_S * self.sample_rate) - 2 * self.block_size
        buffers = tuple(self._buffers)
        for ended, take in enumerate(tuple(self._on_the_way)):
            if take.begin <= now < take.begin + take.frames and take.slot < len(buffers):
                sent, returned, end = buffers[take.slot].send, buffers[take.slot].returned, now - take.begin
                if min(len(sent), len(returned)) < end:  # closed this moment
                    return None
                piece = slice(max(0, end - frames), end)
                return Sounding(
                    end, take.frames, sent[piece][:, self._outputs], returned[piece][:, self._inputs], ended
                )
        return None

    def close(self) -> None:
        """Give the device back. Never hangs: after 5 s the audio process is killed."""
        self._usable = False
        if self._process is not None:
            self._process.close()
            self._process = None
        for buffer in self._buffers:
            buffer.unlink()
            buffer.close()
        self._buffers.clear()

    def _running(self) -> AudioProcess:
        if self._process is None or not self._usable:
            raise DeviceError(f"{self.name} was lost or closed", mend="open it again")
        return self._process

    def _new_buffer(self, frames: int) -> TakeBuffer:
        return TakeBuffer.create(frames, max(self._outputs) + 1, max(self._inputs) + 1)

    def _grow(self, process: AudioProcess, slot: int, frames: int) -> None:
        """Put a longer take buffer in the place of one that is not in use."""
        buffer = self._new_buffer(frames)
        try:
            with self._speaking():
                self._ask(process, Attach(slot, buffer.shape), Attached)
        finally:
            buffer.unlink()
        self._buffers[slot].close()
        self._buffers[slot] = buffer

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """What breaks in here leaves parent and child at odds, so it makes the interface useless."""
        self._usable = False
        yield
        self._usable = True

    def _ask(self, process: AudioProcess, question: object, kind: type[Answer]) -> Answer:
        process.tell(question)
        while True:
            answer = self._hear(process)
            if isinstance(answer, kind):
                return answer

    def _hear(self, process: AudioProcess) -> object:
        """The next message of the audio process; the end of a take is noted. When the stream stands still, or the
        process reports an error, it is killed, and `DeviceError` raised."""
        limit_s = STALL_S + 4 * self.block_size / self.sample_rate
        streamed, moved_at = self._streamed.value, time.monotonic()
        while not process.connection.poll(POLL_S):
            if (now := self._streamed.value) != streamed:
                streamed, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > limit_s:
                self._lose(process)
                raise DeviceError(
                    f"the audio device stopped answering: {self.name} moved no sample for {limit_s:.1f} s",
                    mend="look at its cable and at the audio server",
                )
        usable, self._usable = self._usable, False
        try:
            message = process.received()
        except DeviceError:
            self._lose(process)
            raise
        if isinstance(message, TakeDone):
            place, begin = len(self._done), message.stream_frame
            for number in range(place, len(self._on_the_way)):
                self._on_the_way[number] = replace(self._on_the_way[number], begin=begin)
                begin += self._on_the_way[number].frames
            self._done.append(message)
        self._usable = usable
        return message

    def _lose(self, process: AudioProcess) -> None:
        self._usable = False
        process.kill()

"""PortAudio as an `Interface`: JACK, ALSA, Core Audio, ASIO, through `sounddevice` in a process of its own.

What a dying audio system does to its callers was measured on JACK: callbacks just stop, nothing is raised, and stop,
abort, close and even the interpreter's exit hang for ever. Hence three rules: PortAudio lives in a child process
(`portaudio_child.py`); a counter of streamed frames in shared memory is watched from here; and a child whose counter
stands still is killed, never asked to stop.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..manifests.errors import BuscompError, DeviceError, UsageError
from ..manifests.pcm import Float32
from .device import SEE_DEVICES, DeviceProfile
from .interface import Recording
from .portaudio_child import Counter, Xrun, receive_audio, send_audio, serve

OPEN_LIMIT_S = 30.0  # JACK takes about 5 s longer to start after a client that was killed
STALL_S = 2.0  # plus four blocks: without one callback for so long the device is dead
TRANSFER_LIMIT_S = 60.0  # for the audio of a take to cross the pipe
CLOSE_LIMIT_S = 5.0  # for giving the device back in good order
POLL_S = 0.02
PIPE_BROKE = (EOFError, OSError)


class AudioProcess:
    """A child process that runs `target(connection, *arguments)`, with a limit on every wait for it."""

    def __init__(self, target: Callable[..., None], *arguments: object):
        context = multiprocessing.get_context("spawn")  # a fork would copy the locks of this process's threads
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def answer(self, limit_s: float, what: str) -> Any:
        """The next thing it says. An error that it reports is raised; so is silence beyond `limit_s` (`DeviceError`,
        and the process is killed)."""
        if not self.connection.poll(limit_s):
            self.kill()
            raise DeviceError(
                f"the audio system did not answer within {limit_s:g} s while {what}",
                mend="restart the audio server or unplug the device",
            )
        return self.received()

    def received(self) -> Any:
        """What lies in the pipe; errors are raised."""
        try:
            answer = self.connection.recv()
        except PIPE_BROKE:
            raise self.died() from None
        if isinstance(answer, BuscompError):
            raise answer
        return answer

    def died(self) -> DeviceError:
        """The error to raise when the process is gone."""
        self._process.join(CLOSE_LIMIT_S)
        code = self._process.exitcode
        how = f" ({signal.Signals(-code).name})" if code is not None and code < 0 else ""
        return DeviceError(f"the audio process died{how}", mend=SEE_DEVICES)

    @contextmanager
    def killed_after(self, limit_s: float) -> Iterator[None]:
        """Kill the process when the block takes longer, so that a pipe nobody empties cannot hang this one."""
        timer = threading.Timer(limit_s, self._process.kill)
        timer.start()
        try:
            yield
        except PIPE_BROKE:
            raise self.died() from None
        finally:
            timer.cancel()
            timer.join()

    def kill(self) -> None:
        """End it at once, whatever it hangs in."""
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        """Let it end in good order, or kill it."""
        self.connection.close()
        self._process.join(CLOSE_LIMIT_S)
        self.kill()
        self._process.close()


class PortAudioInterface:
    """One persistent full-duplex stream on the device that `profile` means; silence is played between takes.

    `UsageError` when no or several devices are meant, `DeviceError` when the device cannot do what is asked.
    """

    def __init__(self, profile: DeviceProfile):
        self._profile = profile
        self._streamed: Counter = multiprocessing.get_context("spawn").RawValue("q", 0)
        self._process: AudioProcess | None = AudioProcess(serve, self._streamed, profile)
        self._usable = False  # True while it waits for a take
        self.xruns: list[Xrun] = []  # of the last take: frame, flags
        try:
            device, block_size = self._process.answer(OPEN_LIMIT_S, f"opening {profile.match}")
        except BaseException:
            self.close()
            raise
        self.name: str = device.name
        self.host_api: str = device.host_api
        self.sample_rate = profile.sample_rate
        self.block_size: int = block_size
        self._usable = True

    def play_and_record(self, send: Float32) -> Recording:
        """Play `send` (frames, sends) and return what came back in the same frames (frames, returns).

        `xrun_frames` are the first frames of the callbacks that the driver flagged. Under a JACK server in
        synchronous mode such a flag means that time was stretched and no sample is lost; elsewhere samples may be.
        `DeviceError` when the device stopped answering; the interface is of no use then.
        """
        process, sends = self._process, len(self._profile.sends)
        if process is None or not self._usable:
            raise DeviceError(f"{self.name} was lost or closed", mend="open it again")
        if send.ndim != 2 or send.shape[1] != sends or not len(send):
            raise UsageError("what is sent does not fit the device", got=send.shape, allowed=f"(frames, {sends})")
        self._usable = False  # until this take has come back whole, also after Ctrl-C
        with process.killed_after(TRANSFER_LIMIT_S):
            process.connection.send(len(send))
            send_audio(process.connection, send.astype("float32", copy=False))
        self._wait(process)
        xruns: list[Xrun] = process.received()
        with process.killed_after(TRANSFER_LIMIT_S):
            audio = receive_audio(process.connection, len(send), len(self._profile.returns))
        self.xruns = xruns
        self._usable = True
        return Recording(audio, tuple(frame for frame, _ in xruns))

    def close(self) -> None:
        """Give the device back. Never hangs: after 5 s the audio process is killed."""
        if self._process is not None:
            if self._usable:
                with suppress(OSError):
                    self._process.connection.send(None)
            self._process.close()
            self._process = None

    def _wait(self, process: AudioProcess) -> None:
        """Return when the take is over; kill the audio process and raise when the stream stands still."""
        limit_s = STALL_S + 4 * self.block_size / self.sample_rate
        streamed, moved_at = self._streamed.value, time.monotonic()
        while not process.connection.poll(POLL_S):
            if (now := self._streamed.value) != streamed:
                streamed, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > limit_s:
                process.kill()
                raise DeviceError(
                    f"the audio device stopped answering: {self.name} moved no sample for {limit_s:.1f} s",
                    mend="look at its cable and at the audio server",
                )

"""A child process for everything that touches the audio system, with a limit on every wait for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ..manifests.errors import BuscompError, DeviceError
from .device import SEE_DEVICES

CLOSE_LIMIT_S = 5.0  # for giving the device back in good order
ORPHAN_S = 3.0  # after its parent's death the child may take so long for the same
PRIORITY = 5  # SCHED_FIFO 1-99; JACK's own clients run at 5, interrupts of sound cards at 50
PIPE_BROKE = (EOFError, OSError)


class AudioProcess:
    """A child process that runs `target(connection, *arguments)`."""

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

    def tell(self, message: object) -> None:
        """Say something short to it."""
        try:
            self.connection.send(message)
        except PIPE_BROKE:
            raise self.died() from None

    def died(self) -> DeviceError:
        """The error to raise when the process is gone."""
        self._process.join(CLOSE_LIMIT_S)
        code = self._process.exitcode
        how = f" ({signal.Signals(-code).name})" if code is not None and code < 0 else ""
        return DeviceError(f"the audio process died{how}", mend=SEE_DEVICES)

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


def become_audio_process() -> None:
    """In the child: quiet, deaf to Ctrl-C, quick to hand the interpreter on, never longer-lived than its parent."""
    for name in ("SIGINT", "SIGHUP"):  # the parent gets them too, and closes the stream in good order
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.setswitchinterval(0.0005)
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # libjack and ALSA print pages
        os.dup2(silence, descriptor)
    os.close(silence)
    threading.Thread(target=_die_after, args=(os.getppid(),), daemon=True).start()


def become_real_time() -> bool:
    """Ask for real-time priority for this thread and those it starts from now on; whether the system grants it."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    return True


def _die_after(parent: int) -> None:
    """End this process when `parent` is dead. The pipe's end does it in good order; this is for when it cannot."""
    while os.getppid() == parent:
        time.sleep(0.25)
    time.sleep(ORPHAN_S)
    os._exit(1)

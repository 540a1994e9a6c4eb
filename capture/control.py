"""What the operator wants of a running daemon: go on, pause, or stop.

Requests come from another process (`buscomp pause`, `resume`, `stop`) as one small file in the dataset, and from
signals. A request means the daemon that runs now: it is forgotten when a daemon begins and when it ends.

    Ctrl-C once          stop after the take in progress; at once where nothing is being recorded
    Ctrl-C twice         stop now, and drop the take in progress
    SIGTERM, SIGHUP      stop now, and drop the take in progress
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

from ..manifests.dataset import Dataset
from ..manifests.storage import write_text

Wanted = Literal["go", "pause", "stop"]
GO: Wanted = "go"
PAUSE: Wanted = "pause"
STOP: Wanted = "stop"
WANTED: dict[str, Wanted] = {word: word for word in (GO, PAUSE, STOP)}

REQUEST = ".request"
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
BOUNCE_S = 0.1  # a wrapper that passes Ctrl-C on makes one press look like two
SHIELD_S = 5.0  # how long the clean-up after a stop is spared from further signals
POLL_S = 0.25  # how often a request is looked for while a person or a panel is waited for
TOLD = b"\nStopping after the take in progress. Ctrl-C again stops now.\n"


def request(dataset: Dataset, wanted: Wanted) -> None:
    """Ask the daemon of `dataset` for `wanted`, durably. `go` takes back what was asked before."""
    path = dataset.root / REQUEST
    if wanted == GO:
        path.unlink(missing_ok=True)
    else:
        write_text(path, wanted + "\n")


def requested(dataset: Dataset) -> Wanted:
    """What was asked of the daemon of `dataset` from outside."""
    try:
        word = (dataset.root / REQUEST).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return GO
    return WANTED.get(word, GO)


class Control:
    """The daemon's side: `wanted` is asked whenever there is a choice, at any rate up to some 1000 times a second."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._stop = False  # by a signal
        self._waiting = 0  # contexts in which one Ctrl-C is enough
        self._heard_at = self._interrupted_at = -SHIELD_S

    def wanted(self) -> Wanted:
        """`go`, `pause` (at the next take, until another answer) or `stop` (after the take in progress)."""
        return STOP if self._stop else requested(self._dataset)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Listen to signals, and to requests made from now on. A signal that whoever started us ignores (`nohup`,
        a background job) stays ignored. Off the main thread only requests are heard."""
        request(self._dataset, GO)
        before = {}
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            request(self._dataset, GO)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Around waiting for a person or a panel: one Ctrl-C, or `buscomp stop`, is a `KeyboardInterrupt` here. So is
        a stop that was wanted before."""
        if self.wanted() == STOP:
            raise KeyboardInterrupt
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,), name="requests", daemon=True)
        self._waiting += 1
        try:
            if signal.getsignal(signal.SIGTERM) == self._hear:
                watcher.start()
            yield
        finally:
            self._waiting -= 1
            over.set()

    def _watch(self, over: threading.Event) -> None:
        """Turn `buscomp stop` into a signal to the main thread, which may be blocked in `input`."""
        while not over.wait(POLL_S):
            if requested(self._dataset) == STOP:
                thread = threading.main_thread().ident
                if not over.is_set() and thread is not None:
                    if hasattr(signal, "pthread_kill"):
                        signal.pthread_kill(thread, signal.SIGTERM)  # also ends a read in progress
                    else:
                        _thread.interrupt_main(signal.SIGTERM)
                return

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGINT:
            if now - self._heard_at < BOUNCE_S:
                return
            self._heard_at = now
            if not self._stop and not self._waiting:
                self._stop = True
                _say(TOLD)
                return
        self._stop = True
        if now - self._interrupted_at >= SHIELD_S:
            self._interrupted_at = now
            raise KeyboardInterrupt


def _say(line: bytes) -> None:
    """Past Python's buffers, which may be in use by the very code that the signal interrupted."""
    try:
        os.write(2, line)
    except OSError:  # the terminal is gone, and nobody is there to read it
        return

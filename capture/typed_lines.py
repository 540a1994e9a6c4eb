"""Lines that somebody types on the terminal, read without ever waiting for longer than one likes."""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
import time
from io import UnsupportedOperation
from typing import TextIO

GONE = ""  # nobody is there, and nobody will be
CAN_WAIT = sys.platform != "win32"  # whether the system tells when there is something to read; else a thread reads


class TypedLines:
    """`line` by line from `source`, which may be no terminal. A job in the background never reads: the system would
    stop it."""

    def __init__(self, source: TextIO):
        self._source = source
        self._typed = b""
        self._pieces: queue.Queue[bytes] = queue.Queue()  # what the thread has read
        self._thread: threading.Thread | None = None
        try:
            self._descriptor: int | None = source.fileno()
        except (UnsupportedOperation, ValueError):  # a text in memory; closed
            self._descriptor = None

    def line(self, wait_s: float) -> str | None:
        """The next line, with its end as `readline` gives it; None when none came within `wait_s`, `GONE` when none
        will."""
        if self._descriptor is None:
            return GONE if self._source.closed else self._source.readline()
        while b"\n" not in self._typed:
            piece = self._piece(self._descriptor, wait_s) if CAN_WAIT else self._piece_of_thread(wait_s)
            if piece is None:
                return None
            if not piece:
                return GONE
            self._typed += piece
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace") + "\n"

    def forget(self) -> None:
        """Forget what was typed so far on a terminal: an Enter of an hour ago answers no question of now."""
        if self._descriptor is None or not os.isatty(self._descriptor):
            return
        self._typed = b""
        while not self._pieces.empty():
            self._pieces.get()
        if sys.platform != "win32" and not self._in_the_background(self._descriptor):
            import termios

            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def _piece(self, descriptor: int, wait_s: float) -> bytes | None:
        """What can be read within `wait_s`; empty at the end."""
        if self._in_the_background(descriptor):
            time.sleep(wait_s)
            return None
        if not select.select([descriptor], [], [], wait_s)[0]:
            return None
        try:
            return os.read(descriptor, 4096)
        except OSError:  # the terminal was closed
            return b""

    def _piece_of_thread(self, wait_s: float) -> bytes | None:
        """The same where nothing tells when there is something to read."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="terminal", daemon=True)
            self._thread.start()
        try:
            piece = self._pieces.get(timeout=wait_s)
        except queue.Empty:
            return None
        if not piece:
            self._pieces.put(piece)  # it stays the end
        return piece

    def _read(self) -> None:
        """In the thread: past Python's buffers, whose lock it would hold while it waits."""
        assert self._descriptor is not None
        piece = b"-"
        while piece:
            try:
                piece = os.read(self._descriptor, 4096)
            except OSError:
                piece = b""
            self._pieces.put(piece)

    @staticmethod
    def _in_the_background(descriptor: int) -> bool:
        if sys.platform == "win32" or not os.isatty(descriptor):
            return False
        try:
            return os.tcgetpgrp(descriptor) != os.getpgrp()
        except OSError:  # not our terminal
            return False

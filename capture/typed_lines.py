"""Lines that somebody types on the terminal, read without ever waiting for longer than one likes."""

from __future__ import annotations

import os
import select
import sys
import time
from io import UnsupportedOperation
from typing import TextIO

GONE = ""  # nobody is there, and nobody will be


class TypedLines:
    """`line` by line from `source`, which may be no terminal. A job in the background never reads: the system would
    stop it."""

    def __init__(self, source: TextIO):
        self._source = source
        self._typed = b""
        try:
            self._descriptor: int | None = source.fileno()
        except (UnsupportedOperation, ValueError):  # a text in memory; closed
            self._descriptor = None

    def line(self, wait_s: float) -> str | None:
        """The next line without its end, as `"text\\n"` would be for `readline`; None when none came within `wait_s`,
        `GONE` when none will."""
        if self._descriptor is None or sys.platform == "win32":  # there is no way to wait for a console
            return GONE if self._source.closed else self._source.readline()
        while b"\n" not in self._typed:
            if self._in_the_background(self._descriptor):
                time.sleep(wait_s)
                return None
            if not select.select([self._descriptor], [], [], wait_s)[0]:
                return None
            try:
                typed = os.read(self._descriptor, 4096)
            except OSError:  # the terminal was closed
                typed = b""
            if not typed:
                return GONE
            self._typed += typed
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace") + "\n"

    def forget(self) -> None:
        """Forget what was typed so far on a terminal: an Enter of an hour ago answers no question of now."""
        if self._descriptor is not None and sys.platform != "win32" and os.isatty(self._descriptor):
            import termios

            self._typed = b""
            if not self._in_the_background(self._descriptor):
                termios.tcflush(self._descriptor, termios.TCIFLUSH)

    @staticmethod
    def _in_the_background(descriptor: int) -> bool:
        if sys.platform == "win32" or not os.isatty(descriptor):
            return False
        try:
            return os.tcgetpgrp(descriptor) != os.getpgrp()
        except OSError:  # not our terminal
            return False

"""Messages to a service manager, as `sd_notify(3)` has them: one datagram to the socket in NOTIFY_SOCKET.

The watchdog is fed by a thread, but only as long as the main thread keeps its word: `expect(seconds)` says how long
the step that begins now may take at most. A daemon that hangs breaks its word, and the manager restarts it.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Mapping

FEWEST_S = 0.05


class Notifier:
    """Talks to the service manager that started this process; silent where there is none."""

    def __init__(self, environment: Mapping[str, str] | None = None):
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = None
        if self._address and hasattr(socket, "AF_UNIX"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self._over = threading.Event()
        self._good_until = math.inf
        self._feeder: threading.Thread | None = None
        self.period_s = _period_s(environment)

    def send(self, **variables: object) -> bool:
        """Send `NAME=value` lines; whether the manager's socket took them."""
        if self._socket is None:
            return False
        text = "\n".join(f"{name}={_one_line(value)}" for name, value in variables.items())
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:  # a manager that restarts, or is too busy: the next message may pass
            return False
        return True

    def ready(self, status: str) -> None:
        """Start-up is over. The watchdog is fed from here on."""
        self.send(READY=1, STATUS=status)
        if self._socket is not None and self.period_s is not None and self._feeder is None:
            self._feeder = threading.Thread(target=self._feed, args=(self.period_s,), name="watchdog", daemon=True)
            self._feeder.start()

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self.send(STATUS=text)

    def expect(self, seconds: float = math.inf) -> None:
        """The main thread will speak again within `seconds`; for ever while a person is waited for."""
        self._good_until = time.monotonic() + seconds

    def stopping(self) -> None:
        """The end has begun; the manager's own time-out for stopping counts now."""
        self.send(STOPPING=1)

    def close(self) -> None:
        """Say nothing more."""
        self._over.set()
        if self._feeder is not None:
            self._feeder.join()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _feed(self, period_s: float) -> None:
        while True:
            if time.monotonic() < self._good_until:
                self.send(WATCHDOG=1)
            if self._over.wait(period_s):
                return


def _period_s(environment: Mapping[str, str]) -> float | None:
    """Half of what the manager allows between two signs of life; None where it keeps no watchdog on this process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    allowed_us = environment.get("WATCHDOG_USEC", "")
    return max(int(allowed_us) / 2e6, FEWEST_S) if allowed_us.isdigit() and int(allowed_us) else None


def _one_line(value: object) -> str:
    return " ".join(str(value).split())

"""Alarms run a user's command: a message to a telephone, a mail, a lamp.

The command is words, never a shell line. `{event}`, `{told}`, `{dataset}` and `{session_id}` in a word are replaced,
and the whole alarm goes to its standard input as one JSON object. It runs in the background and is given up after a
time-out; what it says and how it fails is in the log. No alarm can hold a capture up.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from string import Formatter
from typing import Any

from ..manifests.errors import UsageError
from .event_log import EventLog, plain

WORDS = ("event", "told", "dataset", "session_id")
TIMEOUT_S = 30.0
REPEAT_S = 600.0  # a person who is waited for is called again after this
WAITING = 16  # alarms that wait for the command; more are only logged
SHOWN = 500  # characters of the command's output that the log keeps


class Alarm:
    """`sound` an alarm once, or again and again in a `repeated` block. Without a command alarms are only logged."""

    def __init__(
        self,
        command: Sequence[str],
        log: EventLog,
        *,
        dataset: str,
        session_id: str,
        timeout_s: float = TIMEOUT_S,
        repeat_s: float = REPEAT_S,
    ):
        self._command, self._log = check_command(command), log
        self._known = {"dataset": dataset, "session_id": session_id}
        self._timeout_s, self._repeat_s = timeout_s, repeat_s
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(WAITING)
        self._worker: threading.Thread | None = None
        self.last: dict[str, Any] | None = None  # what was sounded last, for the daemon's state

    def sound(self, event: str, told: str, **fields: object) -> None:
        """Say that `event` needs a person; `told` is one line for that person."""
        alarm = {"time": datetime.now(UTC), **self._known, "event": event, "told": told, **fields}
        self.last = {name: alarm[name] for name in ("time", "event", "told")}
        self._log.emit("alarm", alarm=event, told=told, **fields)
        if not self._command:
            return
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, name="alarms", daemon=True)
            self._worker.start()
        try:
            self._queue.put_nowait(alarm)
        except queue.Full:
            self._log.emit("alarm_dropped", alarm=event, why=f"{WAITING} alarms wait for the command already")

    @contextmanager
    def repeated(self, event: str, told: str, **fields: object) -> Iterator[None]:
        """Sound now, and again every `repeat_s` until the block is left."""
        began, over = time.monotonic(), threading.Event()

        def repeat() -> None:
            while not over.wait(self._repeat_s):
                minutes = (time.monotonic() - began) / 60
                self.sound(event, f"{told} (for {minutes:.0f} min)", **fields)

        self.sound(event, told, **fields)
        threading.Thread(target=repeat, name="repeated alarm", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def close(self, wait_s: float = 3.0) -> None:
        """Give alarms that were sounded last `wait_s` to be heard."""
        if self._worker is None:
            return
        try:
            self._queue.put(None, timeout=wait_s)
        except queue.Full:
            return
        self._worker.join(wait_s)

    def _work(self) -> None:
        while (alarm := self._queue.get()) is not None:
            words = {name: str(alarm[name]) for name in WORDS}
            command = [word.format_map(words) for word in self._command]
            try:
                done = subprocess.run(
                    command,
                    check=False,
                    input=json.dumps(plain(alarm)),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    timeout=self._timeout_s,
                    start_new_session=True,  # Ctrl-C is not meant for it
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                self._log.emit("alarm_failed", alarm=alarm["event"], command=command, why=str(error))
                continue
            if done.returncode:
                why = f"exit status {done.returncode}: {done.stdout[:SHOWN]}"
                self._log.emit("alarm_failed", alarm=alarm["event"], command=command, why=why)


def check_command(command: Sequence[str]) -> tuple[str, ...]:
    """The words of an alarm command; `UsageError` for a brace that means nothing."""
    for word in command:
        try:
            fields = [name for _, name, _, _ in Formatter().parse(word) if name is not None]
        except ValueError as error:
            raise UsageError(f"the alarm command has a brace too many ({error})", got=word) from None
        for name in fields:
            if name not in WORDS:
                allowed = [f"{{{known}}}" for known in WORDS]
                raise UsageError("the alarm command has an unknown word", got=f"{{{name}}}", allowed=allowed)
    return tuple(command)

"""The log of a daemon: one JSON object a line, for `jq`, `grep` and whoever wonders weeks later.

A log must never harm what it describes. When it cannot be written (a full disk) that is said once on standard error,
the capture goes on to meet its own check of the disk, and the first line after that tells how many are missing.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

MAX_BYTES = 8 << 20  # of one file; then it is set aside as NAME.1.jsonl, and the older ones move up
KEPT = 4  # files set aside; 38,500 takes are some 40 MB


class EventLog:
    """`emit` from any thread. Use it as a context manager, or `close` it."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT):
        self._path, self._max_bytes, self._kept = path, max_bytes, kept
        self._descriptor: int | None = None
        self._size = self._lost = 0
        self._torn = self._complained = False
        self._lock = threading.Lock()

    def emit(self, event: str, **fields: object) -> None:
        """One line: `time` (UTC), `monotonic_s`, `event`, then `fields` (never NaN: JSON has null for that)."""
        row = {"time": datetime.now(UTC), "monotonic_s": round(time.monotonic(), 3), "event": event, **fields}
        with self._lock:
            try:
                if self._lost:
                    self._write({**row, "event": "log_gap", "lost": self._lost})
                    self._lost = 0
                self._write(row)
            except OSError as error:
                self._lost += 1
                self._complain(error)

    def close(self) -> None:
        """Nothing is written after this; a further `emit` opens the file again."""
        with self._lock:
            self._let_go()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, row: Mapping[str, object]) -> None:
        line = json.dumps(plain(row), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        if self._size + len(line) > self._max_bytes and self._size:
            self._set_aside()
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._size = os.fstat(self._descriptor).st_size
        if self._torn:  # half a line of before is there; it stays alone on its line
            line = b"\n" + line
        written = os.write(self._descriptor, line)
        self._size += written
        if written:
            self._torn = written < len(line)
        if written < len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be written")

    def _set_aside(self) -> None:
        self._let_go()
        for number in range(self._kept, 0, -1):
            older = self._path if number == 1 else self._aside(number - 1)
            if older.exists():
                os.replace(older, self._aside(number))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.{number}{self._path.suffix}")

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._size = None, 0

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            print(f"The log {self._path} cannot be written ({error}); the capture goes on.", file=sys.stderr)


def plain(value: object) -> object:
    """`value` as JSON has it: times as ISO text, numpy numbers as numbers, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if hasattr(value, "item") and not isinstance(value, str | bytes):  # a numpy scalar
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)

"""What a running daemon does at the moment, for whoever asks: one small JSON file in the dataset.

It is written whole at every change, and never fsynced: after a power cut there is no daemon. Whether the daemon that
wrote it lives is not in the file, it is in the dataset's lock, which dies with its process.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import filelock

from ..manifests.dataset import Dataset
from .state_file import put_state

STATE = ".daemon.json"
Row = dict[str, Any]


class DaemonState:
    """The daemon's side: `tell(take_id=..., doing="take")` changes some fields and keeps the others."""

    def __init__(self, dataset: Dataset, session_id: str, attended: bool = False):
        self._path = dataset.root / STATE
        self._lock = threading.Lock()
        self._fields: Row = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "session_id": session_id,
            "since": datetime.now(UTC),
            "attended": attended,
        }

    def tell(self, **fields: object) -> None:
        """Write the file anew; `OSError` when the disk is full, and then the file is as it was."""
        with self._lock:
            self._fields |= fields
            put_state(self._path, self._fields)

    def end(self) -> None:
        """There is no daemon any more."""
        self._path.unlink(missing_ok=True)


def daemon_of(dataset: Dataset) -> Row | None:
    """What the daemon of `dataset` said last; None when none is alive, whatever a crashed one left behind."""
    try:
        said: Row = json.loads((dataset.root / STATE).read_text(encoding="utf-8"))
        wrote = f"process {said['pid']} on {said['host']} "
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return said if holder_of(dataset).startswith(wrote) else None


def holder_of(dataset: Dataset) -> str:
    """`process 4711 on studio since ...` while something writes into `dataset`, else nothing. Never waits."""
    try:
        with filelock.FileLock(dataset.root / ".lock", timeout=0):
            return ""
    except filelock.Timeout:
        pass
    except PermissionError:
        pass  # somebody else's dataset: believe what its holder wrote
    with suppress(FileNotFoundError):
        return (dataset.root / ".lock-holder").read_text(encoding="utf-8").strip()
    return ""

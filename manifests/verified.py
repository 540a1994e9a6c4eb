"""What `buscomp verify` has found right already: so that a run that was interrupted goes on where it stopped.

A small SQLite file in the dataset, `.verified.sqlite`. It is a memory of work, no record of anything: damaged or lost,
everything is checked again. A file counts as known only while its size, its time and all that the tables say of it are
what they were.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

from .audio_check import Expected

NAME = ".verified.sqlite"
COMMIT_EVERY_S = 2.0
TABLES = """
    CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, finished INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS files (
        path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, mark BLOB, run INTEGER NOT NULL) WITHOUT ROWID;
"""


class Verified:
    """The memory of the dataset at `root`; use it as a context manager.

    A run is begun, or the last one goes on if it never finished. `again` begins a new one in any case. `only_new` also
    counts what finished runs found right, so that only new and changed files are left to check.
    """

    def __init__(self, root: Path, *, again: bool = False, only_new: bool = False):
        self._root, self._only_new = root, only_new and not again
        # a dataset on a read-only disk can be verified too; it only remembers nothing
        self._path = str(root / NAME) if os.access(root, os.W_OK) else ":memory:"
        self._db = self._opened()
        last = self._db.execute("SELECT run, finished FROM runs ORDER BY run DESC LIMIT 1").fetchone()
        if last is None or last[1] or again:
            self._db.execute("INSERT INTO runs DEFAULT VALUES")
        (self._run,) = self._db.execute("SELECT MAX(run) FROM runs").fetchone()
        self._db.commit()
        self._committed_s = time.monotonic()
        self.known = 0  # files that need not be checked in this call

    def __enter__(self) -> Verified:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.commit()
        self._db.close()

    def _opened(self) -> sqlite3.Connection:
        for last_try in (False, True):
            database = sqlite3.connect(self._path)
            try:
                database.executescript(TABLES)
                database.execute("SELECT path, size, mtime_ns, mark, run FROM files LIMIT 1")
                return database
            except sqlite3.OperationalError:  # another program holds it, say
                database.close()
                raise
            except sqlite3.DatabaseError:
                database.close()
                if last_try:
                    raise
                Path(self._path).unlink()
        raise AssertionError("unreachable")

    def knows(self, expected: Expected) -> bool:
        """Whether this file was found right in this run (or, with `only_new`, in any) and is unchanged since."""
        row = self._db.execute(
            "SELECT size, mtime_ns, mark, run FROM files WHERE path = ?", (expected.path,)
        ).fetchone()
        if row is None or not (self._only_new or row[3] == self._run):
            return False
        known: bool = row[:3] == self._now(expected)
        self.known += known
        return known

    def right(self, expected: Expected) -> None:
        """This file was found right."""
        row = expected.path, *self._now(expected), self._run
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)
        if time.monotonic() - self._committed_s > COMMIT_EVERY_S:
            self._db.commit()
            self._committed_s = time.monotonic()

    def finish(self) -> None:
        """The run is through: the next one begins anew."""
        self._db.execute("UPDATE runs SET finished = 1 WHERE run = ?", (self._run,))
        self._db.commit()

    def _now(self, expected: Expected) -> tuple[int, int, bytes]:
        """Size, time and what is expected, as they are now; (-1, -1, ...) for a file that is not there."""
        mark = hashlib.blake2b(repr(expected).encode(), digest_size=16).digest()
        try:
            found = (self._root / expected.path).stat()
        except (OSError, ValueError):
            return -1, -1, mark
        return found.st_size, found.st_mtime_ns, mark

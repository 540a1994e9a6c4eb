"""The journal: the truth about takes, in SQLite with a write-ahead log and `synchronous=FULL`.

Every planned (song, setting) is in exactly one state: planned, accepted, rejected (then a new attempt is planned)
or superseded. A row is written only after its audio is durable. Parquet manifests are derived from here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from .errors import DatasetError, DiskFullError
from .schema import ACCEPTED, PLANNED, REJECTED, SESSIONS, SUPERSEDED, TAKES, Column

Row = dict[str, Any]
WAIT_S = 5.0  # for another program to let go of the journal
SQL_TYPES = {"text": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER", "time": "TEXT", "texts": "TEXT"}


def _create(table: str, columns: tuple[Column, ...], key: str, extra: str = "") -> str:
    described = ", ".join(f"{c.name} {SQL_TYPES[c.type]}{' PRIMARY KEY' if c.name == key else ''}" for c in columns)
    return f"CREATE TABLE IF NOT EXISTS {table} ({described}{extra})"


class Journal:
    """Open journal of one dataset. Use it as a context manager; the dataset's lock allows one writer."""

    def __init__(self, path: Path):
        with self._errors_named():
            self._db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
                self._db.execute(_create("takes", TAKES, "take_id", ", UNIQUE (song_id, setting_id, attempt)"))
                self._db.execute(_create("sessions", SESSIONS, "session_id"))
                self._db.execute("CREATE INDEX IF NOT EXISTS takes_by_status ON takes (status, sequence)")
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    # facts: small named values that a resumed session must find unchanged

    def fact(self, name: str) -> str | None:
        """The value kept under `name`, or None."""
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def keep_fact(self, name: str, value: str) -> None:
        """Keep `value` under `name`, replacing an older one."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # plan

    def plan(self, takes: Iterable[Mapping[str, Any]], facts: Mapping[str, str]) -> int:
        """Add first attempts for (song_id, setting_id, unit_id) in the order given, and the plan's facts, in one
        step. What is already there keeps its place; what is new comes after it. How many were new."""
        with self._transaction():
            known = set(self._db.execute("SELECT song_id, setting_id FROM takes"))
            (sequence,) = self._db.execute("SELECT COALESCE(MAX(sequence) + 1, 0) FROM takes").fetchone()
            new = [take for take in takes if (take["song_id"], take["setting_id"]) not in known]
            for place, take in enumerate(new, start=sequence):
                row = {name: take[name] for name in ("song_id", "setting_id", "unit_id")}
                row |= {"take_id": take_id_of(place, 1), "attempt": 1, "sequence": place, "status": PLANNED}
                self._insert("takes", TAKES, row)
            for name, value in facts.items():
                self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
        return len(new)

    def planned(self) -> list[Row]:
        """Takes yet to do, in the order of the plan."""
        return self._rows("SELECT * FROM takes WHERE status = ? ORDER BY sequence, attempt", TAKES, PLANNED)

    def takes(self) -> list[Row]:
        """All attempts, in the order of the plan."""
        return self._rows("SELECT * FROM takes ORDER BY sequence, attempt", TAKES)

    def counts(self) -> dict[str, int]:
        """How many takes are in each status."""
        return dict(self._db.execute("SELECT status, COUNT(*) FROM takes GROUP BY status"))

    # outcome of a take

    def accept(self, take_id: str, measured: Mapping[str, Any]) -> None:
        """The take's audio is durable and right."""
        with self._transaction():
            self._finish(take_id, PLANNED, ACCEPTED, measured)

    def reject(self, take_id: str, measured: Mapping[str, Any]) -> str:
        """The take is not right (`reasons` in `measured`). Plans the next attempt in the same step; its take_id."""
        with self._transaction():
            self._finish(take_id, PLANNED, REJECTED, measured)
            return self._plan_again(take_id)

    def supersede(self, take_id: str, reason: str) -> str:
        """The accepted take is of no use any more (its file is lost, say). Plans the next attempt in the same step;
        its take_id."""
        with self._transaction():
            self._finish(take_id, ACCEPTED, SUPERSEDED, {"reasons": [reason]})
            return self._plan_again(take_id)

    def _plan_again(self, take_id: str) -> str:
        old = self._rows("SELECT * FROM takes WHERE take_id = ?", TAKES, take_id)[0]
        (attempt,) = self._db.execute(
            "SELECT MAX(attempt) + 1 FROM takes WHERE song_id = ? AND setting_id = ?",
            (old["song_id"], old["setting_id"]),
        ).fetchone()
        again = {name: old[name] for name in ("song_id", "setting_id", "unit_id", "sequence")}
        again |= {"take_id": take_id_of(old["sequence"], attempt), "attempt": attempt, "status": PLANNED}
        self._insert("takes", TAKES, again)
        return str(again["take_id"])

    def _finish(self, take_id: str, before: str, after: str, measured: Mapping[str, Any]) -> None:
        values = _to_sql(TAKES, {**measured, "status": after})
        assignments = ", ".join(f"{name} = ?" for name in values)
        changed = self._db.execute(
            f"UPDATE takes SET {assignments} WHERE take_id = ? AND status = ?", (*values.values(), take_id, before)
        ).rowcount
        if changed != 1:
            raise DatasetError(f"take {take_id} is not {before}, so it cannot become {after}")

    # sessions

    def start_session(self, session: Mapping[str, Any]) -> None:
        """Add the row of a run that begins."""
        with self._transaction():
            self._insert("sessions", SESSIONS, session)

    def end_session(self, session_id: str, ended_at: datetime) -> None:
        """Note when a run ended. A run without an end crashed."""
        with self._transaction():
            self._db.execute(
                "UPDATE sessions SET ended_at = ? WHERE session_id = ?", (ended_at.isoformat(), session_id)
            )

    def sessions(self) -> list[Row]:
        """All runs, oldest first."""
        return self._rows("SELECT * FROM sessions ORDER BY started_at", SESSIONS)

    # below: how it is done

    def _insert(self, table: str, columns: tuple[Column, ...], row: Mapping[str, Any]) -> None:
        values = _to_sql(columns, row)
        places = ", ".join("?" * len(values))
        self._db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))

    def _rows(self, query: str, columns: tuple[Column, ...], *arguments: object) -> list[Row]:
        with self._errors_named():
            cursor = self._db.execute(query, arguments)
            names = [description[0] for description in cursor.description]
            return [_from_sql(columns, dict(zip(names, values, strict=True))) for values in cursor]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors_named():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error) or "disk I/O" in str(error):
                raise DiskFullError(
                    "disk full while writing the journal", mend="free some space and run it again"
                ) from error
            mend = "close whatever else holds it" if "locked" in str(error) else None
            raise DatasetError(f"journal.sqlite cannot be used ({error})", mend=mend) from error
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise DatasetError(f"journal.sqlite is damaged ({error})", mend="restore it from a copy") from error


def take_id_of(sequence: int, attempt: int) -> str:
    """`t000041-2`: second attempt at place 41 of the plan."""
    return f"t{sequence:06d}-{attempt}"


def _to_sql(columns: tuple[Column, ...], row: Mapping[str, Any]) -> Row:
    kinds = {column.name: column.type for column in columns}
    values: Row = {}
    for name, value in row.items():
        if name not in kinds:
            raise KeyError(f"no column {name}")
        if kinds[name] == "texts" and value is not None:
            value = json.dumps(list(value))
        elif kinds[name] == "time" and value is not None:
            value = value.isoformat()
        values[name] = value
    return values


def _from_sql(columns: tuple[Column, ...], row: Row) -> Row:
    for column in columns:
        value = row[column.name]
        if value is None:
            continue
        if column.type == "texts":
            row[column.name] = json.loads(value)
        elif column.type == "time":
            row[column.name] = datetime.fromisoformat(value)
        elif column.type == "bool":
            row[column.name] = bool(value)
    return row

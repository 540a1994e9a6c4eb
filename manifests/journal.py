"""The journal: the truth about takes, in SQLite with a write-ahead log and `synchronous=FULL`.

Every planned (song, setting) is in exactly one state: planned, accepted, rejected (then a new attempt is planned)
or superseded. A row is written only after its audio is durable. Parquet manifests are derived from here.

SQLite has no checksums, so every row carries a seal, a hash of what it holds: a bit that the disk spoils is an error
here and never a number that is read as if it were true.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from .errors import DatasetError, DiskFullError
from .schema import ACCEPTED, FINGERPRINTS, PLANNED, REJECTED, SESSIONS, SUPERSEDED, TAKES, Column
from .seal import is_intact, seal_of
from .storage import step

Row = dict[str, Any]
ENOUGH_BYTES = 1 << 20  # with more room than this an I/O error is the disk's own
WAIT_S = 5.0  # for another program to let go of the journal
SQL_TYPES = {"text": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER", "time": "TEXT", "texts": "TEXT"}


KEYS = {"takes": "take_id", "sessions": "session_id", "fingerprints": "fingerprint_id"}
COLUMNS = {"takes": TAKES, "sessions": SESSIONS, "fingerprints": FINGERPRINTS}
ORDERS = {"takes": "sequence, attempt", "sessions": "started_at", "fingerprints": "fingerprint_id"}
NAMES = {"facts": ("name", "value")} | {table: tuple(c.name for c in columns) for table, columns in COLUMNS.items()}
TABLE_OF = {columns: table for table, columns in COLUMNS.items()}
RESTORE = "type `buscomp verify --restore`"


class Journal:
    """Open journal of one dataset. Use it as a context manager; the dataset's lock allows one writer."""

    def __init__(self, path: Path):
        self._path = path
        with self._errors_named():
            self._db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
                self._widen("facts", {"seal": "TEXT"})
                for table in COLUMNS:
                    self._create(table)
                for index in (
                    "UNIQUE INDEX IF NOT EXISTS one_attempt ON takes (setting_id, song_id, unit_id, attempt)",
                    "INDEX IF NOT EXISTS takes_by_status ON takes (status, setting_id, sequence)",
                    "INDEX IF NOT EXISTS takes_in_order ON takes (sequence, attempt)",
                ):
                    self._db.execute(f"CREATE {index}")
                for table, names in NAMES.items():
                    self._db.create_function(f"seal_{table}", len(names), partial(seal_of, names), deterministic=True)
                    self._db.execute(
                        f"CREATE INDEX IF NOT EXISTS unsealed_{table} ON {table} (seal) WHERE seal IS NULL"
                    )
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
        with self._errors_named():
            found = self._db.execute("SELECT name, value, seal FROM facts WHERE name = ?", (name,)).fetchone()
        if found is None:
            return None
        _, value, seal = found
        self._check_seal("facts", found[:2], seal)
        return str(value)

    def keep_fact(self, name: str, value: str) -> None:
        """Keep `value` under `name`, replacing an older one."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

    # plan

    def plan(self, takes: Iterable[Mapping[str, Any]], facts: Mapping[str, str]) -> int:
        """Add first attempts for (song_id, setting_id, unit_id) in the order given, and the plan's facts, in one
        step. What is already there keeps its place; what is new comes after it. How many were new."""
        with self._transaction():
            known = set(self._db.execute("SELECT song_id, setting_id, unit_id FROM takes"))
            (sequence,) = self._db.execute("SELECT COALESCE(MAX(sequence) + 1, 0) FROM takes").fetchone()
            new = [take for take in takes if (take["song_id"], take["setting_id"], take["unit_id"]) not in known]
            for place, take in enumerate(new, start=sequence):
                row = {name: take[name] for name in ("song_id", "setting_id", "unit_id")}
                row |= {"take_id": take_id_of(place, 1), "attempt": 1, "sequence": place, "status": PLANNED}
                self._insert("takes", TAKES, row)
            for name, value in facts.items():
                self._db.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))
        return len(new)

    def planned(self, setting_id: str | None = None) -> list[Row]:
        """Takes yet to do (at `setting_id`, if given), in the order of the plan."""
        if setting_id is None:
            return list(self._rows("SELECT * FROM takes WHERE status = ? ORDER BY sequence, attempt", TAKES, PLANNED))
        query = "SELECT * FROM takes WHERE status = ? AND setting_id = ? ORDER BY sequence, attempt"
        return list(self._rows(query, TAKES, PLANNED, setting_id))

    def next_planned(self) -> Row | None:
        """The first take yet to do."""
        query = "SELECT * FROM takes WHERE status = ? ORDER BY sequence, attempt LIMIT 1"
        return next(iter(self._rows(query, TAKES, PLANNED)), None)

    def planned_settings(self) -> list[str]:
        """Every setting with takes yet to do, in the order of the plan."""
        query = "SELECT setting_id FROM takes WHERE status = ? GROUP BY setting_id ORDER BY MIN(sequence)"
        with self._errors_named():
            return [setting_id for (setting_id,) in self._db.execute(query, (PLANNED,))]

    def takes(self) -> list[Row]:
        """All attempts, in the order of the plan."""
        return list(self.each_take())

    def each_take(self) -> Iterator[Row]:
        """All attempts, in the order of the plan, one at a time."""
        return self._rows("SELECT * FROM takes ORDER BY sequence, attempt", TAKES)

    def take(self, take_id: str) -> Row:
        """One attempt. `DatasetError` when there is no such one."""
        found = next(iter(self._rows("SELECT * FROM takes WHERE take_id = ?", TAKES, take_id)), None)
        if found is None:
            raise DatasetError("the journal has no such take", got=take_id)
        return found

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
        return self.supersede_all([take_id], reason)[0]

    def supersede_all(self, take_ids: Iterable[str], reason: str) -> list[str]:
        """Several accepted takes are of no use any more (a knob had moved, say), all in one step; the new take_ids."""
        with self._transaction():
            again = []
            for take_id in take_ids:
                self._finish(take_id, ACCEPTED, SUPERSEDED, {"reasons": [reason]})
                again.append(self._plan_again(take_id))
            return again

    def _plan_again(self, take_id: str) -> str:
        old = self.take(take_id)
        (attempt,) = self._db.execute(
            "SELECT MAX(attempt) + 1 FROM takes WHERE song_id = ? AND setting_id = ? AND unit_id = ?",
            (old["song_id"], old["setting_id"], old["unit_id"]),
        ).fetchone()
        again = {name: old[name] for name in ("song_id", "setting_id", "unit_id", "sequence")}
        again |= {"take_id": take_id_of(old["sequence"], attempt), "attempt": attempt, "status": PLANNED}
        self._insert("takes", TAKES, again)
        return str(again["take_id"])

    def _finish(self, take_id: str, before: str, after: str, measured: Mapping[str, Any]) -> None:
        values = _to_sql(TAKES, {**measured, "status": after})
        assignments = ", ".join(f"{name} = ?" for name in values)
        changed = self._db.execute(
            f"UPDATE takes SET seal = NULL, {assignments} WHERE take_id = ? AND status = ?",
            (*values.values(), take_id, before),
        ).rowcount
        if changed != 1:
            raise DatasetError(f"take {take_id} is not {before}, so it cannot become {after}")

    # fingerprints

    def add_fingerprint(self, row: Mapping[str, Any]) -> None:
        """A setting was probed."""
        with self._transaction():
            self._insert("fingerprints", FINGERPRINTS, row)

    def override_fingerprint(self, fingerprint_id: str, because: str) -> None:
        """Somebody accepts a probe against its verdict, by name."""
        with self._transaction():
            self._db.execute(
                "UPDATE fingerprints SET seal = NULL, override_reason = ? WHERE fingerprint_id = ?",
                (because, fingerprint_id),
            )

    def next_fingerprint_id(self) -> str:
        """The id for the next probe of a setting: `f000041`."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM fingerprints").fetchone()
        return f"f{count:06d}"

    def fingerprints(self, unit_id: str | None = None) -> list[Row]:
        """Every probe of a setting (of `unit_id`, if given), oldest first."""
        where, arguments = ("WHERE unit_id = ?", (unit_id,)) if unit_id else ("", ())
        return list(self._rows(f"SELECT * FROM fingerprints {where} ORDER BY fingerprint_id", FINGERPRINTS, *arguments))

    # sessions

    def start_session(self, session: Mapping[str, Any]) -> None:
        """Add the row of a run that begins."""
        with self._transaction():
            self._insert("sessions", SESSIONS, session)

    def end_session(self, session_id: str, ended_at: datetime) -> None:
        """Note when a run ended. A run without an end crashed."""
        with self._transaction():
            self._db.execute(
                "UPDATE sessions SET seal = NULL, ended_at = ? WHERE session_id = ?", (ended_at.isoformat(), session_id)
            )

    def sessions(self) -> list[Row]:
        """All runs, oldest first."""
        return list(self._rows("SELECT * FROM sessions ORDER BY started_at", SESSIONS))

    def save_copy(self, path: Path) -> None:
        """A consistent copy of the whole journal at `path`, for the day the disk spoils this one."""
        with self._errors_named():
            copy = sqlite3.connect(path)
            try:
                self._db.backup(copy)
            finally:
                copy.close()

    def check(self) -> None:
        """Read everything; `DatasetError` when the disk has spoilt any of it."""
        with self._errors_named():
            (first, *_) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if first != "ok":
                raise DatasetError(f"journal.sqlite is damaged ({first})", mend=RESTORE)
            for (name,) in self._db.execute("SELECT name FROM facts").fetchall():
                self.fact(name)
            for table, columns in COLUMNS.items():
                for _ in self._rows(f"SELECT * FROM {table}", columns):
                    pass

    # below: how it is done

    def _create(self, table: str) -> None:
        """Make `table`, or give an older one the columns that it lacks."""
        described = [
            f"{c.name} {SQL_TYPES[c.type]}{' PRIMARY KEY' if c.name == KEYS[table] else ''}" for c in COLUMNS[table]
        ]
        self._db.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(described)})")
        self._widen(table, {c.name: SQL_TYPES[c.type] for c in COLUMNS[table]} | {"seal": "TEXT"})

    def _widen(self, table: str, columns: Mapping[str, str]) -> None:
        known = {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}
        for name, kind in columns.items():
            if name not in known:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def _insert(self, table: str, columns: tuple[Column, ...], row: Mapping[str, Any]) -> None:
        values = _to_sql(columns, row)
        places = ", ".join("?" * len(values))
        self._db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))

    def _rows(self, query: str, columns: tuple[Column, ...], *arguments: object) -> Iterator[Row]:
        with self._errors_named():
            cursor = self._db.execute(query, arguments)
            names = [description[0] for description in cursor.description]
            for values in cursor:
                row = dict(zip(names, values, strict=True))
                sealed = [row[column.name] for column in columns]
                self._check_seal(TABLE_OF[columns], sealed, row.pop("seal"))
                yield _from_sql(columns, row)

    def groups(self, table: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of `table` in their order, `size` at a time, as SQLite holds them: values in the order of the schema,
        times and lists as text. For tables of many rows, where a dictionary for each would be most of the work."""
        names = NAMES[table]
        query = f"SELECT {', '.join(names)}, seal FROM {table} ORDER BY {ORDERS[table]}"
        with self._errors_named():
            cursor = self._db.execute(query)
            while rows := cursor.fetchmany(size):
                sealed = [row[:-1] for row in rows]
                for values, row in zip(sealed, rows, strict=True):
                    self._check_seal(table, values, row[-1])
                yield sealed

    @staticmethod
    def _check_seal(table: str, values: Sequence[object], seal: str | None) -> None:
        if seal is not None and not is_intact(seal, NAMES[table], values):
            what = f"{values[0]} in {table} is not as it was written"
            raise DatasetError(f"journal.sqlite is damaged ({what})", mend=RESTORE)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors_named():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                for table, names in NAMES.items():
                    seal = f"seal_{table}({', '.join(names)})"
                    self._db.execute(f"UPDATE {table} SET seal = {seal} WHERE seal IS NULL")
                step("journal")
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DatasetError(f"journal.sqlite cannot be written ({error})", mend="look at the disk") from error
        except sqlite3.OperationalError as error:
            if "disk I/O" in str(error) and shutil.disk_usage(self._path.parent).free > ENOUGH_BYTES:
                raise DatasetError(f"journal.sqlite cannot be written ({error})", mend="look at the disk") from error
            if "full" in str(error) or "disk I/O" in str(error):
                raise DiskFullError(
                    "disk full while writing the journal", mend="free some space and run it again"
                ) from error
            mend = "close whatever else holds it" if "locked" in str(error) else None
            raise DatasetError(f"journal.sqlite cannot be used ({error})", mend=mend) from error
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise DatasetError(f"journal.sqlite is damaged ({error})", mend=RESTORE) from error


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

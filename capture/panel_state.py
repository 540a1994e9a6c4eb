"""What the operator's page shows, as one JSON document. It is read from the files of a dataset, and changes none."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import BuscompError
from ..manifests.schema import ACCEPTED, PLANNED
from ..manifests.unit import Position, Unit
from .control import requested
from .daemon import LOGS
from .daemon_state import daemon_of
from .event_log import plain
from .finish import finish
from .front_panel import Mark, front_panel
from .live_file import live_of
from .operator_panel import moves_of, printed, way
from .question import open_question
from .reasons import OVERRIDABLE, Reason
from .standing import standing

LOGGED, CALLED = 30, 12  # takes and alarms that the page lists
LOG_TAIL_BYTES = 64 << 10
FORECAST_S, COUNT_S = 60.0, 1.0  # how long a forecast, and counts, are believed
TOLD = (
    "take_id", "song_id", "setting_id", "unit_id", "status", "started_at", "latency_samples", "xruns", "hum_dbfs",
    "noise_floor_dbfs", "gain_reduction_mean_db", "gain_reduction_max_db", "peak_dbfs", "override_reason",
)  # fmt: skip
LAST_TAKES = f"SELECT {', '.join(TOLD)}, reasons FROM takes WHERE status != ? ORDER BY started_at DESC, take_id LIMIT ?"
LAST_PROBES = "SELECT * FROM fingerprints ORDER BY fingerprint_id DESC LIMIT 12"
XRUNS = "SELECT COALESCE(SUM(xruns), 0) FROM takes WHERE session_id = ?"
OF_PASS = "SELECT COALESCE(SUM(status = ?), 0), COALESCE(SUM(status = ?), 0) FROM takes WHERE setting_id = ?"
MEANINGS: dict[str, str] = {reason.value: reason.meaning for reason in Reason}
Row = dict[str, Any]


class PanelState:
    """The document of one dataset; what is slow to count is counted once a second at most."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._songs: Row = {}
        self._counted: Row = {}
        self._counted_at = self._forecast_at = -FORECAST_S
        self._counted_for: object = None
        self._forecast: Row | None = None
        self._forecast_for: object = None

    def read(self) -> Row:
        """The document as it is now. `trouble` is a line for a person where the dataset cannot be read."""
        daemon = daemon_of(self._dataset)
        question = open_question(self._dataset) if daemon else None
        try:
            self._count(daemon, (question and question["question_id"], daemon and daemon.get("doing")))
            unit = self._dataset.unit
            found = {
                **self._counted,
                "unit": f"{unit.make} {unit.model}",
                "question": question and asked(unit, question),
                "front": self._front(unit, question),
                "trouble": None,
            }
        except (BuscompError, sqlite3.DatabaseError, OSError) as error:
            found = {"trouble": str(error), "question": None, "takes": [], "counts": {}}
        document = {
            "dataset": self._dataset.root.resolve().name,
            "daemon": daemon and {**daemon, "requested": requested(self._dataset)},
            "alarms": self._alarms(daemon),
            **found,
        }
        plain_document = plain(document)
        assert isinstance(plain_document, dict)
        return plain_document

    def meters(self) -> Row | None:
        """What sounds now, with the song's title; None where nothing is measured."""
        live = live_of(self._dataset)
        return live and {**live, "song": self._title(live.get("song_id"))}

    def _count(self, daemon: Row | None, at: object) -> None:
        """Everything that lies in the journal; at once when another step has begun (`at`)."""
        if time.monotonic() - self._counted_at < COUNT_S and at == self._counted_for:
            return
        self._counted_at, self._counted_for = time.monotonic(), at
        counts = standing(self._dataset)
        counts.pop("daemon")
        for hours in ("hours_left", "hours_of_disk_left"):  # no news for every kilobyte
            counts[hours] = counts[hours] and float(f"{counts[hours]:.3g}")
        with closing(sqlite3.connect(self._dataset.journal_path, timeout=5.0, isolation_level=None)) as journal:
            journal.execute("PRAGMA query_only = ON")
            journal.row_factory = sqlite3.Row
            takes = [dict(row) for row in journal.execute(LAST_TAKES, (PLANNED, LOGGED))]
            probes = [dict(row) for row in journal.execute(LAST_PROBES)]
            session_id = daemon["session_id"] if daemon else None
            (xruns,) = journal.execute(XRUNS, (session_id,)).fetchone()
            setting_id = (daemon or {}).get("setting_id")
            done, left = journal.execute(OF_PASS, (ACCEPTED, PLANNED, setting_id)).fetchone()
            facts = dict(journal.execute("SELECT name, value FROM facts WHERE name = 'settings'").fetchall())
        settings = {row["setting_id"]: row for row in json.loads(facts.get("settings", "[]"))}
        self._counted = {
            "counts": counts,
            "takes": [self._told(take) for take in takes],
            "probes": probes,
            "proof": _proof(probes),
            "settings": settings,
            "pass": {"done": done, "all": done + left} if done + left else None,
            "health": _health(takes, probes, xruns),
            "finish": self._finish(counts, hands_free=daemon is not None and not daemon.get("attended")),
        }

    def _finish(self, counts: Row, hands_free: bool) -> Row | None:
        key = (counts["passes"]["done"], hands_free)
        if key != self._forecast_for or time.monotonic() - self._forecast_at > FORECAST_S:
            self._forecast = finish(self._dataset, hands_free, datetime.now().replace(microsecond=0))
            self._forecast_for, self._forecast_at = key, time.monotonic()
        return self._forecast

    def _front(self, unit: Unit, question: Row | None) -> Row | None:
        """The drawing, wide and narrow."""
        probes: list[Row] = self._counted["probes"]
        target = _positions(unit, question["values"]) if question else None
        stands = self._stands(unit, probes[0]["setting_id"]) if probes else None
        if target is None:
            target = stands
        if target is None:
            return None
        now: dict[str, Position | None] = dict(target)
        marks: dict[str, Mark] = dict.fromkeys(unit.controls, "unproven")
        proven = next((row for row in probes if question is None or row["unit_id"] == question["unit_id"]), None)
        if proven is not None and proven["verdict"] == "match" and (there := self._stands(unit, proven["setting_id"])):
            marks |= {name: "proven" for name in unit.controls if there[name] == target[name]}
        if question is not None and question["kind"] == "bring":
            before = _positions(unit, question["before"])
            for name in moves_of(unit, target, before):
                now[name] = before[name] if before else None
                marks[name] = "move"
        elif question is not None and question["suspect"]:
            at = question["suspect_at"]
            now[question["suspect"]] = None if at is None else unit.controls[question["suspect"]].position(at)
            marks[question["suspect"]] = "suspect"
        return {
            "wide": front_panel(unit, target, now, marks, columns=4),
            "narrow": front_panel(unit, target, now, marks, columns=2),
        }

    def _stands(self, unit: Unit, setting_id: str) -> dict[str, Position] | None:
        row = self._counted["settings"].get(setting_id)
        return unit.from_row(row) if row else None

    def _told(self, take: Row) -> Row:
        """A take as the page lists it."""
        reasons = json.loads(take.pop("reasons") or "[]")
        why = None
        if take["status"] == "rejected":
            with suppress(OSError, ValueError):
                path = self._dataset.attempt_folder(take["take_id"]) / "reasons.json"
                why = json.loads(path.read_text(encoding="utf-8")).get("why")
        meanings = [MEANINGS.get(code, code) for code in reasons]
        overridable = [code for code in reasons if code in OVERRIDABLE]
        told = {"song": self._title(take["song_id"]), "reasons": reasons, "why": why or "; ".join(meanings)}
        return {**take, **told, "overridable": overridable if take["status"] == "rejected" else []}

    def _title(self, song_id: str | None) -> str | None:
        """The song as its catalogue calls it."""
        if song_id is None:
            return None
        if song_id not in self._songs and self._dataset.table_path("songs").exists():
            with suppress(BuscompError):
                self._songs = {row["song_id"]: row for row in self._dataset.rows("songs")}
        row = self._songs.get(song_id, {})
        title = row.get("title") or song_id
        return f"{title} ({row['artist']})" if row.get("artist") else str(title)

    def _alarms(self, daemon: Row | None) -> list[Row]:
        """The last alarms of the session, or of the one before, the newest first."""
        logs = self._dataset.root / LOGS
        if daemon is not None:
            path = logs / f"{daemon['session_id']}.jsonl"
        else:  # why the last one ended is still worth knowing
            path = max(logs.glob("*.jsonl"), key=lambda log: log.stat().st_mtime, default=logs / "none.jsonl")
        rows = [row for row in tail(path) if row.get("event") == "alarm"]
        return [{name: row.get(name) for name in ("time", "alarm", "told")} for row in rows[: -CALLED - 1 : -1]]


def asked(unit: Unit, question: Row) -> Row:
    """The question in words: what to move, where to, where from and which way."""
    values = _positions(unit, question["values"])
    assert values is not None
    before = _positions(unit, question["before"])
    suspect = question["suspect"]
    found = moves_of(unit, values, before)
    if suspect in unit.controls:
        at = question["suspect_at"]
        origin = None if at is None else unit.controls[suspect].position(at)
        found = {suspect: (unit.controls[suspect], values[suspect], origin)}
    moves = [
        {
            "control": name,
            "label": control.label,
            "to": printed(control, value),
            "from": None if origin is None else printed(control, origin),
            "way": "" if origin is None else way(control, origin, value).removeprefix(": "),
            "held": control.held is not None and control.position(control.held) == value,
        }
        for name, (control, value, origin) in found.items()
    ]
    kept = ("question_id", "kind", "unit_id", "serial", "setting_id", "told", "asked_at")
    return {name: question[name] for name in kept} | {"moves": moves, "suspect": suspect}


def tail(path: Path) -> list[Row]:
    """The last lines of a log, as far as they are whole."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        with suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append(row)
    return rows


def _positions(unit: Unit, values: Mapping[str, object] | None) -> dict[str, Position] | None:
    """What JSON made of positions, as positions again."""
    return None if values is None else {name: unit.controls[name].position(values[name]) for name in unit.controls}


def _proof(probes: list[Row]) -> Row | None:
    """What the last fingerprint said."""
    if not probes:
        return None
    names = (
        "fingerprint_id",
        "setting_id",
        "unit_id",
        "occasion",
        "verdict",
        "told",
        "knob",
        "measured_at",
        "override_reason",
    )
    return {name: probes[0][name] for name in names}


def _health(takes: list[Row], probes: list[Row], xruns: int) -> Row:
    """The newest figure of each kind, whether a take or a fingerprint has it."""
    rows: list[Row] = [*takes, *probes]
    rows.sort(key=lambda row: row.get("started_at") or row.get("measured_at") or "", reverse=True)
    names = ("latency_samples", "noise_floor_dbfs", "hum_dbfs")
    newest = {name: next((row[name] for row in rows if row.get(name) is not None), None) for name in names}
    return {**newest, "xruns": xruns}

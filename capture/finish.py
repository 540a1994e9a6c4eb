"""When a capture that has begun will be finished: by the calendar of its grid, or by the hours of work left."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import BuscompError
from ..manifests.schema import ACCEPTED, PLANNED
from .grid import load_grid
from .plan import make_plan, planned_songs
from .shifts import simulate
from .visits import visits

FINGERPRINTS = (
    "SELECT unit_id, setting_id, occasion, verdict, override_reason FROM fingerprints ORDER BY fingerprint_id"
)
TAKES = "SELECT song_id, setting_id, unit_id, status FROM takes"


def finish(dataset: Dataset, hands_free: bool, now: datetime) -> dict[str, Any] | None:
    """`at`, a local time without zone, and `calendar`: whether operator's shifts are in it. Nobody is waited for where
    the panel is `hands_free`, and where the grid has no calendar. None where nothing is left, or where grid.yaml does
    not fit the dataset any more."""
    try:
        with closing(sqlite3.connect(dataset.journal_path, timeout=5.0, isolation_level=None)) as journal:
            journal.execute("PRAGMA query_only = ON")
            journal.row_factory = sqlite3.Row
            takes = [dict(row) for row in journal.execute(TAKES)]
            fingerprints = [dict(row) for row in journal.execute(FINGERPRINTS)]
        grid, unit = load_grid(dataset.grid_path), dataset.unit
        songs = [row for row in dataset.rows("songs") if row["status"] == ACCEPTED]
        units = tuple(dict.fromkeys(take["unit_id"] for take in takes))
        plan = make_plan(songs, grid, unit, units, planned_songs(takes))
    except (BuscompError, sqlite3.DatabaseError, OSError):
        return None
    songs_left = planned_songs(take for take in takes if take["status"] == PLANNED)
    left_s = {
        setting_id: sum(plan.durations_s.get(song_id, 0.0) for song_id in song_ids)
        for setting_id, song_ids in songs_left.items()
    }
    left = visits(plan, left_s, fingerprints, now)
    passes = plan.passes(left=left, songs_left=songs_left)
    if not passes:
        return None
    shifts = None if hands_free else grid.shifts
    if shifts is None:
        working_s = sum(one.attended_s + one.left_s for one in passes)
        return {"at": now + timedelta(seconds=working_s), "calendar": False}
    return {"at": simulate(passes, shifts, now).finish, "calendar": True}

"""How far a capture is: counted in the journal, without writing anything and beside a running daemon."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.schema import ACCEPTED, PLANNED, REJECTED
from .daemon_state import daemon_of
from .plan import BYTES_PER_SAMPLE, FLAC_RATIO

NEXT = "SELECT take_id, song_id, setting_id, unit_id FROM takes WHERE status = ? ORDER BY sequence, attempt LIMIT 1"
PASSES = """
    SELECT COUNT(*), COALESCE(SUM(left_to_do = 0), 0)
    FROM (SELECT SUM(status = ?) AS left_to_do FROM takes GROUP BY setting_id)
"""


def standing(dataset: Dataset) -> dict[str, Any]:
    """What `buscomp status --json` prints.

    - takes: how many are in each status. next: the first one yet to do, or null.
    - passes: settings of which every take is done, and all settings.
    - reasons: how many rejected takes have each reason code.
    - hours_left: of the units at work, by the songs that are planned and by how much longer than its song a take has
      lasted so far; without knob moves. null where no song table says how long a song is.
    - hours_of_disk_left: of audio of one unit that the free space holds.
    - daemon: what the running daemon said last, or null.
    """
    if not dataset.journal_path.exists():
        raise DatasetError("nothing is planned here yet", mend="type `buscomp capture` first")
    try:
        with closing(sqlite3.connect(dataset.journal_path, timeout=5.0, isolation_level=None)) as journal:
            journal.execute("PRAGMA query_only = ON")
            counted = _count(dataset, journal)
    except sqlite3.DatabaseError as error:
        raise DatasetError(f"journal.sqlite cannot be read ({error})", mend="type `buscomp verify`") from error
    return {**counted, "daemon": daemon_of(dataset)}


def _count(dataset: Dataset, journal: sqlite3.Connection) -> dict[str, Any]:
    takes = dict(journal.execute("SELECT status, COUNT(*) FROM takes GROUP BY status"))
    following = journal.execute(NEXT, (PLANNED,)).fetchone()
    passes, passes_done = journal.execute(PASSES, (PLANNED,)).fetchone()
    reasons: Counter[str] = Counter()
    for codes, count in journal.execute(
        "SELECT reasons, COUNT(*) FROM takes WHERE status = ? GROUP BY reasons", (REJECTED,)
    ):
        reasons.update(dict.fromkeys(json.loads(codes or "[]"), count))
    return {
        "takes": takes,
        "next": following and dict(zip(("take_id", "song_id", "setting_id", "unit_id"), following, strict=True)),
        "passes": {"done": passes_done, "all": passes},
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        **_forecast(dataset, journal),
    }


def _forecast(dataset: Dataset, journal: sqlite3.Connection) -> dict[str, float | None]:
    if not dataset.table_path("songs").exists():
        return {"hours_left": None, "hours_of_disk_left": None}
    songs = {row["song_id"]: row for row in dataset.rows("songs") if row["dry_path"]}
    lengths_s = {song_id: row["frames"] / row["sample_rate"] for song_id, row in songs.items()}
    query = "SELECT song_id, COUNT(DISTINCT setting_id) FROM takes WHERE status = ? GROUP BY song_id"
    left_s = sum(lengths_s.get(song_id, 0.0) * count for song_id, count in journal.execute(query, (PLANNED,)))
    query = "SELECT song_id, COUNT(*), SUM(elapsed_s) FROM takes WHERE status = ? AND elapsed_s > 0 GROUP BY song_id"
    played_s = elapsed_s = 0.0
    for song_id, count, seconds in journal.execute(query, (ACCEPTED,)):
        played_s += lengths_s.get(song_id, 0.0) * count
        elapsed_s += seconds
    stretch = elapsed_s / played_s if played_s else 1.0
    rates = {row["sample_rate"] * row["channels"] for row in songs.values()}  # samples of all channels per second
    hourly_bytes = max(rates, default=0) * BYTES_PER_SAMPLE * FLAC_RATIO * 3600
    free_bytes = shutil.disk_usage(dataset.root).free
    return {
        "hours_left": left_s * stretch / 3600,
        "hours_of_disk_left": free_bytes / hourly_bytes if hourly_bytes else None,
    }


def told(standing: dict[str, Any]) -> list[str]:
    """The same for a person: one line for takes, and more where there is more to say."""
    takes, following, daemon = standing["takes"], standing["next"], standing["daemon"]
    counts = ", ".join(f"{count} {state}" for state, count in sorted(takes.items()))
    after = f"Next: {following['song_id']} at {following['setting_id']}." if following else "Everything is captured."
    lines = [f"Takes: {counts or 'none'}. {after}"]
    if following:
        passes, hours = standing["passes"], standing["hours_left"]
        left = "" if hours is None else f" About {hours:.1f} hours of the unit at work are left."
        lines.append(f"Passes: {passes['done']} of {passes['all']} done.{left}")
        if (disk_hours := standing["hours_of_disk_left"]) is not None:
            lines.append(f"Disk: room for {disk_hours:.0f} hours of audio.")
    if standing["reasons"]:
        lines.append("Rejected: " + ", ".join(f"{count} {code}" for code, count in standing["reasons"].items()) + ".")
    if daemon is not None:
        lines += _daemon_told(daemon)
    return lines


def _daemon_told(daemon: dict[str, Any]) -> list[str]:
    what = str(daemon.get("doing"))
    if daemon.get("song_id") or daemon.get("setting_id"):
        named = (str(daemon[name]) for name in ("song_id", "setting_id") if daemon.get(name))
        what += f" ({' at '.join(named)})"
    if daemon.get("requested") in ("pause", "stop"):
        what += f"; will {daemon['requested']} after this take"
    lines = [f"Daemon: process {daemon['pid']} on {daemon['host']} since {daemon['since']}: {what}."]
    if daemon.get("eta"):
        each = daemon["seconds_per_take"]
        lines.append(
            f"        {daemon['takes_done']} takes in this session, {each:.1f} s each; done by {daemon['eta']}."
        )
    if alarm := daemon.get("last_alarm"):
        lines.append(f"Alarm: {alarm['told']} ({alarm['time']})")
    return lines

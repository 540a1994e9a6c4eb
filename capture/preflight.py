"""Everything that must hold before the first take, checked before anything is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.journal import Journal
from ..manifests.schema import ACCEPTED
from ..manifests.storage import require_space, write_text
from ..manifests.unit import Setting, Unit, load_unit
from .calibration import load_calibration
from .device import DeviceProfile
from .grid import load_grid
from .plan import Plan, make_plan, planned_songs
from .profiles import find_profile
from .rack import units_of
from .staging import Staging

LEVELS = ("dbu_at_0dbfs_out", "dbu_at_0dbfs_in")
LEVEL_TOLERANCE_DB = 0.2  # of one calibration to the next: a meter's reading, a warm interface
PLACE_COLUMNS = {"visit_order", "moves_from_previous"}  # may change when a plan grows
RESERVE_BYTES = 64 << 20  # so that the journal can be closed in an orderly way on a disk that fills up


@dataclass(frozen=True)
class Ready:
    """A plan that fits the dataset, the unit and the songs, with the texts it was read from."""

    plan: Plan
    unit: Unit  # the profile: model and controls
    units: tuple[Unit, ...]  # what stands at the rack, each with its serial
    levels: dict[str, float | None]  # dbu_at_0dbfs_out and dbu_at_0dbfs_in: calibrated, else as the device profile says
    settings: dict[str, Setting]
    songs: dict[str, dict[str, Any]]
    unit_text: str
    grid_text: str
    facts: dict[str, str]  # what a later session must find unchanged


def preflight(dataset: Dataset, grid_name: str, device_name: str, profile: DeviceProfile, staging: Staging) -> Ready:
    """Read songs, grid and unit, and refuse with one line whatever would spoil a take later.

    Refused: no songs, a song whose true peak would pass full scale after the boost, a song at another rate than the
    device's, a grid that does not fit the unit, too little disk for a take.
    """
    songs = {row["song_id"]: row for row in dataset.rows("songs") if row["status"] == ACCEPTED}
    if not songs:
        raise UsageError("the catalog has no usable song", mend="look at `buscomp catalog songs`")
    for song in songs.values():
        if song["sample_rate"] != profile.sample_rate:
            raise UsageError(
                f"song {song['song_id']} has another sample rate than the device",
                got=f"{song['sample_rate']} Hz",
                allowed=f"{profile.sample_rate} Hz",
            )
    staging.require_headroom(songs.values())
    grid_path = find_profile(grid_name, dataset.root, "grid")
    grid = load_grid(grid_path)
    unit_path = grid.unit_path(dataset.root)
    unit = load_unit(unit_path)
    units = units_of(profile, unit)
    planned = None
    if dataset.journal_path.exists():
        with dataset.journal() as journal:
            planned = planned_songs(journal.each_take())
    plan = make_plan(songs.values(), grid, unit, tuple(one.unit_id for one in units), planned)
    levels = reference_levels(dataset, device_name, profile)
    longest = max(song["frames"] * song["channels"] * 4 for song in songs.values())
    require_space(dataset.root, 3 * longest + RESERVE_BYTES, "a take")
    return Ready(
        plan=plan,
        unit=unit,
        units=units,
        levels=levels,
        settings={setting.setting_id: setting for setting in plan.settings},
        songs=songs,
        unit_text=unit_path.read_text(),
        grid_text=grid_path.read_text(),
        facts={
            "plan_sha256": plan.sha256,
            "songs": json.dumps({song_id: song["dry_sha256"] for song_id, song in sorted(songs.items())}),
            "settings": json.dumps(plan.settings_rows),
            "unit_id": ",".join(one.unit_id for one in units),
            "device": device_name,
            "sample_rate": str(profile.sample_rate),
            "settling": plan.settling,
            "send_boost_db": f"{staging.send_boost_db:g}",
            "return_trim_db": f"{staging.return_trim_db:g}",
            **{name: f"{level:.2f}" for name, level in levels.items() if level is not None},
        },
    )


def reference_levels(dataset: Dataset, device_name: str, profile: DeviceProfile) -> dict[str, float | None]:
    """dBu at digital full scale, out and in: what `buscomp calibrate` measured, else what the device profile says."""
    calibration = load_calibration(dataset, device_name)
    levels = {}
    for name in LEVELS:
        measured = None if calibration is None else getattr(calibration, name)
        levels[name] = getattr(profile, name) if measured is None else measured
    return levels


def commit_plan(dataset: Dataset, journal: Journal, ready: Ready, extend: bool) -> int:
    """Write the plan into the journal, or find that it is there already. How many takes are new.

    A resumed capture must be the same capture: a changed song, setting, unit, device, rate, staging or reference level
    is a `UsageError`. New songs and new settings are welcome with `extend`.
    """
    if journal.fact("plan_sha256") is None and dataset.backup_path.exists():
        raise DatasetError(
            "journal.sqlite is lost: it is empty, and a copy of it is there", mend="type `buscomp verify --restore`"
        )
    for name in ("unit_id", "device", "sample_rate", "send_boost_db", "return_trim_db", "settling"):
        before = journal.fact(name)
        if before not in (None, ready.facts[name]):
            raise UsageError(
                f"this dataset was captured with another {name.removesuffix('_id').replace('_', ' ')}",
                got=ready.facts[name],
                allowed=before,
                mend="capture into a new dataset folder",
            )
    for name in LEVELS:
        before, now = journal.fact(name), ready.facts.get(name)
        if before is not None and now is not None and abs(float(now) - float(before)) > LEVEL_TOLERANCE_DB:
            raise UsageError(
                f"the reference level {name} has changed since this dataset was begun",
                got=f"{now} dBu",
                allowed=f"{before} dBu within {LEVEL_TOLERANCE_DB:g} dB",
                mend="set the interface's gains as they were and type `buscomp calibrate` again",
            )
        if before is None and now is not None:
            journal.keep_fact(name, now)
    known = journal.fact("plan_sha256")
    if known == ready.plan.sha256:
        return 0
    if known is not None:
        _refuse_losses(journal, ready)
        if not extend:
            raise UsageError(
                "the grid or the songs have grown since this capture was planned",
                mend="add --extend to plan the new takes too, or restore grid.yaml and the songs",
            )
    _keep_text(dataset.unit_path, ready.unit_text)
    _keep_text(dataset.grid_path, ready.grid_text)
    return journal.plan(ready.plan.takes_rows, ready.facts)


def _refuse_losses(journal: Journal, ready: Ready) -> None:
    """Every song and setting that was planned must still be there, unchanged."""
    for song_id, sha256 in json.loads(journal.fact("songs") or "{}").items():
        if song_id not in ready.songs:
            raise UsageError(f"song {song_id} was planned and is gone from the catalog", mend="put it back")
        if ready.songs[song_id]["dry_sha256"] != sha256:
            raise UsageError(
                f"song {song_id} has changed since it was planned", mend="restore it, or give it a new name"
            )
    now = {row["setting_id"]: row for row in ready.plan.settings_rows}
    for row in json.loads(journal.fact("settings") or "[]"):
        changed = any(now.get(row["setting_id"], {}).get(name) != row[name] for name in set(row) - PLACE_COLUMNS)
        if changed:
            raise UsageError(
                f"setting {row['setting_id']} was planned and is gone from the grid, or has changed",
                mend="restore grid.yaml and unit.yaml, or capture into a new dataset folder",
            )


def _keep_text(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        write_text(path, text)

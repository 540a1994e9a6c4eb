"""The verb `plan`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ..manifests.console import dataset_option, json_option, note, tell
from .profiles import grid_option

FIRST_SETTINGS = 6  # enough to see how the knobs go
DESIGNS = {"full": "every song at every setting", "balanced-incomplete": "every setting on a block of songs"}


@click.command()
@grid_option
@click.option("--hands-free", is_flag=True, help="The panel turns itself: wait for nobody.")
@dataset_option
@json_option
def plan(grid: str, hands_free: bool, dataset_path: Path, as_json: bool) -> None:
    """Dry run of a capture: takes, hours, bytes, knob moves, days. Writes nothing.

    Counts the songs of the catalog; without one, settings and moves alone. `--json` lists every setting in
    visiting order.

    Example: buscomp plan --grid grid-192.yaml
    """
    from ..manifests.dataset import Dataset
    from ..manifests.errors import UsageError
    from ..manifests.unit import load_unit
    from .grid import load_grid
    from .plan import make_plan, planned_songs
    from .profiles import find_profile

    dataset = Dataset(dataset_path)
    if not dataset.root.is_dir():
        raise UsageError(f"no such folder: {dataset_path}")
    chosen = load_grid(find_profile(grid, dataset.root, "grid"))
    unit = load_unit(chosen.unit_path(dataset.root))
    cataloged = dataset.table_path("songs").exists()
    before = dataset.rows("takes") if chosen.design.kind != "full" and dataset.table_path("takes").exists() else []
    songs = dataset.rows("songs") if cataloged else []
    planned = make_plan(songs, chosen, unit, planned=planned_songs(before))
    if not cataloged:
        note("No catalog yet, so no song is counted: type `buscomp catalog songs` first for takes, hours and bytes.")
    summary = planned.summary(hands_free=hands_free)
    tell(
        as_json,
        {"unit_id": unit.unit_id, "plan_sha256": planned.sha256, **summary, "settings": planned.settings_rows},
        f"Unit      {unit.make} {unit.model}",
        *_told(summary),
        "First     " + "\n          ".join(setting.setting_id for setting in planned.settings[:FIRST_SETTINGS]),
    )


def _told(summary: dict[str, Any]) -> list[str]:
    """The figures of a plan, one a line."""
    settings, moves = summary["settings_by_origin"], summary["moves"]
    grid, random = settings["grid"], settings["random"]
    kept = "" if grid == summary["combinations"] else f" of {summary['combinations']} combinations"
    extra = f" + {moves['extra']} for anchors and calibration" if moves["extra"] else ""
    lines = [
        f"Settings  {grid + random} = {grid} grid{kept} + {random} random",
        f"Moves     {moves['total']} knobs turned = {moves['grid']} in the grid + {moves['random']} for the random "
        f"settings{extra}, {summary['operator_hours']:.1f} hours of an operator, order {summary['order']}",
    ]
    if summary["anchors"] or summary["calibrations"]:
        kinds = {name: count for name in ("calibrations", "anchors") if (count := summary[name])}
        beside = " and ".join(f"{count} {name}" for name, count in kinds.items())
        lines.append(f"Visits    {grid + random} passes; {beside}, in {60 * summary['extra_visits_hours']:.1f} minutes")
    if not summary["takes"]:
        return lines
    lines += _told_takes(summary, grid + random)
    if calendar := summary["calendar"]:
        finish = datetime.fromisoformat(calendar["finish"])
        lines.append(
            f"Finish    {finish:%Y-%m-%d %H:%M}, after {calendar['days']:.1f} days, {calendar['duty']:.1%} of them at "
            f"work; {calendar['operator_visits']} visits, {calendar['waiting_hours']:.0f} hours of waiting for somebody"
        )
    lines.append(f"Disk      {_bytes(summary['wet_bytes'])} of FLAC, at 0.60 of 24-bit PCM")
    return lines


def _told_takes(summary: dict[str, Any], settings: int) -> list[str]:
    """What is played, and how long."""
    takes, songs, units = summary["takes"], summary["songs"], summary["units"]
    by_units = f" x {units} units" if units > 1 else ""
    if takes == songs * settings * units:
        lines = [f"Takes     {takes} = songs x settings = {songs} x {settings}{by_units}"]
    else:
        lines = [f"Takes     {takes} of {songs * settings * units} songs x settings{by_units}"]
    if summary["design"] != "full":
        saved = summary["hours_saved_by_design"]
        full = saved + summary["hours"]
        lines.append(f"Design    {DESIGNS[summary['design']]}: saves {saved:.1f} of {full:.1f} hours")
    return [
        *lines,
        f"Hours     {summary['hours']:.1f}, {summary['settling_hours']:.1f} of them silence in which the unit "
        f"forgets the take before, {summary['fingerprint_hours']:.1f} fingerprints",
        f"Days      {summary['days_continuous']:.1f}, round the clock",
    ]


def _bytes(count: int) -> str:
    """A size as disks are sold: 2.4 TB."""
    for power, name in ((12, "TB"), (9, "GB")):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {name}"
    return f"{count / 10**6:.1f} MB"

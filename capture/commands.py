"""The verbs `plan`, `devices` and `capture`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..manifests.console import counter, dataset_option, json_option, note, tell
from .devices import devices

__all__ = ["capture", "devices", "plan"]

FIRST_SETTINGS = 6  # enough to see how the knobs go


@click.command()
@click.option("--grid", default="grid.yaml", show_default=True, help="A file, or a shipped grid.")
@dataset_option
@json_option
def plan(grid: str, dataset_path: Path, as_json: bool) -> None:
    """Dry run of a capture: takes, hours, bytes, knob moves, days. Writes nothing.

    Counts the songs of the catalog; without one, settings and moves alone. `--json` lists every setting in
    visiting order.

    Example: buscomp plan --grid grid-192.yaml
    """
    from ..manifests.dataset import Dataset
    from ..manifests.errors import UsageError
    from ..manifests.unit import load_unit
    from .grid import load_grid
    from .plan import make_plan
    from .profiles import find_profile

    dataset = Dataset(dataset_path)
    if not dataset.root.is_dir():
        raise UsageError(f"no such folder: {dataset_path}")
    chosen = load_grid(find_profile(grid, dataset.root, "grid"))
    unit = load_unit(chosen.unit_path(dataset.root))
    cataloged = dataset.table_path("songs").exists()
    planned = make_plan(dataset.rows("songs") if cataloged else [], chosen, unit)
    if not cataloged:
        note("No catalog yet, so no song is counted: type `buscomp catalog songs` first for takes, hours and bytes.")
    summary = planned.summary()
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
    lines = [
        f"Settings  {grid + random} = {grid} grid{kept} + {random} random",
        f"Moves     {moves['total']} knobs turned = {moves['grid']} in the grid + {moves['random']} for the random "
        f"settings, {summary['operator_hours']:.1f} hours of an operator",
    ]
    if summary["takes"]:
        lines += [
            f"Takes     {summary['takes']} = songs x settings = {summary['songs']} x {grid + random}",
            f"Hours     {summary['hours']:.1f}, {summary['settling_hours']:.1f} of them silence in which the unit "
            "forgets the take before",
            f"Days      {summary['days_continuous']:.1f}, round the clock",
            f"Disk      {_bytes(summary['wet_bytes'])} of FLAC, at 0.60 of 24-bit PCM",
        ]
    return lines


def _bytes(count: int) -> str:
    """A size as disks are sold: 2.4 TB."""
    for power, name in ((12, "TB"), (9, "GB")):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {name}"
    return f"{count / 10**6:.1f} MB"


@click.command()
@click.option("--device", required=True, help="A device profile, or a part of the device's name.")
@click.option("--grid", default="grid.yaml", show_default=True, help="A file, or a shipped grid.")
@click.option("--operator", help="Who is at the rack, for the record.  [default: the user]")
@click.option("--extend", is_flag=True, help="Also plan songs and settings that are new since the first plan.")
@dataset_option
@json_option
def capture(device: str, grid: str, operator: str | None, extend: bool, dataset_path: Path, as_json: bool) -> None:
    """Play every song at every setting and record what comes back.

    Goes on where an earlier run stopped and repeats nothing. Stop it with Ctrl-C whenever you like. Exit status 0:
    everything planned is captured; 1: something is still to do; 130: stopped by you.

    Example: buscomp capture --device fireface --grid grid.yaml
    """
    from ..manifests.dataset import Dataset
    from ..manifests.schema import ACCEPTED, PLANNED
    from .capture import capture as carry_out

    dataset, stopped = Dataset(dataset_path), False
    try:
        carry_out(
            dataset,
            device=device,
            grid=grid,
            operator=operator,
            extend=extend,
            report=note,
            progress=counter("capture"),
        )
    except KeyboardInterrupt:
        if not dataset.journal_path.exists():
            raise
        stopped = True
    with dataset.journal() as journal:
        counts = journal.counts()
    accepted, planned = counts.get(ACCEPTED, 0), counts.get(PLANNED, 0)
    others = "".join(
        f", {count} {state}" for state, count in sorted(counts.items()) if state not in (ACCEPTED, PLANNED)
    )
    told = f"{accepted} of {accepted + planned} takes are captured ({accepted} accepted, {planned} planned{others})."
    after = "The same command goes on." if planned else "Type `buscomp split` next."
    tell(as_json, {"takes": counts, "stopped": stopped}, f"{'Stopped: ' if stopped else ''}{told} {after}")
    if planned:
        click.get_current_context().exit(130 if stopped else 1)

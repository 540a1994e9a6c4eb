"""The verbs of this room: `capture` here, the others beside what they are about."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from ..manifests.console import counter, dataset_option, json_option, note, tell
from .calibrate_commands import calibrate
from .daemon_commands import pause, resume, status, stop
from .devices import devices
from .panel_commands import page_beside, panel
from .plan_commands import plan
from .profiles import device_option, grid_option

__all__ = ["calibrate", "capture", "devices", "panel", "pause", "plan", "resume", "status", "stop"]


@click.command()
@device_option
@grid_option
@click.option("--operator", help="Who is at the rack, for the record.  [default: the user]")
@click.option("--extend", is_flag=True, help="Also plan songs and settings that are new since the first plan.")
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="CODE=WHY",
    help="Accept takes against the alarm CODE, in the operator's name. May be given several times.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="With --device virtual: commit a fault, such as swap, drop:256@1.5 or knob:release+1. Several times.",
)
@click.option("--panel", "with_page", is_flag=True, help="Serve the operator's page too: see `buscomp panel`.")
@dataset_option
@json_option
def capture(
    device: str,
    grid: str,
    operator: str | None,
    extend: bool,
    overrides: tuple[str, ...],
    faults: tuple[str, ...],
    with_page: bool,
    dataset_path: Path,
    as_json: bool,
) -> None:
    """Play every song at every setting and record what comes back.

    Goes on where an earlier run stopped and repeats nothing. Ctrl-C stops after the take in progress, a second one at
    once; `buscomp pause`, `resume` and `stop` do the same from elsewhere. Exit status 0: everything planned is
    captured; 1: something is still to do; 130: stopped by you.

    Example: buscomp capture --device fireface --grid grid.yaml
    """
    from ..manifests.dataset import Dataset
    from ..manifests.schema import ACCEPTED, PLANNED
    from .capture import capture as carry_out

    dataset = Dataset(dataset_path)
    try:
        with page_beside(dataset.root) if with_page else nullcontext():
            stopped = not carry_out(
                dataset,
                device=device,
                grid=grid,
                operator=operator,
                extend=extend,
                overrides=overrides,
                faults=faults,
                page=with_page,
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

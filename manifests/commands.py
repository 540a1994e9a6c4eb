"""The verb `verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .console import counter, dataset_option, json_option, progress, tell

SHOWN = 10  # takes that the model believes least; --json has all


@click.command()
@dataset_option
@click.option("--rebuild", is_flag=True, help="First write settings, takes and sessions again from the journal.")
@click.option("--restore", is_flag=True, help="First put journal.backup.sqlite in the place of a damaged journal.")
@click.option("--retake", is_flag=True, help="Plan every take anew whose file is missing, corrupt or misaligned.")
@click.option(
    "--jobs", type=click.IntRange(1), help="How many local processes.  [default: one per core, fewer for little audio]"
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Work on the Dask scheduler there, tcp://host:8786, instead of here."
)
@click.option("--again", is_flag=True, help="Begin anew, though the last run was interrupted.")
@click.option("--only-new", is_flag=True, help="Check only what no earlier run has found right, or changed since.")
@click.option("--with-model", metavar="RUN", help="Rank the takes by how little this trained model believes them.")
@json_option
@click.pass_obj
def verify(
    doors: dict[str, Callable[..., Any]],
    dataset_path: Path,
    rebuild: bool,
    restore: bool,
    retake: bool,
    jobs: int | None,
    scheduler: str | None,
    again: bool,
    only_new: bool,
    with_model: str | None,
    as_json: bool,
) -> None:
    """Check every file against the tables: missing, corrupt, misaligned, unlisted.

    Decodes all dry and accepted wet audio: hash, length, rate, level, and whether wet lies where its dry audio lies. No
    audio is changed or deleted. `--rebuild` writes the derived tables again from the journal, `--retake` puts lost
    takes back into the plan. A run that was interrupted goes on where it stopped. `--with-model` asks a model of
    `buscomp train`, too: a take with a wrong knob comes out on top. Exit status 1: something is wrong.

    Example: buscomp verify --dataset my-dataset
    """
    from .dataset import open_dataset
    from .finding import SUSPECT, Finding
    from .integrity import plan_again
    from .integrity import verify as check
    from .verified import Verified

    dataset = open_dataset(dataset_path)
    if restore:
        from .recovery import restore_journal

        with dataset.lock():
            restore_journal(dataset)
    if rebuild:
        with dataset.lock(), dataset.journal() as journal:
            dataset.snapshot(journal)
    audit = None if with_model is None else doors["audit"](dataset, with_model)
    with Verified(dataset.root, again=again, only_new=only_new) as known:
        findings, checked = check(dataset, jobs=jobs, scheduler=scheduler, known=known, count=counter("verify"))
    planned = []
    if retake:
        with dataset.lock():
            planned = plan_again(dataset, findings)
    ranked = []
    if audit is not None:
        ranked = audit(progress=lambda items: progress(items, "audit"))
        findings += [Finding(SUSPECT, one.wet_path, one.told) for one in ranked if one.suspect]
    kinds = Counter(finding.kind for finding in findings)
    summary = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing wrong"
    tell(
        as_json,
        {
            "checked_files": checked,
            "known_files": known.known,
            "findings": [vars(finding) for finding in findings],
            "planned_again": planned,
            "ranked": [vars(one) for one in ranked],
        },
        *(f"{finding.kind:10} {finding.path}: {finding.detail}" for finding in findings),
        *([f"{known.known} files were found right before, and are unchanged since."] if known.known else []),
        f"{checked} audio files decoded and hashed: {summary}.",
        *([f"Least believed by {with_model}, of {len(ranked)} takes:"] if ranked else []),
        *(f"{place:4}. {one.wet_path}: {one.told}" for place, one in enumerate(ranked[:SHOWN], 1)),
        *([f"{len(planned)} takes are planned anew: type `buscomp capture`."] if retake else []),
    )
    if findings:
        click.get_current_context().exit(1)

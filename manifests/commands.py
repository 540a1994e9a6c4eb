"""The verb `verify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from .console import dataset_option, json_option, progress, tell


@click.command()
@dataset_option
@click.option("--rebuild", is_flag=True, help="First write settings, takes and sessions again from the journal.")
@click.option("--restore", is_flag=True, help="First put journal.backup.sqlite in the place of a damaged journal.")
@click.option("--retake", is_flag=True, help="Plan every take anew whose file is missing or corrupt.")
@json_option
def verify(dataset_path: Path, rebuild: bool, restore: bool, retake: bool, as_json: bool) -> None:
    """Check every file against the tables: missing, corrupt, unlisted.

    Decodes and hashes all dry and accepted wet audio. No audio is changed or deleted. `--rebuild` writes the derived
    tables again from the journal, `--retake` puts lost takes back into the plan. Exit status 1 when something is wrong.

    Example: buscomp verify --dataset my-dataset
    """
    from .dataset import open_dataset
    from .integrity import plan_again
    from .integrity import verify as check

    dataset = open_dataset(dataset_path)
    if restore:
        from .recovery import restore_journal

        with dataset.lock():
            restore_journal(dataset)
    if rebuild:
        with dataset.lock(), dataset.journal() as journal:
            dataset.snapshot(journal)
    findings, checked = check(dataset, lambda files: progress(list(files), "verify"))
    again = []
    if retake:
        with dataset.lock():
            again = plan_again(dataset, findings)
    kinds = Counter(finding.kind for finding in findings)
    summary = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing wrong"
    tell(
        as_json,
        {"checked_files": checked, "findings": [vars(finding) for finding in findings], "planned_again": again},
        *(f"{finding.kind:9} {finding.path}: {finding.detail}" for finding in findings),
        f"{checked} audio files decoded and hashed: {summary}.",
        *([f"{len(again)} takes are planned anew: type `buscomp capture`."] if retake else []),
    )
    if findings:
        click.get_current_context().exit(1)

"""A journal that the disk has spoilt, or that is lost: its copy takes its place, and nothing is thrown away."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from .dataset import Dataset
from .errors import DatasetError
from .journal import Journal
from .storage import write_whole


def restore_journal(dataset: Dataset) -> dict[str, int]:
    """Put journal.backup.sqlite in the place of journal.sqlite; how many takes are in each status now.

    The old journal is kept as journal.damaged-<time>.sqlite, with its write-ahead log, which must not be replayed into
    the copy. Takes made since the copy are planned again; their audio lies where it lay until it is made anew."""
    if not dataset.backup_path.exists():
        raise DatasetError("there is no journal.backup.sqlite to restore", mend="the takes themselves are in wet/")
    with TemporaryDirectory(dir=dataset.root, prefix=".restore-") as folder:
        candidate = Path(folder) / "journal.sqlite"
        shutil.copyfile(dataset.backup_path, candidate)
        with Journal(candidate) as journal:
            journal.check()
            counts = journal.counts()
        now = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
        for suffix in ("-wal", "-shm", ""):
            old = dataset.journal_path.with_name(dataset.journal_path.name + suffix)
            if old.exists():
                os.replace(old, dataset.journal_path.with_name(f"journal.damaged-{now}.sqlite{suffix}"))
        write_whole(dataset.journal_path, partial(shutil.copyfile, candidate))
    with dataset.journal() as journal:
        dataset.snapshot(journal)
    return counts

"""A journal that is damaged or lost, and its copy."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from buscomp.manifests.commands import verify
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError
from buscomp.manifests.recovery import restore_journal


def names(dataset: Dataset) -> set[str]:
    return {path.name for path in dataset.root.glob("journal*")}


def test_the_copy_takes_the_place_of_a_damaged_journal_which_is_kept_with_its_log(dataset: Dataset) -> None:
    before = dataset.rows("takes")
    dataset.journal_path.write_bytes(b"spoilt" * 1000)
    dataset.journal_path.with_name("journal.sqlite-wal").write_bytes(b"a log that must not be replayed")
    assert restore_journal(dataset) == {"accepted": 12}
    assert Dataset(dataset.root).rows("takes") == before
    kept = {name for name in names(dataset) if name.startswith("journal.damaged-")}
    assert {name.rpartition(".sqlite")[2] for name in kept} == {"", "-wal"}
    assert names(dataset) - kept == {"journal.sqlite", "journal.backup.sqlite"}


def test_the_verb_restores_a_journal_that_is_gone_and_then_finds_nothing_wrong(dataset: Dataset) -> None:
    dataset.journal_path.unlink()
    told = CliRunner().invoke(verify, ["--restore", "--dataset", str(dataset.root)])
    assert told.exit_code == 0, told.output
    assert "nothing wrong" in told.output


def test_a_copy_that_is_damaged_itself_leaves_everything_as_it_was(dataset: Dataset) -> None:
    copy = sqlite3.connect(dataset.backup_path)
    copy.execute("UPDATE takes SET peak_dbfs = 1.0")
    copy.commit()
    copy.close()
    shutil.copy(dataset.journal_path, dataset.root / "same")
    with pytest.raises(DatasetError, match="not as it was written"):
        restore_journal(dataset)
    assert dataset.journal_path.read_bytes() == (dataset.root / "same").read_bytes()
    assert names(dataset) == {"journal.sqlite", "journal.backup.sqlite"}


def test_without_a_copy_there_is_nothing_to_restore(dataset: Dataset, tmp_path: Path) -> None:
    dataset.backup_path.unlink()
    with pytest.raises(DatasetError, match=r"no journal\.backup\.sqlite"):
        restore_journal(dataset)

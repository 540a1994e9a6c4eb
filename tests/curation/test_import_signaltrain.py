"""`buscomp import signaltrain`: pairs by number, folders as the split, and version 1.0 refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from buscomp.curation.import_signaltrain import read_signaltrain
from buscomp.curation.imported import Choices, import_dataset
from buscomp.curation.split import split
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.integrity import verify
from buscomp.tests import published_datasets as published


@pytest.fixture(autouse=True)
def decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    published.decode_here(monkeypatch)


@pytest.fixture(name="tree")
def tree_fixture(tmp_path: Path) -> Path:
    return published.signaltrain(tmp_path / "SignalTrain_LA2A_Dataset_1.1")


def test_four_pairs_become_four_songs_in_the_split_of_their_folders(tree: Path) -> None:
    dataset = Dataset(tree.parent / "dataset")
    made = import_dataset(dataset, read_signaltrain(tree), Choices())
    assert (made.songs, made.settings, made.takes, made.findings) == (4, 3, 4, [])
    assert verify(dataset) == ([], 8)
    found = {pair.song_id: (pair.setting["switch"], pair.setting["peak_reduction"]) for pair in dataset.pairs()}
    assert found == {"train-138": (0, 65), "train-152": (0, 70), "val-153": (1, 80), "test-235": (0, 65)}
    assert [pair.song_id for pair in dataset.pairs("train")] == ["train-138", "train-152"]
    assert [pair.song_id for pair in dataset.pairs("test_seen")] == ["test-235"]
    assert [pair.song_id for pair in dataset.pairs(song="validation", setting="unseen")] == ["val-153"]
    assert next(dataset.pairs()).dry.shape == (52_920, 1)
    split(dataset, seed=3)
    assert len(dataset.rows("splits")) == 4 * 3


@pytest.mark.parametrize("late_samples", [8_583, -0])
def test_version_1_0_is_known_by_its_late_targets_and_refused(tmp_path: Path, late_samples: int) -> None:
    tree = published.signaltrain(tmp_path / "tree", late_samples)
    if not late_samples:
        assert len(read_signaltrain(tree).takes) == 4
        return
    told = "this is SignalTrain LA2A 1.0: Train/target_152_LA2A_3c__0__70.wav lags its input by 8583 samples"
    with pytest.raises(DatasetError, match=told):
        read_signaltrain(tree)


def test_a_misplaced_target_is_version_1_0_too(tree: Path) -> None:
    shutil.copy(tree / "Val" / "target_153_LA2A_3c__1__80.wav", tree / "Test" / "target_235_LA2A_3c__0__65.wav")
    with pytest.raises(DatasetError, match=r"1.0: Test/target_235_LA2A_3c__0__65.wav l.*; get version 1.1"):
        read_signaltrain(tree)


@pytest.mark.parametrize(("switch_0", "mode"), [("compress", "limit"), ("limit", "compress")])
def test_the_switch_gets_words_only_from_who_knows_them(tree: Path, switch_0: str, mode: str) -> None:
    layout = read_signaltrain(tree, switch_0=switch_0)
    (validation,) = [take for take in layout.takes if take.song_role == "validation"]
    assert validation.values == {"mode": mode, "peak_reduction": 80}
    assert "switch" in read_signaltrain(tree).unit.controls
    with pytest.raises(UsageError, match="--switch-0"):
        read_signaltrain(tree, switch_0="maybe")


def test_what_has_no_partner_is_missing_and_what_makes_no_sense_is_invalid(tree: Path) -> None:
    (tree / "Train" / "input_138_.wav").unlink()
    (tree / "Val" / "target_153_LA2A_3c__1__80.wav").rename(tree / "Val" / "target_154_LA2A_3c__1__80.wav")
    train = tree / "Train"
    for name in ("target_160_LA2A_3c__2__70", "target_161_LA2A_3c__0__70__5", "target_162_LA2A_3c__0__105", "notes"):
        shutil.copy(train / "input_152_.wav", train / f"{name}.wav")
    found = {finding.path: (finding.kind, finding.detail) for finding in read_signaltrain(tree).findings}
    assert found == {
        "Train/notes.wav": ("invalid", "its name is neither input_N_ nor target_N_UNIT__A__B"),
        "Train/target_160_LA2A_3c__2__70.wav": ("invalid", "switch: 2 is no position (allowed: 0, 1)"),
        "Train/target_161_LA2A_3c__0__70__5.wav": (
            "invalid",
            "3 values of controls instead of 2, switch and peak reduction",
        ),
        "Train/target_162_LA2A_3c__0__105.wav": ("invalid", "peak_reduction: 105 is out of range (allowed: 0 to 100)"),
        "Train/input_138_.wav": ("missing", "Train/target_138_LA2A_2c__0__65.wav needs it"),
        "Val/target_153_*.wav": ("missing", "Val/input_153_.wav needs it"),
        "Val/input_154_.wav": ("missing", "Val/target_154_LA2A_3c__1__80.wav needs it"),
    }


def test_two_targets_of_one_number_are_not_chosen_between(tree: Path) -> None:
    train = tree / "Train"
    shutil.copy(train / "target_138_LA2A_2c__0__65.wav", train / "target_138_LA2A_2c__0__70.wav")
    (finding,) = read_signaltrain(tree).findings
    assert finding.detail == "a second target has the number 138"


def test_the_one_top_folder_of_the_archive_is_found(tree: Path) -> None:
    assert len(read_signaltrain(tree.parent).takes) == 4

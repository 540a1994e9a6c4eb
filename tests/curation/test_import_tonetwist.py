"""`buscomp import tonetwist`: knobs stay knobs, names are compared whole, and the unit is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from buscomp.curation.import_tonetwist import read_tonetwist
from buscomp.curation.imported import Choices, import_dataset
from buscomp.curation.split import split
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import UsageError
from buscomp.manifests.integrity import verify
from buscomp.tests import published_datasets as published

AMPEG = "ANALOG/Ampeg-OptoComp"


@pytest.fixture(autouse=True)
def decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    published.decode_here(monkeypatch)


@pytest.fixture(name="tree")
def tree_fixture(tmp_path: Path) -> Path:
    return published.tonetwist(tmp_path / "ToneTwist")


def test_a_pedal_becomes_a_dataset_of_knob_positions(tree: Path) -> None:
    dataset = Dataset(tree.parent / "dataset")
    made = import_dataset(dataset, read_tonetwist(tree, unit="Ampeg-OptoComp"), Choices())
    assert (made.songs, made.settings, made.takes, made.findings) == (3, 2, 5, [])
    assert verify(dataset) == ([], 8)
    (pair, *_) = dataset.pairs("train")
    assert pair.sample_rate == 48_000
    assert {name: pair.setting[name] for name in dataset.unit.controls} == {
        "compression_knob": 5.0,
        "release_knob": 0.0,
        "level_knob": 6.0,
    }
    assert [row["split"] for row in dataset.rows("splits")].count("test_seen") == 1
    split(dataset)


def test_a_name_is_not_matched_by_a_part_of_another(tree: Path) -> None:
    layout = read_tonetwist(tree, unit="Ampeg-OptoComp")
    songs = {song.song_id: song.audio.name.rpartition("/")[2] for song in layout.songs}
    assert songs == {
        "trainval-1": "1.input.wav",
        "trainval-11": "11.input.wav",
        "test-2": "2.input.wav",
    }
    for take in layout.takes:
        name = songs[take.song_id].removesuffix(".input.wav")
        assert take.audio.name.endswith(f"_L060.{name}.target.wav")


def test_a_letter_that_comes_twice_and_a_word_are_kept(tree: Path) -> None:
    dataset = Dataset(tree.parent / "dataset")
    layout = read_tonetwist(tree, unit="1176LN-Limiter")
    (take,) = layout.takes
    assert take.values == {
        "attack_knob": 10.0,
        "release_knob": 10.0,
        "input_knob": 4.0,
        "output_knob": 7.0,
        "ratio_knob": "all",
    }
    assert import_dataset(dataset, layout, Choices()).findings == []
    assert verify(dataset) == ([], 2)
    assert dataset.unit.from_row(dataset.rows("settings")[0]) == take.values


def test_letters_that_nobody_explained_stay_letters(tree: Path) -> None:
    (tree / AMPEG).rename(tree / "ANALOG" / "Some-Pedal")
    layout = read_tonetwist(tree, unit="Some-Pedal")
    assert list(layout.unit.controls) == ["knob_c", "knob_r", "knob_l"]
    assert layout.unit.make == "unknown"


def test_which_unit_is_asked_where_there_are_several(tree: Path) -> None:
    with pytest.raises(UsageError, match=r"which unit \(allowed: 1176LN-Limiter, Ampeg-OptoComp\); name one: --unit"):
        read_tonetwist(tree)
    assert len(read_tonetwist(tree / "ANALOG").takes) == 5


def test_what_is_missing_and_what_is_invalid_are_told_apart(tree: Path) -> None:
    setting = tree / AMPEG / "trainval" / "C100_R100_L060"
    (tree / "ANALOG" / "DRY-with-markers" / "test" / "2.input.wav").unlink()
    shutil.copy(setting / "C100_R100_L060.1.target.wav", setting / "C100_R100.1.target.wav")
    for name in ("C200_R000_L060", "C100_R100", "9_R100_L060"):
        shutil.copytree(setting, tree / AMPEG / "trainval" / name)
    for path in (tree / AMPEG / "trainval").glob("C[12]00_R*/*.target.wav"):
        path.rename(path.with_name(f"{path.parent.name}.{path.name.split('.', 1)[1]}"))
    found = {(finding.kind, finding.path, finding.detail) for finding in read_tonetwist(tree / "ANALOG").findings}
    wet = "Ampeg-OptoComp/trainval"
    lonely = "Ampeg-OptoComp/test/C100_R100_L060/C100_R100_L060.2.target.wav"
    out_of_range = "compression_knob: 20 is out of range (allowed: 0 to 10)"
    assert found >= {
        ("missing", "DRY-with-markers/test/2.input.wav", f"{lonely} needs it"),
        ("invalid", f"{wet}/C200_R000_L060/C200_R000_L060.1.target.wav", out_of_range),
        ("invalid", f"{wet}/C100_R100/C100_R100.1.target.wav", "its controls are not C R L"),
        ("invalid", f"{wet}/9_R100_L060", "9 is no letter with a value"),
    }

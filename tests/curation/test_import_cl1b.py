"""`buscomp import cl1b`: arrays from a pickle that may do nothing else."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buscomp.curation.import_cl1b import read_cl1b
from buscomp.curation.imported import Choices, import_dataset
from buscomp.curation.restricted_pickle import read_arrays
from buscomp.curation.split import split
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.integrity import verify
from buscomp.tests import published_datasets as published

CONTROLS = ("ratio", "threshold_db", "attack_ms", "release_s")


@pytest.fixture(name="tree")
def tree_fixture(tmp_path: Path) -> Path:
    return published.cl1b(tmp_path / "CL1B")


def dumped(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(document))
    return path


def test_a_pickle_becomes_a_dataset_with_its_one_input_as_one_song(tree: Path) -> None:
    published.cl1b(tree, "CL1B_test.pickle", rows=2, number=5)
    dataset = Dataset(tree.parent / "dataset")
    layout = read_cl1b(tree, sample_rate=48_000, controls=CONTROLS)
    made = import_dataset(dataset, layout, Choices())
    assert (made.songs, made.settings, made.takes, made.findings) == (2, 3, 5, [])
    assert verify(dataset) == ([], 7)
    (pair, *_) = dataset.pairs("train")
    held = read_arrays(tree / "CL1B_train.pickle")
    assert np.abs(pair.wet[:, 0] - held["y"][0]).max() <= 1 / (1 << 23)
    assert (pair.setting["ratio"], pair.setting["attack_ms"], pair.sample_rate) == (2.0, 5.0, 48_000)
    assert len(list(dataset.pairs("test_seen"))) == 2
    split(dataset)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_binary_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    held = read_arrays(published.cl1b(tmp_path, protocol=protocol) / "CL1B_train.pickle")
    assert {name: array.shape for name, array in held.items()} == {"x": (1, 57_600), "y": (3, 57_600), "z": (3, 4)}


class Malicious:
    """Runs a command when it is read by an ordinary unpickler."""

    def __init__(self, module: Any, *arguments: str):
        self.call, self.arguments = module, arguments

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return self.call, self.arguments


@pytest.mark.parametrize(
    ("attack", "name"),
    [
        (lambda path: Malicious(os.system, f"touch {path}"), "system"),
        (lambda path: Malicious(eval, f"open({str(path)!r}, 'w')"), "builtins.eval"),
        (lambda path: Malicious(np.load, str(path)), "load"),
        (lambda path: Malicious(np.fromfile, str(path)), "fromfile"),
        (lambda path: Malicious(getattr, "x", "upper"), "builtins.getattr"),
        (Path, "pathlib"),
    ],
)
def test_a_malicious_pickle_is_refused_by_name_and_nothing_of_it_runs(tmp_path: Path, attack: Any, name: str) -> None:
    trace = tmp_path / "trace"
    path = dumped(tmp_path / "a.pickle", {"x": np.zeros(3), "y": attack(trace)})
    with pytest.raises(
        DatasetError, match=rf"a.pickle: this pickle asks for something that is no array, got \S*{name}"
    ):
        read_arrays(path)
    assert not trace.exists()


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    path = dumped(tmp_path / "a.pickle", {"x": np.array([{}, []], dtype=object)})
    with pytest.raises(DatasetError, match="x holds objects instead of numbers"):
        read_arrays(path)


@pytest.mark.parametrize("document", [[1, 2], 5, "text", None])
def test_a_pickle_that_is_no_dictionary_is_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(DatasetError, match="must hold a dictionary"):
        read_arrays(dumped(tmp_path / "a.pickle", document))


def test_an_ordered_dictionary_is_one(tmp_path: Path) -> None:
    assert list(read_arrays(dumped(tmp_path / "a.pickle", OrderedDict(x=np.zeros(3), y=1.5)))) == ["x", "y"]


@pytest.mark.parametrize("place", [0.0, 0.001, 0.5, 0.999])
def test_a_damaged_pickle_is_one_line(tree: Path, place: float) -> None:
    path = tree / "CL1B_train.pickle"
    data = path.read_bytes()
    path.write_bytes(data[: int(place * len(data))])
    with pytest.raises(DatasetError, match="is not a whole pickle"):
        read_arrays(path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"controls": CONTROLS}, "do not say their sample rate; say it: --rate 48000"),
        ({"sample_rate": 48_000}, "do not say what their controls are; name them in order"),
        ({"sample_rate": 48_000, "controls": ("a", "a", "b", "c")}, "two controls have the same name"),
        ({"sample_rate": 48_000, "controls": ("a-b", "c", "d", "e")}, "lower case letters, digits and _"),
        ({"sample_rate": 48_000, "controls": CONTROLS, "keys": ("inp", "tar", "z")}, "has other keys, got x, y, z"),
    ],
)
def test_what_no_file_says_is_asked_for(tree: Path, given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_cl1b(tree, **given)


def test_other_keys_are_named_by_the_user(tmp_path: Path) -> None:
    held = read_arrays(published.cl1b(tmp_path) / "CL1B_train.pickle")
    path = dumped(tmp_path / "data_train.pickle", {"inp": held["x"], "tar": held["y"], "par": held["z"]})
    layout = read_cl1b(path, sample_rate=48_000, controls=CONTROLS, keys=("inp", "tar", "par"))
    assert len(layout.takes) == 3


def test_the_axis_of_the_controls_is_told_by_their_number_and_never_guessed(tmp_path: Path) -> None:
    held = read_arrays(published.cl1b(tmp_path) / "CL1B_train.pickle")
    turned = dumped(tmp_path / "turned.pickle", held | {"z": held["z"].T})
    layout = read_cl1b(turned, sample_rate=48_000, controls=CONTROLS)
    assert [take.values["ratio"] for take in layout.takes] == [2.0, 3.0, 4.0]
    square = dumped(tmp_path / "square.pickle", held | {"z": held["z"][:, :3]})
    with pytest.raises(DatasetError, match="either axis may be the takes"):
        read_cl1b(square, sample_rate=48_000, controls=CONTROLS[:3])
    with pytest.raises(DatasetError, match=r"controls do not fit, got \(3, 3\)"):
        read_cl1b(square, sample_rate=48_000, controls=CONTROLS)


def test_a_row_of_dry_for_every_row_of_wet_gives_a_song_for_every_different_one(tmp_path: Path) -> None:
    held = read_arrays(published.cl1b(tmp_path) / "CL1B_train.pickle")
    dry = np.repeat(held["x"], 3, axis=0)
    dry[2] = dry[2][::-1]
    path = dumped(tmp_path / "rows.pickle", held | {"x": dry})
    layout = read_cl1b(path, sample_rate=48_000, controls=CONTROLS)
    assert [take.song_id for take in layout.takes] == ["rows-0", "rows-0", "rows-2"]


def test_a_name_with_a_unit_claims_it_and_one_without_does_not(tmp_path: Path) -> None:
    held = read_arrays(published.cl1b(tmp_path) / "CL1B_train.pickle")
    path = dumped(tmp_path / "scaled.pickle", held | {"z": np.linspace(0.1, 0.9, 12).reshape(3, 4)})
    claimed = read_cl1b(path, sample_rate=48_000, controls=CONTROLS)
    assert claimed.takes == []
    assert "ratio: 0.1 is out of range (allowed: 1 to 10); a name without a unit" in claimed.findings[0].detail
    plain = read_cl1b(path, sample_rate=48_000, controls=("r", "thr", "att", "rel"))
    assert len(plain.takes) == 3
    assert plain.unit.controls["r"].unit == ""


def test_a_row_of_nan_is_invalid(tmp_path: Path) -> None:
    held = read_arrays(published.cl1b(tmp_path) / "CL1B_train.pickle")
    held["y"][1, 100] = np.nan
    held["z"][2, 0] = np.nan
    path = dumped(tmp_path / "nan.pickle", held)
    layout = read_cl1b(path, sample_rate=48_000, controls=CONTROLS)
    made = import_dataset(Dataset(tmp_path / "dataset"), layout, Choices())
    assert [finding.detail for finding in made.findings] == [
        "controls that are no numbers; a name without a unit claims none",
        "not_finite: it holds NaN or infinite samples",
    ]

"""`buscomp import bus-comp`, and what all imports share: the dataset passes every door of this house."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.curation.import_bus_comp import read_bus_comp
from buscomp.curation.imported import Choices, import_dataset
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.finding import Finding
from buscomp.manifests.integrity import verify
from buscomp.tests import published_datasets as published

WET = "processed_ground_truth/threshold_-28_attack_0.1_release_0.4_ratio_4/Blue Sky 0-exported.wav"


@pytest.fixture(name="tree")
def tree_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    if "every_door" not in request.node.name:
        published.decode_here(monkeypatch)
    return published.bus_comp(tmp_path / "Diff-SSL-G-Comp")


def bring(tree: Path, choices: Choices | None = None, name: str = "dataset") -> tuple[Dataset, list[Finding]]:
    dataset = Dataset(tree.parent / name)
    made = import_dataset(dataset, read_bus_comp(tree), choices or Choices())
    return dataset, made.findings


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_published_tree_becomes_a_dataset_that_goes_through_every_door(tree: Path) -> None:
    before = contents(tree)
    runner = CliRunner()
    where = ["--dataset", str(tree.parent / "dataset")]
    told = runner.invoke(main, ["import", "bus-comp", str(tree), "--license", "CC-BY-NC-4.0", "--jobs", "2", *where])
    assert told.exit_code == 0, told.output
    assert "2 songs, 2 settings, 4 takes (0 from before): nothing wrong." in told.output
    assert runner.invoke(main, ["verify", *where]).output == "6 audio files decoded and hashed: nothing wrong.\n"
    assert runner.invoke(main, ["split", *where]).exit_code == 0
    dataset = Dataset(tree.parent / "dataset")
    pairs = list(dataset.pairs())
    assert [(pair.song_id, pair.setting_id) for pair in pairs] == [
        ("blue-sky-0", "thr-13p5_att7p5_relauto_rat1p5"),
        ("blue-sky-1", "thr-13p5_att7p5_relauto_rat1p5"),
        ("blue-sky-0", "thr-28_att0p1_rel0p4_rat4"),
        ("blue-sky-1", "thr-28_att0p1_rel0p4_rat4"),
    ]
    dry, wet, setting = pairs[0]
    expected, _ = soundfile.read(tree / "processed_normalized" / "Blue Sky 0_UnmasteredWAV.wav", dtype="float32")
    assert np.array_equal(dry, expected)
    assert wet.shape == dry.shape == (52_920, 2)
    assert (setting["threshold_db"], setting["release_auto"], setting["origin"]) == (-13.5, True, "random")
    assert {row["license"] for row in dataset.rows("songs")} == {"CC-BY-NC-4.0"}
    assert contents(tree) == before


def test_nothing_that_only_a_rig_can_know_is_made_up(tree: Path) -> None:
    dataset, _ = bring(tree)
    (take, *_) = dataset.rows("takes")
    for name in (
        "latency_samples",
        "integer_shift_samples",
        "xruns",
        "noise_floor_dbfs",
        "static_gain_db",
        "started_at",
    ):
        assert take[name] is None, name
    assert take["peak_dbfs"] < -12
    assert dataset.rows("sessions")[0]["device"] == "import"


def test_the_unit_scales_a_control_by_its_range_and_lists_the_positions_that_were_used(tree: Path) -> None:
    dataset, _ = bring(tree)
    assert dataset.unit.controls["threshold_db"].positions == (-40, -28, -13.5, 0)
    assert dataset.unit.controls["release_s"].positions == (0.1, 0.4, 1.6, "auto")


def late(tree: Path) -> None:
    audio, rate = soundfile.read(tree / WET)
    soundfile.write(tree / WET, np.roll(audio, 700, axis=0), rate, "PCM_24")


def shorter(tree: Path) -> None:
    audio, rate = soundfile.read(tree / WET)
    soundfile.write(tree / WET, audio[:-1], rate, "PCM_24")


def of_another_rate(tree: Path) -> None:
    audio, _ = soundfile.read(tree / WET)
    soundfile.write(tree / WET, audio, 48_000, "PCM_24")


def too_loud(tree: Path) -> None:
    audio, rate = soundfile.read(tree / WET)
    soundfile.write(tree / WET, 20 * audio, rate, "FLOAT")


SPOILERS = {
    "late": (late, "misaligned", "it lags its dry audio by 700 samples; if all of the dataset does: --wet-lags 700"),
    "short": (shorter, "invalid", "52919 frames, its dry audio has 52920"),
    "rate": (of_another_rate, "invalid", "48000 Hz instead of 44100 Hz"),
    "over": (too_loud, "invalid", "above full scale"),
    "text": (lambda tree: (tree / WET).write_text("x"), "invalid", "not_audio"),
    "gone": (lambda tree: (tree / WET).unlink(), "missing", "every setting has every song"),
}


@pytest.mark.parametrize("how", SPOILERS)
def test_a_take_that_cannot_be_used_is_told_of_and_left_out_and_the_others_come(tree: Path, how: str) -> None:
    spoil, kind, told = SPOILERS[how]
    spoil(tree)
    dataset, findings = bring(tree)
    assert [(finding.kind, finding.path) for finding in findings] == [(kind, WET)]
    assert told in findings[0].detail
    assert len(dataset.rows("takes")) == 3
    assert verify(dataset) == ([], 5)
    assert json.loads((dataset.root / "import.json").read_text())["findings"] == [vars(findings[0])]


def test_names_that_are_no_setting_or_out_of_range_are_invalid(tree: Path) -> None:
    wet = tree / "processed_ground_truth"
    (wet / "notes").mkdir()
    (wet / "threshold_-50_attack_1_release_0.1_ratio_4").mkdir()
    layout = read_bus_comp(tree)
    assert [(finding.kind, finding.detail) for finding in layout.findings] == [
        ("invalid", "its name is no setting: threshold_T_attack_A_release_R_ratio_Q"),
        ("invalid", "threshold_db: -50 is out of range (allowed: -40 to 0)"),
    ]


def test_a_dry_song_that_cannot_be_read_is_quarantined_with_all_its_takes(tree: Path) -> None:
    (tree / "processed_normalized" / "Blue Sky 1_UnmasteredWAV.wav").write_text("x")
    dataset, findings = bring(tree)
    assert [finding.kind for finding in findings] == ["invalid"] * 3
    assert [row["status"] for row in dataset.rows("songs")] == ["accepted", "quarantined"]
    assert verify(dataset) == ([], 3)


def test_a_release_in_a_word_is_asked_about_and_not_guessed(tmp_path: Path) -> None:
    tree = published.bus_comp(tmp_path / "tree", ("-28_0.1_A_4",), songs=1)
    with pytest.raises(UsageError, match=r"what does the release A .* mean; if it is the automatic one: --auto-word A"):
        read_bus_comp(tree)
    (take,) = read_bus_comp(tree, auto_word="A").takes
    assert take.values["release_s"] == "auto"
    assert take.origin == "grid"


def test_a_list_of_random_settings_goes_before_the_factors_of_the_grid(tree: Path) -> None:
    name = "threshold_-28_attack_0.1_release_0.4_ratio_4"
    assert {take.origin for take in read_bus_comp(tree).takes if take.setting_name == name} == {"grid"}
    layout = read_bus_comp(tree, random_settings={name})
    assert {take.setting_name: take.origin for take in layout.takes}[name] == "random"
    with pytest.raises(UsageError, match="is no folder of the dataset, got threshold_0"):
        read_bus_comp(tree, random_settings={"threshold_0"})


def test_songs_whose_names_fold_to_one_id_are_an_error(tree: Path) -> None:
    dry = tree / "processed_normalized"
    shutil.copy(dry / "Blue Sky 0_UnmasteredWAV.wav", dry / "blue sky-0_UnmasteredWAV.wav")
    with pytest.raises(UsageError, match="fold to one id, blue-sky-0"):
        read_bus_comp(tree)


def test_another_folder_is_not_taken_for_this_layout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not laid out as Solid State Bus-Comp: it has no folder processed_normalized"):
        read_bus_comp(tmp_path)


@pytest.mark.parametrize("audio", ["copy", "link"])
def test_files_can_stay_as_they_are_and_the_dataset_is_as_good(tree: Path, audio: str) -> None:
    dataset, findings = bring(tree, Choices(audio=audio))
    assert findings == []
    assert verify(dataset) == ([], 6)
    dry = dataset.file(dataset.rows("songs")[0]["dry_path"])
    source = tree / "processed_normalized" / "Blue Sky 0_UnmasteredWAV.wav"
    assert dry.read_bytes() == source.read_bytes()
    assert dry.samefile(source) == (audio == "link")


def test_a_float_file_cannot_stay_as_it_is(tree: Path) -> None:
    audio, rate = soundfile.read(tree / WET)
    soundfile.write(tree / WET, audio, rate, "FLOAT")
    _, findings = bring(tree, Choices(audio="copy"))
    assert "FLOAT cannot be read as integers without loss" in findings[0].detail


def test_a_file_that_stays_as_it_is_cannot_be_changed(tree: Path) -> None:
    with pytest.raises(UsageError, match="cannot be changed, got --audio link; use --audio flac"):
        bring(tree, Choices(audio="link", wet_gain_db=-3))


def test_gains_and_a_lag_of_the_whole_dataset_are_taken_out_as_the_user_says(tree: Path) -> None:
    for path in tree.glob("processed_ground_truth/*/*.wav"):
        audio, rate = soundfile.read(path)
        soundfile.write(path, np.concatenate([np.zeros((700, 2)), audio]), rate, "PCM_24")
    plain, _ = bring(published.bus_comp(tree.parent / "plain"), name="plain-dataset")
    dataset, findings = bring(tree, Choices(wet_gain_db=-6, wet_lags_samples=700, cut_tail=True))
    assert findings == []
    (_, wet, _), (_, expected, _) = next(dataset.pairs()), next(plain.pairs())
    assert np.abs(wet[:52_000] - expected[:52_000] * 10 ** (-6 / 20)).max() < 2 / (1 << 23)
    assert {row["integer_shift_samples"] for row in dataset.rows("takes")} == {700}
    assert verify(dataset) == ([], 6)


def test_an_import_goes_on_where_it_stopped_and_keeps_what_is_there(tree: Path) -> None:
    gone = (tree / WET).rename(tree.parent / "later.wav")
    bring(tree)
    gone.rename(tree / WET)
    made = import_dataset(Dataset(tree.parent / "dataset"), read_bus_comp(tree), Choices())
    assert (made.takes, made.kept, made.findings) == (4, 3, [])
    assert verify(Dataset(tree.parent / "dataset")) == ([], 6)


def test_a_folder_that_holds_something_else_is_not_touched(tree: Path, dataset: Dataset) -> None:
    before = contents(dataset.root)
    with pytest.raises(DatasetError, match="holds a dataset already, got a capture; name a new one"):
        import_dataset(dataset, read_bus_comp(tree), Choices())
    assert contents(dataset.root) == before
    bring(tree, name="other")
    with pytest.raises(DatasetError, match="got an import of Solid State Bus-Comp with other options"):
        bring(tree, Choices(wet_gain_db=-1), name="other")


def test_an_option_of_another_layout_is_an_error(tree: Path) -> None:
    told = CliRunner().invoke(main, ["import", "bus-comp", str(tree), "--rate", "48000"])
    assert told.exit_code == 2
    assert told.output == "Error: --rate belongs to cl1b, got bus-comp\n"

"""`manifests.dataset`: the door for any downstream trainer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import buscomp
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.pcm import quantise, read_pcm, write_flac
from buscomp.manifests.tables import write_table


def test_open_dataset_gives_tables_that_join_on_ids(dataset: Dataset) -> None:
    opened = buscomp.open_dataset(dataset.root)
    assert (len(opened.songs), len(opened.settings), len(opened.takes), len(opened.splits)) == (3, 4, 12, 12)
    joined = opened.takes.merge(opened.songs, on="song_id", suffixes=("", "_dry")).merge(
        opened.settings, on="setting_id"
    )
    assert len(joined) == 12
    assert (joined["frames"] == joined["frames_dry"]).all()
    assert opened.unit.model == "500-series bus compressor"


def test_a_folder_without_manifests_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="it has no manifests folder; type `buscomp catalog songs` in it"):
        buscomp.open_dataset(tmp_path)


def test_pairs_unpack_to_dry_wet_and_setting_and_come_in_capture_order(dataset: Dataset) -> None:
    pairs = list(buscomp.open_dataset(str(dataset.root)).pairs())
    assert [pair.take_id for pair in pairs] == [f"t{n:06d}-1" for n in range(12)]
    for pair in pairs:
        dry, wet, setting = pair
        assert dry.shape == wet.shape == (44_100, 2)
        assert dry.dtype == wet.dtype == np.float32
        assert (setting["setting_id"], pair.sample_rate) == (pair.setting_id, 44_100)
        gain_db = -1 - setting["visit_order"]
        np.testing.assert_allclose(wet, dry * 10 ** (gain_db / 20), atol=2**-23)


@pytest.mark.parametrize(
    ("split", "song_ids", "origin", "takes"),
    [
        ("train", {"song-0"}, "grid", 2),
        ("validation", {"song-1"}, "grid", 2),
        ("test_seen", {"song-2"}, "grid", 2),
        ("test_unseen", {"song-2"}, "random", 2),
        ("unused", {"song-0", "song-1"}, "random", 4),
    ],
)
def test_a_split_gives_only_its_own_pairs(
    dataset: Dataset, split: str, song_ids: set[str], origin: str, takes: int
) -> None:
    pairs = list(dataset.pairs(split))
    assert len(pairs) == takes
    assert {pair.song_id for pair in pairs} == song_ids
    assert {pair.setting["origin"] for pair in pairs} == {origin}
    assert set(dataset.pair_table(split)["split"]) == {split}


def test_an_unknown_split_is_refused_with_the_known_ones(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"no such split, got test \(allowed: train, validation, test_seen"):
        next(dataset.pairs("test"))


def test_pairs_need_no_splits_but_a_split_does(dataset: Dataset) -> None:
    dataset.table_path("splits").unlink()
    assert len(list(dataset.pairs())) == 12
    with pytest.raises(DatasetError, match="type `buscomp split` first"):
        list(dataset.pairs("train"))


def test_only_accepted_takes_are_pairs(dataset: Dataset) -> None:
    with dataset.journal() as journal:
        journal.supersede("t000003-1", "missing_file")
        dataset.snapshot(journal)
    assert [pair.take_id for pair in Dataset(dataset.root).pairs()] == [f"t{n:06d}-1" for n in range(12) if n != 3]


@pytest.mark.parametrize(
    ("frames", "channels", "rate"), [(44_099, 2, 44_100), (44_100, 1, 44_100), (44_100, 2, 48_000)]
)
def test_wet_audio_of_another_shape_or_rate_is_refused(dataset: Dataset, frames: int, channels: int, rate: int) -> None:
    relative = dataset.takes["wet_path"][0]
    pcm, _ = read_pcm(dataset.file(relative))
    write_flac(dataset.file(relative), pcm[:frames, :channels], rate)
    with pytest.raises(
        DatasetError, match=r"does not fit its dry audio, got .* Hz \(allowed: \(44100, 2\) at 44100 Hz\)"
    ):
        next(dataset.pairs())


def test_a_manifest_that_points_outside_the_dataset_reads_nothing(dataset: Dataset, tmp_path: Path) -> None:
    write_flac(tmp_path / "secret.flac", quantise(np.zeros((44_100, 2))), 44_100)
    rows = dataset.rows("takes")
    rows[0]["wet_path"] = "../secret.flac"
    write_table(dataset.table_path("takes"), "takes", rows)
    with pytest.raises(DatasetError, match="must stay inside the dataset"):
        next(dataset.pairs())


def test_a_snapshot_from_the_journal_equals_the_tables_it_replaces(dataset: Dataset) -> None:
    tables = {table: dataset.rows(table) for table in ("settings", "takes", "sessions")}
    for table in tables:
        dataset.table_path(table).unlink()
    with dataset.journal() as journal:
        dataset.snapshot(journal)
    assert {table: dataset.rows(table) for table in tables} == tables


HOLDER = """
import sys
from buscomp.manifests.dataset import Dataset
with Dataset(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_held_by_another_process_names_it_and_dies_with_it(dataset: Dataset) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(dataset.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=rf"in use by process {child.pid} on .+ since 20"), dataset.lock():
            pass
        child.kill()
    with dataset.lock():
        pass


def test_a_refused_lock_leaves_the_holder_named(dataset: Dataset) -> None:
    with dataset.lock():
        for _ in range(2):
            with pytest.raises(UsageError, match="in use by process"), Dataset(dataset.root).lock():
                pass
    with dataset.lock():
        pass

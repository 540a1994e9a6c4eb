"""An excerpt: few songs, few settings, short windows, and the samples are still those of the takes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from buscomp.cli import main
from buscomp.curation.excerpt import choose, loudest_window, spread
from buscomp.curation.export import export
from buscomp.curation.export_selection import select
from buscomp.curation.export_tree import Window
from buscomp.manifests import levels
from buscomp.manifests.dataset import Dataset, open_dataset
from buscomp.manifests.errors import UsageError
from buscomp.manifests.integrity import verify
from buscomp.manifests.pcm import read_audio
from buscomp.tests.curation.exporting import annotate, change_songs

groups_of_names = st.lists(st.lists(st.uuids().map(str), min_size=1, max_size=9, unique=True), max_size=4)


@given(groups_of_names, st.integers(1, 30))
def test_a_choice_has_its_number_no_name_twice_and_is_fair_to_groups(groups: list[list[str]], number: int) -> None:
    chosen = spread(groups, number)
    assert len(chosen) == len(set(chosen)) == min(number, sum(map(len, groups)))
    taken = [sum(name in chosen for name in group) for group in groups]
    unfilled = [count for count, group in zip(taken, groups, strict=True) if count < len(group)]
    assert not unfilled or max(taken) - min(unfilled) <= 1
    assert all(chosen.index(a) < chosen.index(b) for group in groups for a, b in _neighbours(group, chosen))


def _neighbours(group: list[str], chosen: list[str]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(name for name in group if name in chosen))


def test_three_of_nine_are_the_first_the_middle_and_the_last() -> None:
    assert spread([list("abcdefghi")], 3) == ["a", "e", "i"]


def test_the_loudest_window_of_a_burst_holds_it() -> None:
    pcm = np.zeros((50_000, 2), np.int32)
    pcm[31_000:33_000, 1] = 1 << 30
    window = loudest_window(pcm, 10_000, 1.0)
    assert window.start_frame % 1_000 == 0
    assert window.frames == 10_000
    assert window.start_frame <= 31_000 <= 33_000 <= window.start_frame + window.frames


def test_a_song_shorter_than_the_window_is_taken_whole() -> None:
    assert loudest_window(np.ones((300, 2), np.int32), 100, 5.0) == Window(0, 300)


def test_two_songs_at_two_settings_come_from_both_sides_and_both_origins(dataset: Dataset) -> None:
    chosen = choose(select(dataset), 2)
    assert list(chosen.songs) == ["song-0", "song-2"]  # one to train, one to test
    assert sorted(row["origin"] for row in chosen.settings.values()) == ["grid", "random"]
    assert len(chosen.takes) == 4


def test_the_samples_of_an_excerpt_are_those_of_the_takes_and_its_dataset_verifies(
    dataset: Dataset, tmp_path: Path
) -> None:
    annotate(dataset)
    made = export(dataset, tmp_path / "out", "bagit", sample=2, window_s=0.25)
    assert (made.songs, made.settings, made.takes) == (2, 2, 4)
    cut = open_dataset(tmp_path / "out" / "data")
    assert verify(cut)[0] == []
    assert set(cut.songs["duration_s"]) == {0.25}
    for song in cut.rows("songs"):
        dry, _ = read_audio(cut.file(song["dry_path"]))
        assert song["peak_dbfs"] == pytest.approx(levels.peak_dbfs(dry), abs=1e-4)
        assert song["rms_dbfs"] == pytest.approx(levels.rms_dbfs(dry), abs=1e-4)
        assert song["loudness_lufs"] is None  # 0.25 s are too short for it
    whole = {pair.take_id: pair for pair in dataset.pairs()}
    for pair in cut.pairs():
        assert pair.wet.shape == (11_025, 2)
        theirs = whole[pair.take_id]
        starts = range(0, len(theirs.dry) - 11_025 + 1, 4_410)
        (start,) = (s for s in starts if np.array_equal(theirs.dry[s : s + 11_025], pair.dry))
        assert np.array_equal(theirs.wet[start : start + 11_025], pair.wet)
    assert list(cut.annotations["dry_sha256"]) == list(cut.songs["dry_sha256"])


@pytest.mark.parametrize("format", ["huggingface", "webdataset"])
def test_an_excerpt_is_small_and_says_what_it_was_cut_from(dataset: Dataset, tmp_path: Path, format: str) -> None:
    dataset = change_songs(dataset, {}, {"license": None})
    made = export(dataset, tmp_path / "out", format, sample=1, window_s=0.1)
    assert made.takes == 1
    assert made.size_bytes < 200_000
    assert not (tmp_path / "out" / ".excerpt").exists()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "An excerpt of 8 takes (0.00222 h)" in card
    assert "| song-2 | 0." in card
    assert "- 1 song (4 takes): no licence is known" in card
    assert "Takes: 12 accepted, 0 rejected" in card


def test_a_window_without_an_excerpt_and_an_excerpt_without_sound_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    told = CliRunner().invoke(
        main, ["export", str(tmp_path / "out"), "--window-s", "3", "--dataset", str(dataset.root)]
    )
    assert told.exit_code == 2
    assert "--window-s is for an excerpt; add --sample N" in told.output
    with pytest.raises(UsageError, match="--sample cuts audio, and jams holds none"):
        export(dataset, tmp_path / "out", "jams", sample=2)

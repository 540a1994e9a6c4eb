"""No song is on both sides, and another song does not reshuffle the rest."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.cli import main
from buscomp.curation.split import TEST, TRAIN, VALIDATION, draw, same_content, split
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.tables import read_made_with, write_table

NAMES = st.text("abcdefgh0123", min_size=1, max_size=6)
SONG_IDS = st.lists(NAMES, min_size=2, max_size=60, unique=True)


def song(
    song_id: str, sha256: str | None = None, title: str | None = None, artist: str | None = None, **others: object
):
    row = {"song_id": song_id, "dry_sha256": sha256 or f"sha-{song_id}", "title": title or f"title of {song_id}"}
    return row | {"artist": artist, "status": "accepted", "dry_path": f"dry/{song_id}.flac", "reasons": []} | others


def planned(root: Path, songs: int, grid: int, random: int) -> Dataset:
    dataset = Dataset(root)
    write_table(dataset.table_path("songs"), "songs", [song(f"song-{n:03}") for n in range(songs)])
    origins = ["grid"] * grid + ["random"] * random
    rows = [{"setting_id": f"set-{n:03}", "origin": origin} for n, origin in enumerate(origins)]
    write_table(dataset.table_path("settings"), "settings", rows)
    return dataset


def alone(song_ids: list[str]) -> list[list[str]]:
    return [[song_id] for song_id in sorted(song_ids)]


def test_175_songs_at_144_and_76_settings_split_as_in_the_paper(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 175, 144, 76)
    made = split(dataset)
    assert Counter(made.songs.values()) == {TRAIN: 112, TEST: 63}
    expected = {"train": 112 * 144, "unused": 112 * 76, "test_seen": 63 * 144, "test_unseen": 63 * 76}
    assert made.counts == expected
    table = dataset.splits
    assert len(table) == 38_500
    assert not table.duplicated(["song_id", "setting_id"]).any()
    assert table["split"].value_counts().to_dict() == expected


def test_the_four_cells_meet_their_songs_and_settings(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 8, 3, 2)
    made = split(dataset, validation_songs=1)
    assert Counter(made.songs.values()) == {TRAIN: 4, VALIDATION: 1, TEST: 3}
    origin = dict(zip(dataset.settings["setting_id"], dataset.settings["origin"], strict=True))
    cells = {
        (TRAIN, "grid"): "train",
        (TRAIN, "random"): "unused",
        (VALIDATION, "grid"): "validation",
        (VALIDATION, "random"): "unused",
        (TEST, "grid"): "test_seen",
        (TEST, "random"): "test_unseen",
    }
    rows = dataset.rows("splits")
    assert all(row["split"] == cells[made.songs[row["song_id"]], origin[row["setting_id"]]] for row in rows)


def test_the_seed_and_the_numbers_are_recorded_and_give_the_same_again(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 20, 2, 1)
    first = split(dataset, seed=7, train_songs=9, validation_songs=2)
    noted = read_made_with(dataset.table_path("splits"), "splits")
    assert noted == {"seed": 7, "train_songs": 9, "validation_songs": 2}
    assert split(dataset, **noted) == first
    assert split(dataset, seed=8, train_songs=9, validation_songs=2).songs != first.songs


def test_quarantined_songs_are_in_no_split(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 4, 2, 1)
    rows = [*dataset.rows("songs"), song("bad", status="quarantined")]
    write_table(dataset.table_path("songs"), "songs", rows)
    assert "bad" not in split(dataset).songs


@settings(deadline=None, max_examples=60)
@given(song_ids=SONG_IDS, seed=st.integers(0, 99))
def test_the_training_side_has_112_of_175_songs_and_both_sides_have_some(song_ids: list[str], seed: int) -> None:
    roles = draw(alone(song_ids), seed)
    train = sum(role == TRAIN for role in roles.values())
    assert roles.keys() == set(song_ids)
    assert 1 <= train < len(song_ids)
    assert abs(train - len(song_ids) * 112 / 175) <= 0.5 or len(song_ids) < 3


@settings(deadline=None, max_examples=60)
@given(song_ids=SONG_IDS, new=NAMES, seed=st.integers(0, 99))
def test_another_song_moves_one_song_at_most(song_ids: list[str], new: str, seed: int) -> None:
    before = draw(alone(song_ids), seed)
    after = draw(alone([*{*song_ids, new}]), seed)
    assert sum(before[song_id] != after[song_id] for song_id in before) <= 1


@settings(deadline=None, max_examples=100)
@given(
    songs=st.lists(
        st.tuples(NAMES, st.integers(0, 12), st.integers(0, 12), st.integers(0, 2)), unique_by=lambda s: s[0]
    ),
    seed=st.integers(0, 99),
    validation=st.integers(0, 3),
)
def test_songs_of_the_same_content_are_never_on_two_sides(
    songs: list[tuple[str, int, int, int]], seed: int, validation: int
) -> None:
    rows = [song(name, f"sha-{sha}", f" Title {title}", f"artist {artist}") for name, sha, title, artist in songs]
    groups = same_content(rows)
    assert sorted(song_id for group in groups for song_id in group) == sorted(name for name, *_ in songs)
    try:
        roles = draw(groups, seed, None, validation)
    except UsageError:
        return  # too few groups for what was asked
    assert {TRAIN, TEST} <= set(roles.values())
    assert (VALIDATION in roles.values()) == (validation > 0)
    for one in rows:
        for other in rows:
            named_alike = (one["title"], one["artist"]) == (other["title"], other["artist"])
            if one["dry_sha256"] == other["dry_sha256"] or named_alike:
                assert roles[one["song_id"]] == roles[other["song_id"]]


def test_a_chain_of_likeness_is_one_group() -> None:
    rows = [song("a", "x", "One", "A"), song("c", "y", "Two"), song("b", "y", " one ", "a"), song("d")]
    assert same_content(rows) == [["a", "b", "c"], ["d"]]


def test_a_group_larger_than_a_side_leaves_both_sides_filled() -> None:
    groups = [["a", "b", "c", "d", "e"], ["f"]]
    for seed in range(8):
        assert draw(groups, seed)["f"] == TRAIN
        assert draw(groups, seed)["a"] == TEST


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"train_songs": 4}, r"--train-songs must leave songs on both sides, got 4 \(allowed: 1 to 3\)"),
        ({"validation_songs": 3}, r"--validation-songs .* got 3 \(allowed: 0 to 2\)"),
    ],
)
def test_numbers_that_empty_a_side_are_refused(tmp_path: Path, numbers: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split(planned(tmp_path, 4, 2, 1), **numbers)


def test_a_single_song_no_plan_and_no_grid_are_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"at least 2 songs of different content, got 1; add songs"):
        split(planned(tmp_path / "one", 1, 2, 1))
    with pytest.raises(DatasetError, match="no setting comes from a grid"):
        split(planned(tmp_path / "none", 4, 0, 3))
    dataset = planned(tmp_path / "unplanned", 4, 2, 1)
    dataset.table_path("settings").unlink()
    with pytest.raises(DatasetError, match=r"settings\.parquet does not exist yet; type `buscomp capture` first"):
        split(dataset)


def test_the_command_without_options_prints_the_seed_and_the_sides(tmp_path: Path) -> None:
    planned(tmp_path, 8, 3, 0)
    done = CliRunner().invoke(main, ["split", "--dataset", str(tmp_path)])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["Seed 1, songs: 5 train, 3 test.", "Takes: 15 train, 9 test_seen."]
    assert done.stderr == "note: no setting is random, so test_unseen is empty\n"
    told = json.loads(CliRunner().invoke(main, ["split", "--dataset", str(tmp_path), "--json"]).stdout)
    assert told["takes"] == {"train": 15, "test_seen": 9}
    assert len(told["songs"]["test"]) == 3

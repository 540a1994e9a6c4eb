"""No song is on both sides, and another song does not reshuffle the rest."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from buscomp.cli import main
from buscomp.curation.groups import same_content
from buscomp.curation.split import TEST, TRAIN, VALIDATION, Sides, Split, draw, draw_sides, split
from buscomp.curation.stratify import TRAITS
from buscomp.manifests.cells import SEEN, UNSEEN
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.tables import read_made_with, write_table

NAMES = st.text("abcdefgh0123", min_size=1, max_size=6)
TOO_LITTLE = (
    "at least 2|no two sides|both sides|taken from the training|leaves no group|in each|for each fold|no song has a|"
    "too few"
)
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
    noted: dict[str, Any] = read_made_with(dataset.table_path("splits"), "splits")
    unused = {"stratify": [], "by_artist": False, "hold_out_unit": None, "folds": None, "fold": 1}
    assert noted == {"seed": 7, "train_songs": 9, "validation_songs": 2} | unused
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


Catalog = tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]


def catalog(random: Random, most: int) -> Catalog:
    """Songs, some alike in samples, name, artist or ear; their annotations; and the choices of a split."""
    kinds = random.choice((6, 20, 60, 200))  # the fewer, the more are alike
    songs, annotations = [], []
    for name in random.sample(range(100), random.randint(2, most)):
        sha, title, artist, heard = *(random.randrange(kinds) for _ in range(3)), random.randrange(30)
        known = random.randrange(16)  # a bit for each thing that may be unknown
        row = song(f"song-{name}", f"sha-{sha}", f" Title {title}", f"Artist {artist}" if known & 1 else None)
        row["loudness_lufs"] = random.randint(-40, -10) if known & 2 else None
        songs.append(row | ({"duplicate_of": f"song-{heard}"} if heard < 4 else {}))
        genres = random.sample("rpjfm", random.randint(0, 3)) if known & 4 else None
        tempo_bpm = random.randint(60, 180) if known & 8 else None
        annotations.append({"song_id": f"song-{name}", "genres": genres, "tempo_bpm": tempo_bpm})
    folds = random.randint(2, 4) if random.randrange(3) == 0 else None
    return songs, annotations, {
        "seed": random.randrange(1000),
        "train_songs": random.randint(1, len(songs)) if folds is None and random.randrange(2) else None,
        "validation_songs": random.choice((0, 0, 1, 3)),
        "stratify": random.sample(TRAITS, random.randint(0, 3)) if random.randrange(2) else [],
        "by_artist": random.randrange(2) == 0,
        "folds": folds,
        "fold": random.randint(1, folds or 1),
    }  # fmt: skip


def are_alike(one: dict[str, Any], other: dict[str, Any], by_artist: bool) -> bool:
    """What must not straddle, said a second time."""
    heard = (other.get("duplicate_of"), other["song_id"])
    return (
        one["dry_sha256"] == other["dry_sha256"]
        or (one["title"], one["artist"]) == (other["title"], other["artist"])
        or (by_artist and one["artist"] is not None and one["artist"] == other["artist"])
        or one["song_id"] == other.get("duplicate_of")
        or (one.get("duplicate_of") is not None and one["duplicate_of"] in heard)
    )


def drawn_or_refused(songs: Any, annotations: Any, options: Any) -> Sides | None:
    """The sides, none of which is empty and none of which shares a song or a duplicate with another one; None where
    there is too little for what was asked."""
    try:
        drawn = draw_sides(songs, annotations, **options)
    except (UsageError, DatasetError) as error:
        if re.search(TOO_LITTLE, str(error)):
            return None
        raise
    assert sorted(drawn.songs) == sorted(row["song_id"] for row in songs)
    assert set(drawn.songs.values()) == {TRAIN, TEST} | ({VALIDATION} if options["validation_songs"] else set())
    assert set(drawn.folds.values()) == set(range(1, (options["folds"] or 0) + 1))
    for one, other in combinations(songs, 2):
        if are_alike(one, other, options["by_artist"]):
            assert drawn.songs[one["song_id"]] == drawn.songs[other["song_id"]]
            assert drawn.folds.get(one["song_id"]) == drawn.folds.get(other["song_id"])
    return drawn


@settings(deadline=None, max_examples=60)
@given(random=st.randoms(use_true_random=False))
def test_no_song_or_duplicate_is_on_two_sides(random: Random) -> None:
    drawn_or_refused(*catalog(random, most=8))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_in_10_000_random_catalogs_no_song_or_duplicate_is_on_two_sides() -> None:
    """10,000 that can be split; those that cannot must be refused with a reason, and come on top."""
    found: Counter[str] = Counter()

    @settings(deadline=None, max_examples=15_000, phases=[Phase.generate])
    @given(seed=st.integers(0, 2**64))
    def look(seed: int) -> None:
        drawn = drawn_or_refused(*catalog(Random(seed), most=20))
        found["split" if drawn else "refused"] += 1
        found["with songs kept together"] += drawn is not None and len(drawn.groups) < len(drawn.songs)
        found["in folds"] += drawn is not None and bool(drawn.folds)
        found["stratified"] += drawn is not None and bool(drawn.labels)

    look()
    print(dict(found))
    assert found["split"] >= 10_000
    assert min(found["with songs kept together"], found["in folds"], found["stratified"]) >= 1000


def test_a_chain_of_likeness_is_one_group() -> None:
    rows = [song("a", "x", "One", "A"), song("c", "y", "Two"), song("b", "y", " one ", "a"), song("d")]
    assert same_content(rows) == [["a", "b", "c"], ["d"]]


def test_acoustic_duplicates_are_one_group_even_where_the_song_they_repeat_is_quarantined() -> None:
    rows = [song("a"), song("b", duplicate_of="a"), song("c", duplicate_of="gone"), song("d", duplicate_of="gone")]
    assert same_content(rows) == [["a", "b"], ["c", "d"]]


def test_an_artist_is_a_group_when_asked_for_and_nobody_is_no_artist() -> None:
    rows = [song("a", artist="Ann"), song("b", artist=" ANN "), song("c", artist="Bo"), song("d"), song("e", artist="")]
    assert same_content(rows) == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert same_content(rows, by_artist=True) == [["a", "b"], ["c"], ["d"], ["e"]]


def test_songs_of_one_artist_cannot_be_split_by_artist(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 4, 2, 1)
    rows = [row | {"artist": "Ann"} for row in dataset.rows("songs")]
    write_table(dataset.table_path("songs"), "songs", rows)
    with pytest.raises(UsageError, match="--by-artist leaves one group of songs, which has no two sides; leave it out"):
        split(dataset, by_artist=True)


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
def test_numbers_that_empty_a_side_are_refused(tmp_path: Path, numbers: dict[str, Any], message: str) -> None:
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


def annotated(root: Path, songs: int) -> Dataset:
    """Songs of genres, tempi and loudnesses drawn at random, at 3 settings."""
    dataset, random = planned(root, songs, 2, 1), Random(3)
    rows = [row | {"loudness_lufs": random.gauss(-28, 3)} for row in dataset.rows("songs")]
    write_table(dataset.table_path("songs"), "songs", rows)
    genres = ["rock", "pop", "jazz", "metal", "folk", "funk", "blues", "reggae", "country", "electronic"]
    described = [
        {"song_id": row["song_id"], "dry_sha256": row["dry_sha256"], "tempo_bpm": random.gauss(120, 20)}
        | {"genres": random.sample(genres, random.choice((1, 1, 2, 3)))}
        for row in rows
    ]
    write_table(dataset.table_path("annotations"), "annotations", described)
    return dataset


def farthest(made: Split) -> float:
    """By how many songs a label misses its share of the training side at most."""
    of_all = Counter(label for its in made.labels.values() for label in its)
    of_train = Counter(label for song_id, its in made.labels.items() if made.songs[song_id] == TRAIN for label in its)
    share = sum(side == TRAIN for side in made.songs.values()) / len(made.songs)
    return max(abs(of_train[label] - share * count) for label, count in of_all.items())


def test_of_175_songs_each_genre_tempo_and_loudness_has_its_112_of_175_within_one_song(tmp_path: Path) -> None:
    dataset = annotated(tmp_path, 175)
    made = split(dataset, stratify=TRAITS)
    assert Counter(made.songs.values()) == {TRAIN: 112, TEST: 63}
    kinds = Counter(label.split()[0] for label in {label for its in made.labels.values() for label in its})
    assert kinds == {"genre": 10, "tempo": 4, "loudness": 4}
    assert farthest(made) < 1
    by_hash = Split(split(dataset).songs, {}, 1, [], labels=made.labels)
    assert farthest(by_hash) > 2  # what it would be without
    assert made == split(dataset, stratify=TRAITS)
    three = split(dataset, stratify=TRAITS, validation_songs=12)
    assert Counter(three.songs.values()) == {TRAIN: 100, VALIDATION: 12, TEST: 63}
    assert farthest(three) < 1.5


def test_five_folds_of_175_songs_are_35_each_and_every_song_is_tested_once(tmp_path: Path) -> None:
    dataset = annotated(tmp_path, 175)
    made = split(dataset, folds=5, fold=2, stratify=["genre"])
    assert Counter(made.folds.values()) == dict.fromkeys((1, 2, 3, 4, 5), 35)
    assert {song_id for song_id, side in made.songs.items() if side == TEST} == {
        song_id for song_id, fold in made.folds.items() if fold == 2
    }
    by_fold = dataset.splits.drop_duplicates("song_id").set_index("song_id")["fold"]
    assert by_fold.to_dict() == made.folds
    for genre in {label for its in made.labels.values() for label in its}:
        counts = Counter(fold for song_id, fold in made.folds.items() if genre in made.labels[song_id])
        assert max(counts.values()) - min(counts.values()) <= 2


def test_validation_songs_are_in_no_fold(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 11, 2, 1)
    made = split(dataset, folds=3, validation_songs=2)
    assert Counter(made.songs.values()) == {TRAIN: 6, VALIDATION: 2, TEST: 3}
    apart = {song_id for song_id, side in made.songs.items() if side == VALIDATION}
    assert apart.isdisjoint(made.folds)
    rows = dataset.rows("splits")
    assert {row["song_id"] for row in rows if row["fold"] is None} == apart


def two_units(root: Path) -> Dataset:
    dataset = planned(root, 8, 3, 2)
    takes = [
        {"take_id": f"{unit}-{song}-{setting}", "song_id": song, "setting_id": setting, "unit_id": unit}
        | {"status": "accepted", "sequence": place, "sample_rate": 44_100, "frames": 10, "wet_path": "wet/x.flac"}
        for place, unit in enumerate(("left", "right"))
        for song in (row["song_id"] for row in dataset.rows("songs"))
        for setting in (row["setting_id"] for row in dataset.rows("settings"))
    ]
    write_table(dataset.table_path("takes"), "takes", takes)
    return dataset


def test_of_a_unit_that_is_held_out_nothing_is_trained_on_and_only_it_is_tested(tmp_path: Path) -> None:
    dataset = two_units(tmp_path)
    made = split(dataset, hold_out_unit="right", validation_songs=1)
    table = dataset.pair_table()
    assert len(table) == 2 * 8 * 5  # every take has one place
    found = table.groupby(["split", "unit_id"]).size().to_dict()
    assert found == {
        ("train", "left"): 4 * 3, ("validation", "left"): 1 * 3, ("unused", "left"): 5 * 2 + 3 * 5,
        ("test_seen", "right"): 3 * 3, ("test_unseen", "right"): 3 * 2, ("unused", "right"): 5 * 5,
    }  # fmt: skip
    assert made.counts["test_seen"] == 9
    tested = set(table.loc[table["split"].str.startswith("test"), "song_id"])
    assert tested.isdisjoint(table.loc[table["split"].isin(["train", "validation"]), "song_id"])
    assert len(dataset.pair_table(song=SEEN, setting=SEEN, unit=UNSEEN)) == 4 * 3
    assert len(dataset.pair_table(song=UNSEEN, setting=UNSEEN, unit=SEEN)) == 3 * 2


def test_a_unit_that_is_not_there_or_is_the_only_one_cannot_be_held_out(tmp_path: Path) -> None:
    dataset = two_units(tmp_path)
    with pytest.raises(UsageError, match=r"no take is planned on this unit, got mid \(allowed: left, right\)"):
        split(dataset, hold_out_unit="mid")
    takes = [row for row in dataset.rows("takes") if row["unit_id"] == "left"]
    write_table(dataset.table_path("takes"), "takes", takes)
    with pytest.raises(UsageError, match="leaves no unit to train on, got left; capture another unit, too"):
        split(dataset, hold_out_unit="left")


def test_what_is_not_annotated_cannot_be_stratified_by(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 8, 2, 1)
    with pytest.raises(DatasetError, match=r"annotations\.parquet does not exist yet; type `buscomp annotate` first"):
        split(dataset, stratify=["tempo"])
    described = [{"song_id": row["song_id"], "dry_sha256": "other", "tempo_bpm": 99.0} for row in dataset.rows("songs")]
    write_table(dataset.table_path("annotations"), "annotations", described)
    with pytest.raises(DatasetError, match="no song has a tempo; type `buscomp annotate`, or leave it out"):
        split(dataset, stratify=["tempo"])  # of other samples: out of date
    with pytest.raises(UsageError, match=r"no such trait .*, got mood \(allowed: genre, tempo, loudness\)"):
        split(dataset, stratify=["mood"])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"folds": 5}, r"--folds .*, got 5 \(allowed: 2 to 4\)"),
        ({"folds": 2, "fold": 3}, r"no such fold, got 3 \(allowed: 1 to 2\)"),
        ({"folds": 2, "train_songs": 2}, "--train-songs has no meaning with --folds, got 2"),
        ({"folds": 2, "validation_songs": 3}, r"must leave songs for each fold, got 3 \(allowed: 0 to 2\)"),
        ({"fold": 2}, "--fold needs --folds, got 2"),
    ],
)
def test_folds_that_cannot_be_are_refused(tmp_path: Path, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split(planned(tmp_path, 4, 2, 1), **choices)


def test_the_command_with_every_option_tells_the_folds_and_what_stays_together(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 8, 3, 1)
    rows = [row | {"artist": "Ann" if place < 2 else None, "loudness_lufs": -20.0 - place}
            for place, row in enumerate(dataset.rows("songs"))]  # fmt: skip
    write_table(dataset.table_path("songs"), "songs", rows)
    words = [
        "split",
        "--dataset",
        str(tmp_path),
        "--folds",
        "4",
        "--fold",
        "3",
        "--by-artist",
        "--stratify",
        "loudness",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "Seed 1, songs: 6 train, 2 test.",
        "Takes: 18 train, 6 test_seen, 2 test_unseen, 6 unused.",
        "Fold 3 of 4 is the test; songs by fold: 2, 2, 2, 2.",
    ]
    assert done.stderr == "note: same content or artist, kept together: song-000, song-001\n"


def test_the_command_without_options_prints_the_seed_and_the_sides(tmp_path: Path) -> None:
    planned(tmp_path, 8, 3, 0)
    done = CliRunner().invoke(main, ["split", "--dataset", str(tmp_path)])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["Seed 1, songs: 5 train, 3 test.", "Takes: 15 train, 9 test_seen."]
    assert done.stderr == "note: no setting is random, so test_unseen is empty\n"
    told = json.loads(CliRunner().invoke(main, ["split", "--dataset", str(tmp_path), "--json"]).stdout)
    assert told["takes"] == {"train": 15, "test_seen": 9}
    assert len(told["songs"]["test"]) == 3

"""A larger subset holds everything of a smaller one, and each as many hours as it says."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.cli import main
from buscomp.curation.split import split
from buscomp.curation.subset import PAPER, Material, again, cut, level, name_of, paper_subsets, subset
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.tables import read_made_with, write_table

RATE = 1000  # frames a second are enough where nothing is heard
Row = dict[str, Any]


def material(lengths_s: list[float], setting_count: int = 6, seed: int = 1, window_s: float = 5.0) -> Material:
    """Songs of these lengths, at every setting."""
    songs = [
        {"song_id": f"song-{n:03}", "title": f"Title {n}", "dry_sha256": f"sha-{n}"} for n in range(len(lengths_s))
    ]
    takes = [
        {"take_id": f"{song['song_id']}-{s}", "song_id": song["song_id"], "setting_id": f"set-{s:03}", "unit_id": "u"}
        | {"frames": round(length_s * RATE)}
        for s in range(setting_count)
        for song, length_s in zip(songs, lengths_s, strict=True)
    ]
    return Material(takes, songs, RATE, seed, window_s)


def spans(windows: list[Row]) -> dict[str, tuple[int, int]]:
    """take_id -> begin and end of its window; no take has two."""
    found = {row["take_id"]: (row["start_frame"], row["start_frame"] + row["frames"]) for row in windows}
    assert len(found) == len(windows)
    return found


def total_s(windows: list[Row]) -> float:
    return float(sum(row["frames"] for row in windows) / RATE)


@settings(max_examples=150)
@given(data=st.data())
def test_a_larger_subset_contains_every_frame_of_a_smaller_one_and_has_the_hours_it_says(data: st.DataObject) -> None:
    lengths_s = data.draw(st.lists(st.floats(1, 60), min_size=1, max_size=8))
    drawn = material(
        lengths_s, data.draw(st.integers(1, 7)), data.draw(st.integers(0, 9)), data.draw(st.floats(0.1, 20))
    )
    songs = data.draw(st.integers(1, len(lengths_s)))
    held_s = sum(row["frames"] for takes in drawn.takes[:songs] for row in takes) / RATE
    smaller_s, larger_s = sorted(data.draw(st.tuples(*[st.floats(0.1 * songs + 0.01, held_s)] * 2)))
    smaller, larger = drawn.windows(songs, smaller_s / 3600), drawn.windows(songs, larger_s / 3600)
    for windows, asked_s in ((smaller, smaller_s), (larger, larger_s)):
        assert total_s(windows) == pytest.approx(asked_s, abs=1 / RATE)
        assert len({row["song_id"] for row in windows}) == songs
    frames = {take["take_id"]: take["frames"] for takes in drawn.takes for take in takes}
    within = spans(larger)
    for take_id, (begin, end) in spans(smaller).items():
        assert within[take_id][0] <= begin < end <= within[take_id][1]
    assert all(0 <= begin < end <= frames[take_id] for take_id, (begin, end) in within.items())


@settings(max_examples=100)
@given(
    held=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    asked=st.tuples(st.integers(1, 600), st.integers(1, 600)),
)
def test_time_is_shared_out_exactly_evenly_and_never_less_of_more(held: list[int], asked: tuple[int, int]) -> None:
    limits = np.array(held)
    less, more = (level(limits, min(total, sum(held))) for total in sorted(asked))
    assert less.sum() == min(*asked, sum(held))
    assert (less <= more).all()
    assert (more <= limits).all()
    unfilled = less[less < limits]
    assert unfilled.size == 0 or unfilled.max() - unfilled.min() <= 1
    assert unfilled.size == 0 or less.max() - unfilled.min() <= 1  # nobody has more than those who could give more


def test_fewer_songs_are_the_first_of_more_and_more_hours_are_of_the_same() -> None:
    drawn = material([30.0] * 20)
    songs = {count: {row["song_id"] for row in drawn.windows(count, 100 / 3600)} for count in (1, 5, 10, 20)}
    assert songs[1] < songs[5] < songs[10] < songs[20]
    assert {row["song_id"] for row in drawn.windows(5, 300 / 3600)} == songs[5]


def test_the_hours_are_of_all_takes_together_and_a_short_song_gives_all_it_has() -> None:
    drawn = material([10.0, 40.0, 40.0], setting_count=4)
    windows = drawn.windows(3, 200 / 3600)
    by_song = Counter[str]()
    for row in windows:
        by_song[row["song_id"]] += row["frames"] / RATE
    assert by_song == {"song-000": 40, "song-001": 80, "song-002": 80}


def test_a_song_gives_one_window_of_each_setting_before_a_second_one_and_all_at_one_place() -> None:
    takes = [{"take_id": f"t{n}", "song_id": "a", "setting_id": f"s{n}", "frames": 100} for n in range(3)]
    assert [row["frames"] for row in cut(takes, 25, 10, seed=1)] == [10, 10, 5]
    assert [row["frames"] for row in cut(takes, 35, 10, seed=1)] == [15, 10, 10]
    assert len({row["start_frame"] for row in cut(takes, 60, 10, seed=1)}) == 1
    assert [row["frames"] for row in cut(takes, 300, 10, seed=1)] == [100] * 3


def test_a_hundred_windows_of_a_hundred_songs_meet_at_least_80_of_144_settings_and_none_more_than_thrice() -> None:
    drawn = material([60.0] * 100, setting_count=144)
    counts = Counter(row["setting_id"] for row in drawn.windows(100, 180 / 3600))  # 1.8 s of each song
    assert sum(counts.values()) == 100
    assert len(counts) >= 80
    assert max(counts.values()) <= 3
    counts = Counter(row["setting_id"] for row in drawn.windows(100, 9000 / 3600))  # 18 of the settings each
    assert len(counts) == 144
    assert max(counts.values()) - min(counts.values()) <= 6


def test_of_songs_of_the_same_content_one_counts() -> None:
    songs = [{"song_id": f"song-{n}", "title": f"Title {n // 2}", "dry_sha256": f"sha-{n}"} for n in range(6)]
    takes = [{"take_id": f"t-{n}", "song_id": f"song-{n}", "setting_id": "s", "unit_id": "u", "frames": 9000}
             for n in range(6)]  # fmt: skip
    drawn = Material(takes, songs, RATE)
    assert len(drawn.windows(3, 3 / 3600)) == 3
    with pytest.raises(UsageError, match=r"fewer songs of different content, got 4 \(allowed: 1 to 3\)"):
        drawn.windows(4, 3 / 3600)


@pytest.mark.parametrize(
    ("songs", "hours", "message"),
    [
        (2, 0.2, r"--hours from 2 songs, got 0.2 \(allowed: 5.556e-05 to 0.1\); ask for 4 songs"),
        (2, 0.3, r"got 0.3 \(allowed: .* to 0.1\); capture more, or ask for fewer hours"),
        (2, 1e-6, r"got 1e-06 .*; ask for fewer songs"),
        (2, float("nan"), "--hours must be a number, got nan"),
        (0, 0.1, r"got 0 \(allowed: 1 to 4\)"),
    ],
)
def test_a_dataset_too_small_for_a_subset_says_what_it_allows(songs: int, hours: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        material([60.0] * 4, setting_count=3).windows(songs, hours)


def test_where_other_songs_would_be_long_enough_another_seed_is_advised() -> None:
    drawn = material([30.0, 30.0, 90.0, 30.0, 30.0], setting_count=1)
    with pytest.raises(UsageError, match=r"ask for \d songs, or --seed \d+, which draws longer ones") as refusal:
        drawn.windows(1, 80 / 3600)
    seed = int(str(refusal.value).split("--seed ")[1].split(",")[0])
    longer = material([30.0, 30.0, 90.0, 30.0, 30.0], setting_count=1, seed=seed)
    assert {row["song_id"] for row in longer.windows(1, 80 / 3600)} == {"song-002"}


def planned(root: Path, songs: int, grid: int, duration_s: float, rate: int = RATE) -> Dataset:
    """A dataset of tables alone, everything captured, split as in the paper."""
    dataset, random = Dataset(root), Random(5)
    rows = [
        {"song_id": f"song-{n:03}", "title": f"Title {n}", "dry_sha256": f"sha-{n}", "status": "accepted"}
        | {"dry_path": f"dry/song-{n:03}.flac", "frames": round(duration_s * random.uniform(0.7, 1.3) * rate)}
        for n in range(songs)
    ]
    write_table(dataset.table_path("songs"), "songs", rows)
    settings = [{"setting_id": f"set-{n:03}", "origin": "grid"} for n in range(grid)]
    write_table(dataset.table_path("settings"), "settings", [*settings, {"setting_id": "other", "origin": "random"}])
    pairs = [(setting["setting_id"], song) for setting in settings for song in rows]
    takes = (
        {"take_id": f"t{n:06}-1", "song_id": song["song_id"], "setting_id": setting, "unit_id": "u", "sequence": n}
        | {"status": "accepted", "wet_path": "wet/x.flac", "sample_rate": rate, "frames": song["frames"]}
        for n, (setting, song) in enumerate(pairs)
    )
    write_table(dataset.table_path("takes"), "takes", takes)
    split(dataset)
    return dataset


def test_a_subset_is_kept_beside_others_with_what_made_it_and_is_the_same_again(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 12, 5, 60.0)
    made = subset(dataset, hours=0.1, songs=4, name="small", seed=3)
    subset(dataset, hours=0.2, songs=4, seed=3)
    rows = dataset.rows("subsets")
    assert {row["subset"] for row in rows} == {"small", "4-songs-0p2-h"}
    noted = read_made_with(dataset.table_path("subsets"), "subsets")
    assert noted["small"] == {"songs": 4, "hours": 0.1, "seed": 3, "window_s": 4.5}
    assert (made.songs, made.settings, made.takes) == (4, 5, 20)
    assert made.hours == pytest.approx(0.1)
    train = set(dataset.pair_table("train")["take_id"])
    assert {row["take_id"] for row in rows} <= train
    assert again(dataset, "small") == made
    key = lambda row: (row["subset"], row["take_id"])  # noqa: E731
    assert sorted(dataset.rows("subsets"), key=key) == sorted(rows, key=key)
    with pytest.raises(UsageError, match=r"no such subset, got large \(allowed: 4-songs-0p2-h, small\)"):
        again(dataset, "large")


def test_another_split_makes_a_subset_out_of_date_until_it_is_drawn_again(tmp_path: Path) -> None:
    dataset = planned(tmp_path, 12, 5, 60.0)
    subset(dataset, hours=0.1, name="small")
    split(dataset, seed=2)
    with pytest.raises(DatasetError, match="was drawn from other takes or another split"):
        Dataset(tmp_path).pair_table(subset="small")
    again(Dataset(tmp_path), "small")
    table = Dataset(tmp_path).pair_table(subset="small")
    assert set(table["split"]) == {"train"}
    assert table["frames"].sum() / RATE == pytest.approx(360, abs=0.01)


def test_the_subsets_of_the_paper_are_nested_and_those_that_do_not_fit_are_told(tmp_path: Path) -> None:
    """175 songs, of which 112 train, at 144 settings; the songs are a little shorter than the paper's."""
    dataset = planned(tmp_path, 175, 144, 225.0, rate=20)
    made, refused = paper_subsets(dataset)
    assert [one.name for one in made] == [name_of(songs, hours) for songs, hours in PAPER if songs > 5]
    for one, (songs, hours) in zip(made, [its for its in PAPER if its[0] > 5], strict=True):
        assert one.songs == songs
        assert one.hours == pytest.approx(hours, rel=1e-3)
    assert len(refused) == 1
    assert refused[0].startswith("5-songs-50-h: --hours from 5 songs, got 50 (allowed: ")
    tables = {one.name: Dataset(tmp_path).pair_table(subset=one.name) for one in made}
    names = [name_of(100, hours) for hours in (0.05, 0.5, 5, 50, 500)]
    for smaller, larger in pairwise(names):
        both = tables[smaller].merge(tables[larger], on="take_id", suffixes=("", "_larger"), how="left")
        assert (both["start_frame_larger"] <= both["start_frame"]).all()
        ends, larger_ends = (both[f"start_frame{s}"] + both[f"frames{s}"] for s in ("", "_larger"))
        assert (ends <= larger_ends).all()
    heard = [set(tables[name_of(count, 50)]["song_id"]) for count in (10, 25, 50, 100)]
    assert heard[0] < heard[1] < heard[2] < heard[3]


def test_pairs_of_a_subset_are_heard_where_the_manifest_says(dataset: Dataset) -> None:
    subset(dataset, hours=1.2 / 3600, name="small", window_s=0.5)
    pairs = list(Dataset(dataset.root).pairs(subset="small"))
    assert sum(len(pair.dry) for pair in pairs) == pytest.approx(1.2 * 44_100, abs=1)
    whole = {pair.take_id: pair for pair in dataset.pairs("train")}
    for pair in pairs:
        window = slice(pair.start_frame, pair.start_frame + len(pair.wet))
        np.testing.assert_array_equal(pair.wet, whole[pair.take_id].wet[window])


def test_the_command_makes_lists_and_refuses(tmp_path: Path) -> None:
    planned(tmp_path, 12, 5, 60.0)

    def told(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["subset", "--dataset", str(tmp_path), *words])
        return done.exit_code, done.output

    assert told() == (0, "No subset yet.\n")
    status, text = told("--hours", "0.1", "--songs", "4")
    assert status == 0
    assert text.startswith("4-songs-0p1-h: 0.1 h of 4 songs (")
    assert text.endswith("min of music) at 5 settings, 20 windows of 18 to 18 s\n")
    assert told() == (0, "4-songs-0p1-h: 0.1 h of 4 songs, seed 1\n")
    assert told("--again", "4-songs-0p1-h") == (0, text)
    status, text = told("--hours", "9")
    assert status == 2
    assert "--hours from 8 songs, got 9 (allowed: 0.0002223 to 0." in text
    assert told("--hours", "1", "--paper")[0] == told("--songs", "3")[0] == 2
    status, text = told("--paper", "--json")
    assert status == 1
    document = json.loads(text)
    assert document["subsets"] == []
    assert len(document["refused"]) == len(PAPER)

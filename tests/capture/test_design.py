"""`capture.design`: which songs at which setting, balanced, for ever the same, and nothing planned is taken back."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.blocks import Songs
from buscomp.capture.design import Design, song_counts
from buscomp.capture.grid import load_grid
from buscomp.capture.profiles import find_profile
from buscomp.manifests.unit import Setting, load_unit

NOWHERE = Path("/nonexistent")
SSL = load_unit(find_profile("ssl-500-bus", NOWHERE, "unit"))
SHIPPED = load_grid(find_profile("grid", NOWHERE, "grid")).settings(SSL)
SONGS = {f"song-{number}": 236.43 for number in range(175)}
SHA256_OF_THREE = (
    "e6498ba2323b1875c340e12c38b8d04e0eacdb8ed40048f192c1cf8ef6eb402b"  # of the blocks of three songs a setting
)


@cache
def shipped(songs_per_setting: int) -> dict[str, Songs]:
    design = Design(kind="balanced-incomplete", songs_per_setting=songs_per_setting)
    return design.songs_by_setting(SONGS, SHIPPED)


def spread(by_setting: Mapping[str, Songs], found: list[Setting], songs: Mapping[str, float]) -> int:
    counts = song_counts({setting.setting_id: by_setting[setting.setting_id] for setting in found})
    return max(counts[song] for song in songs) - min(counts[song] for song in songs)


def of(origin: str) -> list[Setting]:
    return [setting for setting in SHIPPED if setting.origin == origin]


def pairs(by_setting: Mapping[str, Songs]) -> list[int]:
    met = Counter(pair for songs in by_setting.values() for pair in itertools.combinations(sorted(songs), 2))
    return [met[pair] for pair in itertools.combinations(sorted(SONGS), 2)]


@pytest.mark.parametrize("songs_per_setting", [1, 3, 17])
def test_every_song_stands_equally_often_in_all_in_the_grid_and_in_the_random_settings(songs_per_setting: int) -> None:
    by_setting = shipped(songs_per_setting)
    assert {len(songs) for songs in by_setting.values()} == {songs_per_setting}
    assert all(len(set(songs)) == songs_per_setting for songs in by_setting.values())
    assert spread(by_setting, SHIPPED, SONGS) <= 1
    assert spread(by_setting, of("grid"), SONGS) <= 1
    assert spread(by_setting, of("random"), SONGS) <= 1


def test_both_origins_hear_all_175_songs_from_three_songs_a_setting_on() -> None:
    by_setting = shipped(3)
    for origin in ("grid", "random"):
        assert len(song_counts({s.setting_id: by_setting[s.setting_id] for s in of(origin)})) == 175


@pytest.mark.parametrize("songs_per_setting", [17])
def test_two_songs_meet_more_evenly_than_in_blocks_that_are_drawn_at_random(songs_per_setting: int) -> None:
    chance = random.Random(1)
    drawn = {s.setting_id: tuple(chance.sample(sorted(SONGS), songs_per_setting)) for s in SHIPPED}
    assert np.std(pairs(shipped(songs_per_setting))) < 0.8 * np.std(pairs(drawn))


def test_with_seventeen_songs_a_setting_each_song_meets_each_level_of_the_grid_about_equally_often() -> None:
    by_setting, grid = shipped(17), of("grid")
    for name, expected in (("threshold_db", 3.5), ("attack_ms", 3.5), ("release_s", 3.5), ("ratio", 4.7)):
        for level in {setting.values[name] for setting in grid}:
            counts = song_counts({s.setting_id: by_setting[s.setting_id] for s in grid if s.values[name] == level})
            assert all(abs(counts[song] - expected) <= 2.6 for song in SONGS), (name, level)


def test_the_blocks_are_what_they_were_when_they_were_published() -> None:
    text = " ".join(f"{setting_id}:{','.join(songs)}" for setting_id, songs in shipped(3).items())
    assert hashlib.sha256(text.encode()).hexdigest() == SHA256_OF_THREE


def test_songs_come_in_the_order_of_the_catalog() -> None:
    order = {song: place for place, song in enumerate(SONGS)}
    for songs in shipped(17).values():
        assert [order[song] for song in songs] == sorted(order[song] for song in songs)


def test_another_seed_gives_other_blocks() -> None:
    other = Design(kind="balanced-incomplete", songs_per_setting=3, seed=1).songs_by_setting(SONGS, SHIPPED)
    assert sum(other[setting_id] == songs for setting_id, songs in shipped(3).items()) < 5


@pytest.mark.parametrize("hours", [15, 50, 250])
def test_hours_are_met_within_one_song(hours: float) -> None:
    by_setting = Design(kind="balanced-incomplete", hours=hours).songs_by_setting(SONGS, SHIPPED)
    takes = sum(len(songs) for songs in by_setting.values())
    assert abs(takes * 236.43 / 3600 - hours) <= 236.43 / 3600
    sizes = {len(songs) for songs in by_setting.values()}
    assert max(sizes) - min(sizes) <= 1


def test_less_than_one_song_a_setting_is_refused_with_the_hours_that_it_takes() -> None:
    with pytest.raises(ValueError, match=r"14 hours are less than one song at each setting, which takes 14\.5"):
        Design(kind="balanced-incomplete", hours=14).songs_by_setting(SONGS, SHIPPED)


def test_full_is_every_song_everywhere_and_so_is_a_block_of_more_songs_than_there_are() -> None:
    every = {setting.setting_id: tuple(SONGS) for setting in SHIPPED}
    assert Design().songs_by_setting(SONGS, SHIPPED) == every
    assert Design(kind="balanced-incomplete", songs_per_setting=500).songs_by_setting(SONGS, SHIPPED) == every
    assert Design(kind="balanced-incomplete", hours=9999).songs_by_setting(SONGS, SHIPPED) == every


@settings(deadline=None, max_examples=20)
@given(
    songs=st.integers(1, 12),
    size=st.integers(1, 14),
    first=st.integers(1, 30),
    second=st.integers(0, 30),
    seed=st.integers(0, 5),
)
def test_more_settings_and_more_songs_a_setting_take_nothing_back_that_was_planned(
    songs: int, size: int, first: int, second: int, seed: int
) -> None:
    names = {f"song-{number}": 10.0 for number in range(songs)}
    mixed = sorted(SHIPPED, key=lambda setting: hashlib.sha256(f"{seed}{setting.setting_id}".encode()).digest())
    some = mixed[:first]
    design = Design(kind="balanced-incomplete", songs_per_setting=size, seed=seed)
    before = design.songs_by_setting(names, some)
    assert design.songs_by_setting(names, some, before) == before
    more = sorted(mixed[: first + second], key=lambda setting: setting.setting_id)
    after = design.songs_by_setting(names, more, before)
    assert {setting_id: after[setting_id] for setting_id in before} == before
    assert design.songs_by_setting(names, more, after) == after
    assert spread(after, more, names) <= 1
    larger = Design(kind="balanced-incomplete", songs_per_setting=size + 2, seed=seed)
    grown = larger.songs_by_setting(names, more, after)
    assert all(set(after[setting_id]) <= set(songs_there) for setting_id, songs_there in grown.items())
    assert {len(songs_there) for songs_there in grown.values()} == {min(size + 2, songs)}
    assert larger.songs_by_setting(names, more, grown) == grown


def test_ten_settings_more_at_the_same_hours_leave_the_planned_blocks_alone() -> None:
    design = Design(kind="balanced-incomplete", hours=50)
    before = design.songs_by_setting(SONGS, SHIPPED[:-10])
    after = design.songs_by_setting(SONGS, SHIPPED, before)
    assert {setting_id: after[setting_id] for setting_id in before} == before
    assert all(len(after[setting.setting_id]) in (3, 4) for setting in SHIPPED[-10:])
    assert design.songs_by_setting(SONGS, SHIPPED, after) == after


def test_new_songs_go_to_new_settings_first() -> None:
    design = Design(kind="balanced-incomplete", songs_per_setting=2)
    few = {"a": 10.0, "b": 10.0, "c": 10.0}
    before = design.songs_by_setting(few, SHIPPED[:6])
    after = design.songs_by_setting(few | {"d": 10.0}, SHIPPED[:8], before)
    assert all("d" in after[setting.setting_id] for setting in SHIPPED[6:8])
    assert all(after[setting_id] == songs for setting_id, songs in before.items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "full", "hours": 5}, "leave the rest out"),
        ({"kind": "balanced-incomplete"}, "needs either songs_per_setting or hours"),
        ({"kind": "balanced-incomplete", "hours": 5, "songs_per_setting": 2}, "needs either"),
        ({"kind": "balanced-incomplete", "hours": float("inf")}, "finite"),
        ("half", "Input should be 'full' or 'balanced-incomplete'"),
    ],
)
def test_a_design_that_cannot_be_meant_is_refused(fields: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Design.model_validate(fields)

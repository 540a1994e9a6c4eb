"""Tables about the music equal what a loop over the songs counts."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.curation.statistics import (
    TONICS,
    beside_others,
    described,
    hours_by_label,
    key_histogram,
    published,
    ranges,
    tempo_histogram,
    wet_hours,
)
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.schema import column_names

LABELS = st.lists(st.sampled_from(["rock", "pop", "folk", "jazz"]), max_size=4)


def tables(songs: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`songs` and `annotations` with every column of the schema, as a reader gets them."""
    base = {"status": "accepted", "dry_sha256": "a"}
    made = pd.DataFrame([base | row for row in songs], columns=list(column_names("songs")))
    heard = pd.DataFrame([{"dry_sha256": "a"} | row for row in annotations], columns=list(column_names("annotations")))
    return made, heard


def music_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Songs of half an hour each, described by `rows`."""
    names = [f"song-{place}" for place in range(len(rows))]
    songs = [{"song_id": name, "duration_s": 1800.0} for name in names]
    return described(*tables(songs, [{"song_id": name} | row for name, row in zip(names, rows, strict=True)]))


def test_an_annotation_of_other_audio_does_not_describe_the_song() -> None:
    songs, annotations = tables(
        [
            {"song_id": "a", "duration_s": 60.0},
            {"song_id": "b", "duration_s": 60.0},
            {"song_id": "c", "duration_s": 1.0},
        ],
        [{"song_id": "a", "tempo_bpm": 90.0}, {"song_id": "b", "tempo_bpm": 120.0, "dry_sha256": "old"}],
    )
    music = described(songs, annotations).set_index("song_id")
    assert music["tempo_bpm"].dropna().to_dict() == {"a": 90.0}
    assert music["out_of_date"].to_dict() == {"a": False, "b": True, "c": False}


def test_quarantined_songs_are_no_music() -> None:
    songs, annotations = tables([{"song_id": "a", "status": "quarantined"}, {"song_id": "b", "duration_s": 7200.0}], [])
    assert described(songs, annotations)[["song_id", "hours"]].to_dict("list") == {"song_id": ["b"], "hours": [2.0]}


@settings(max_examples=25)  # pandas takes 100 ms for each
@given(st.lists(st.tuples(st.none() | LABELS, st.floats(1, 1000)), min_size=1, max_size=12))
def test_hours_of_a_label_are_those_of_the_songs_that_have_it(rows: list[tuple[list[str] | None, float]]) -> None:
    names = [f"song-{place}" for place in range(len(rows))]
    music = described(
        *tables(
            [{"song_id": name, "duration_s": row[1]} for name, row in zip(names, rows, strict=True)],
            [{"song_id": name, "genres": row[0]} for name, row in zip(names, rows, strict=True)],
        )
    )
    expected: dict[str, list[float]] = defaultdict(list)
    for labels, duration_s in rows:
        for label in set(labels or []):
            expected[label].append(duration_s / 3600)
    table = hours_by_label(music, "genres")
    assert dict(zip(table["label"], table["songs"], strict=True)) == {name: len(its) for name, its in expected.items()}
    assert dict(zip(table["label"], table["hours"], strict=True)) == pytest.approx(
        {name: sum(its) for name, its in expected.items()}
    )
    assert list(table["hours"]) == sorted(table["hours"], reverse=True)


@settings(max_examples=25)  # pandas takes 100 ms for each
@given(st.lists(st.floats(30, 285), max_size=30), st.integers(1, 20))
def test_every_tempo_is_in_the_one_step_that_holds_it(tempi: list[float], width_bpm: int) -> None:
    table = tempo_histogram(music_of([{"tempo_bpm": tempo} for tempo in tempi] or [{"tempo_bpm": None}]), width_bpm)
    counted = [sum(row.from_bpm <= tempo < row.to_bpm for tempo in tempi) for row in table.itertuples()]
    assert list(table["songs"]) == counted
    assert sum(counted) == len(tempi)
    assert list(table["hours"]) == [count / 2 for count in counted]
    assert (table["from_bpm"].diff().dropna() == width_bpm).all()


def test_a_tempo_at_the_border_of_two_steps_belongs_to_the_upper_one() -> None:
    table = tempo_histogram(music_of([{"tempo_bpm": 120.0}, {"tempo_bpm": 139.99}]))
    assert table[["from_bpm", "to_bpm", "songs"]].to_numpy().tolist() == [[120, 130, 1], [130, 140, 1]]


def test_keys_of_one_sound_are_counted_as_one() -> None:
    names = ["C# major", "Db major", "F# minor", "Gb minor", "Cb major", "B major", "c minor"]
    table = key_histogram(music_of([{"key": name} for name in [*names, "X", None]])).set_index(["tonic", "mode"])
    assert len(table) == 24
    assert table["songs"].sum() == len(names)
    found = table.loc[table["songs"] > 0, "songs"].to_dict()
    assert found == {("C#", "major"): 2, ("F#", "minor"): 2, ("B", "major"): 2, ("C", "minor"): 1}


@settings(max_examples=25)  # pandas takes 100 ms for each
@given(st.lists(st.tuples(st.sampled_from(TONICS), st.sampled_from(["major", "minor"]))))
def test_each_key_has_as_many_songs_as_name_it(keys: list[tuple[str, str]]) -> None:
    table = key_histogram(music_of([{"key": " ".join(key)} for key in keys] or [{"key": None}]))
    assert [keys.count((row.tonic, row.mode)) for row in table.itertuples()] == list(table["songs"])


def test_table_1_of_the_paper_is_there_as_printed() -> None:
    printed = {
        "UA 6176 limiter": (0.66, 1),
        "Ampeg Opto Comp": (3.61, 5),
        "Flamma FC21": (3.61, 5),
        "Yuer RF-10": (3.61, 6),
        "TubeTech CL-1B": (37.54, 108),
        "Teletronix LA-2A": (48.63, 20),
        "SSL 500 G-Bus": (2528.53, 220),
    }
    table = published()
    assert {row.device: (row.hours, row.combinations) for row in table.itertuples()} == printed
    assert (table["where"] != "").all()


def test_our_row_counts_hours_of_accepted_takes_and_settings_that_have_one(whole_dataset: Dataset) -> None:
    takes = whole_dataset.takes
    used = takes[takes["setting_id"] != takes["setting_id"].iloc[0]]  # 3 of 4 settings, 3 songs of 1 s each
    table = beside_others("ours", whole_dataset.unit, whole_dataset.settings, used, published())
    ours = table[table["is_ours"]].iloc[0]
    assert (ours["hours"], ours["combinations"]) == (pytest.approx(9 / 3600), 3)
    assert ours["device"] == "SSL 500-series bus compressor"
    assert list(table["hours"]) == sorted(table["hours"])
    assert len(table) == 8


def test_ranges_name_what_the_settings_reach_and_leave_out_held_controls(whole_dataset: Dataset) -> None:
    table = whole_dataset.settings.copy()
    table.loc[0, "release_auto"] = True
    assert ranges(whole_dataset.unit, table) == [
        "threshold -28 to -12 dB",
        "attack 0.1 to 3 ms",
        "release 0.1 to 0.1 s or auto",
        "ratio 2 to 2",
    ]


def test_hours_of_takes_at_two_rates() -> None:
    takes = pd.DataFrame({"frames": [44_100 * 3600, 48_000 * 1800], "sample_rate": [44_100, 48_000]})
    assert wet_hours(takes) == 1.5
    assert wet_hours(takes.head(0)) == 0.0

"""Which songs and which settings are for training, and which for testing.

Two questions are kept apart: was the song heard in training, and was the setting (seen: from the grid; unseen:
random)? The paper (Solid State Bus-Comp, 2025) takes 112 of 175 songs for training; the same proportion is kept
for any number. Songs are drawn by the rank of a hash of seed and name, so that another song moves only those at
the border, never all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.schema import ACCEPTED
from ..manifests.tables import write_table

TRAIN_OF_SONGS = (112, 175)
TRAIN, VALIDATION, TEST = "train", "validation", "test"  # roles of songs; with the setting they name the split
GRID = "grid"


@dataclass(frozen=True)
class Split:
    """Who is where."""

    songs: dict[str, str]  # song_id -> train, validation or test
    counts: dict[str, int]  # split -> pairs of song and setting
    seed: int
    grouped: list[list[str]]  # songs of the same content, which stay together


def split(dataset: Dataset, *, seed: int = 1, train_songs: int | None = None, validation_songs: int = 0) -> Split:
    """Write `splits.parquet`: one row for every accepted song at every setting of the plan.

    `train_songs` counts the training side [default: 112 of 175], of which `validation_songs` are set apart. The
    arguments are kept in the file's metadata. Needs no lock and no take: the table depends on songs and settings
    only, and nothing else writes it. `UsageError` when there are too few songs, `DatasetError` without a plan.
    """
    songs = [row for row in dataset.rows("songs") if row["status"] == ACCEPTED]
    settings = dataset.rows("settings")
    if not any(row["origin"] == GRID for row in settings):
        raise DatasetError(
            "no setting comes from a grid, so there is nothing to train on", mend="plan with a grid.yaml"
        )
    groups = same_content(songs)
    roles = draw(groups, seed, train_songs, validation_songs)
    rows = [
        {
            "song_id": song["song_id"],
            "setting_id": setting["setting_id"],
            "split": cell(roles[song["song_id"]], setting["origin"]),
        }
        for setting in settings
        for song in songs
    ]
    made_with = {"seed": seed, "train_songs": train_songs, "validation_songs": validation_songs}
    write_table(dataset.table_path("splits"), "splits", rows, made_with=made_with)
    counts = Counter(row["split"] for row in rows)
    return Split(roles, dict(counts), seed, [group for group in groups if len(group) > 1])


def cell(role: str, origin: str) -> str:
    """The split of a song with `role` at a setting of `origin`: only the grid is trained on, random is unseen."""
    if role == TEST:
        return "test_seen" if origin == GRID else "test_unseen"
    return role if origin == GRID else "unused"


def same_content(songs: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Ids in groups that must not straddle: equal samples (`dry_sha256`), or equal title and artist."""
    group_of: dict[str, list[str]] = {}
    seen: dict[tuple[str, ...], str] = {}
    for song in sorted(songs, key=lambda song: str(song["song_id"])):
        song_id = song["song_id"]
        group_of[song_id] = [song_id]
        marks = [("samples", song["dry_sha256"]), ("name", _folded(song["title"]), _folded(song["artist"]))]
        for mark in marks:
            one, other = group_of[song_id], group_of[seen.setdefault(mark, song_id)]
            if one is not other:
                merged = sorted(one + other)
                group_of |= dict.fromkeys(merged, merged)
    return [group for song_id, group in sorted(group_of.items()) if group[0] == song_id]


def draw(
    groups: list[list[str]], seed: int, train_songs: int | None = None, validation_songs: int = 0
) -> dict[str, str]:
    """song_id -> train, validation or test. Groups stay whole, so a large one may leave a side short of its number."""
    songs = sum(len(group) for group in groups)
    if len(groups) < 2:
        raise UsageError(
            "a split needs at least 2 songs of different content", got=len(groups), mend="add songs and catalog them"
        )
    numerator, denominator = TRAIN_OF_SONGS
    wanted = max(1, min(songs - 1, round(songs * numerator / denominator))) if train_songs is None else train_songs
    if not 1 <= wanted < songs:
        raise UsageError("--train-songs must leave songs on both sides", got=wanted, allowed=f"1 to {songs - 1}")
    if not 0 <= validation_songs < wanted:
        raise UsageError(
            "--validation-songs are taken from the training side", got=validation_songs, allowed=f"0 to {wanted - 1}"
        )
    ranked = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group[0]}".encode()).digest())
    train = _fill(ranked, wanted)
    validation = _fill(train[::-1], validation_songs) if validation_songs else []
    if len(validation) == len(train):
        raise UsageError(
            "songs of the same content stay together, which leaves no group for validation",
            got=f"{len(train)} groups for training",
            mend="set --validation-songs 0 or add songs",
        )
    roles = {song_id: TEST for group in groups for song_id in group}
    roles |= {song_id: TRAIN for group in train for song_id in group}
    return roles | {song_id: VALIDATION for group in validation for song_id in group}


def _fill(groups: list[list[str]], wanted: int) -> list[list[str]]:
    """Groups, in their order, that fit into `wanted` songs; the smallest one if none fits."""
    taken: list[list[str]] = []
    for group in groups:
        if len(group) <= wanted:
            taken.append(group)
            wanted -= len(group)
    return taken or [min(groups, key=len)]


def _folded(text: str | None) -> str:
    return " ".join((text or "").casefold().split())

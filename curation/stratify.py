"""Sides of a split that resemble each other in genre, tempo and loudness.

A song carries labels: each of its genres, the quarter of all songs that its tempo lies in, and that of its loudness.
Two groups of songs, of as many songs each, change sides while that brings the counts of labels nearer to what each side
should have; so the sides keep their sizes and groups stay whole. Sums are of whole numbers: the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.errors import DatasetError, UsageError

TRAITS = ("genre", "tempo", "loudness")
BINS = 4  # of tempo and of loudness, with as many songs each
MOST_GROUPS = 1000  # of each side that are tried at once
Ints = npt.NDArray[np.int64]


def labels_of(
    songs: Sequence[Mapping[str, Any]], annotations: Iterable[Mapping[str, Any]], traits: Sequence[str]
) -> dict[str, list[str]]:
    """song_id -> labels such as `genre rock`, `tempo 2` (the second quarter of the songs), `loudness unknown`.

    An annotation of other samples (`dry_sha256`) is not believed. `DatasetError` where no song has the trait at all.
    """
    if unknown := [trait for trait in traits if trait not in TRAITS]:
        raise UsageError("no such trait to stratify by", got=", ".join(unknown), allowed=TRAITS)
    described = {row["song_id"]: row for row in annotations}
    labels: dict[str, list[str]] = {song["song_id"]: [] for song in songs}
    for trait in traits:
        values = {song["song_id"]: _value(song, described.get(song["song_id"]), trait) for song in songs}
        if all(value is None or value == [] for value in values.values()):
            raise DatasetError(f"no song has a {trait}", mend="type `buscomp annotate`, or leave it out of --stratify")
        words = _genres(values) if trait == "genre" else _quarters(values)
        for song_id, its in words.items():
            labels[song_id] += [f"{trait} {word}" for word in its]
    return labels


def shared_out(groups: list[list[str]], parts: int, seed: int) -> dict[str, str]:
    """song_id -> "1" .. str(parts). Large groups come first, each goes where the fewest songs are: so no part is empty
    while there are groups enough, and single songs make parts that differ by one at most."""
    songs = {str(part): 0 for part in range(1, parts + 1)}
    part_of: dict[str, str] = {}
    for group in sorted(groups, key=lambda group: (-len(group), ranked(seed, group[0]))):
        part = min(songs, key=lambda part: songs[part])
        songs[part] += len(group)
        part_of |= dict.fromkeys(group, part)
    return part_of


def alike(
    side_of: Mapping[str, str], groups: list[list[str]], labels: Mapping[str, Sequence[str]], seed: int
) -> dict[str, str]:
    """`side_of` (song_id -> side) after the swaps of groups that leave each side its share of every label.

    The sum over sides and labels of (songs there - share of side x songs in all)^2 falls with each swap; no single swap
    lowers the result any further, among `MOST_GROUPS` of each side.
    """
    groups = sorted(groups, key=lambda group: ranked(seed, group[0]))
    column = {label: place for place, label in enumerate(sorted({one for its in labels.values() for one in its}))}
    counts = np.zeros((len(groups), len(column)), np.int64)
    for row, group in enumerate(groups):
        for label in (label for song_id in group for label in labels.get(song_id, ())):
            counts[row, column[label]] += 1
    lengths = np.array([len(group) for group in groups])
    names = sorted(set(side_of.values()))
    side = np.array([names.index(side_of[group[0]]) for group in groups])
    songs = int(lengths.sum())
    excess = np.array(  # times the number of songs, to stay whole
        [songs * counts[side == one].sum(0) - lengths[side == one].sum() * counts.sum(0) for one in range(len(names))]
    )
    while True:
        swaps = [
            _best_swap(counts, songs, excess[one] - excess[other], *_candidates(side, lengths, length, one, other))
            for one, other in combinations(range(len(names)), 2)
            for length in sorted(set(lengths.tolist()))
        ]
        gain, here, there = min(swaps, default=(0, 0, 0))
        if gain >= 0:
            break
        moved = songs * (counts[there] - counts[here])
        excess[side[here]] += moved
        excess[side[there]] -= moved
        side[here], side[there] = side[there], side[here]
    return {song_id: names[side[row]] for row, group in enumerate(groups) for song_id in group}


def _candidates(side: Ints, lengths: Ints, length: int, one: int, other: int) -> tuple[Ints, Ints]:
    """Groups of `length` songs on either side."""
    here, there = (np.flatnonzero((side == place) & (lengths == length))[:MOST_GROUPS] for place in (one, other))
    return here, there


def _best_swap(counts: Ints, songs: int, difference: Ints, here: Ints, there: Ints) -> tuple[int, int, int]:
    """How much the best swap of a group `here` with one `there` changes the sum of squares, and the two."""
    if not len(here) or not len(there):
        return 0, 0, 0
    ours, theirs = counts[here], counts[there]
    squares = (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T
    change = (theirs @ difference) - (ours @ difference)[:, None] + songs * squares
    row, column = np.unravel_index(int(change.argmin()), change.shape)
    return int(change[row, column]), int(here[row]), int(there[column])


def ranked(seed: int, name: str) -> bytes:
    """A place in an order that looks random and never changes: songs are drawn by it."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _value(song: Mapping[str, Any], described: Mapping[str, Any] | None, trait: str) -> Any:
    if trait == "loudness":
        return song.get("loudness_lufs")
    if described is None or described.get("dry_sha256") not in (None, song.get("dry_sha256")):
        return None
    return described.get("genres" if trait == "genre" else "tempo_bpm")


def _genres(values: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
    return {song_id: sorted(set(genres)) if genres else ["unknown"] for song_id, genres in values.items()}


def _quarters(values: Mapping[str, float | None]) -> dict[str, list[str]]:
    known = [value for value in values.values() if value is not None]
    edges = np.quantile(known, np.arange(1, BINS) / BINS)
    return {
        song_id: ["unknown" if value is None else str(1 + int(np.searchsorted(edges, value, side="right")))]
        for song_id, value in values.items()
    }

"""Which songs, settings and units are for training, and which for testing.

Questions are kept apart: was the song heard in training, and was the setting (seen: from the grid; unseen: random)?
`manifests.cells` has the words. The paper (Solid State Bus-Comp, 2025) takes 112 of 175 songs for training; the same
proportion is kept for any number. Songs are drawn by the rank of a hash of seed and name, so that another song moves
only those at the border, never all; stratified sides and folds are balanced instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..manifests.cells import SEEN, UNSEEN, cell
from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.schema import ACCEPTED
from ..manifests.tables import write_table
from .groups import same_content
from .stratify import alike, labels_of, ranked, shared_out

TRAIN_OF_SONGS = (112, 175)
TRAIN, VALIDATION, TEST = "train", "validation", "test"  # sides of songs; with the setting they name the split
ROLE_OF = {TRAIN: SEEN, VALIDATION: VALIDATION, TEST: UNSEEN}
GRID = "grid"


@dataclass(frozen=True)
class Split:
    """Who is where."""

    songs: dict[str, str]  # song_id -> train, validation or test
    counts: dict[str, int]  # split -> pairs of song and setting
    seed: int
    grouped: list[list[str]]  # songs of the same content (or artist), which stay together
    folds: dict[str, int] = field(default_factory=dict)  # song_id -> the fold that tests it, from 1
    labels: dict[str, list[str]] = field(default_factory=dict)  # song_id -> what was stratified by


def split(
    dataset: Dataset,
    *,
    seed: int = 1,
    train_songs: int | None = None,
    validation_songs: int = 0,
    stratify: Sequence[str] = (),
    by_artist: bool = False,
    hold_out_unit: str | None = None,
    folds: int | None = None,
    fold: int = 1,
) -> Split:
    """Write `splits.parquet`: one row for every accepted song at every setting of the plan.

    `train_songs` counts the training side [default: 112 of 175], of which `validation_songs` are set apart.
    `stratify`: traits (genre, tempo, loudness) that all sides have in the same shares. `by_artist` keeps the songs of
    an artist together. `hold_out_unit`: all tests are takes of this unit, and nothing of it is trained on; the table
    then has a second row for each pair, with its unit_id. `folds`: that many parts, each to be the test once; `fold` is
    the one that the column `split` tests now, and `Dataset.pairs(fold=...)` gives the others.

    The arguments are kept in the file's metadata. Needs no lock and no take (but `hold_out_unit` a plan): nothing else
    writes the table. `UsageError` when there are too few songs, `DatasetError` without a plan or a trait.
    """
    songs = [row for row in dataset.rows("songs") if row["status"] == ACCEPTED]
    settings = dataset.rows("settings")
    if not any(row["origin"] == GRID for row in settings):
        raise DatasetError(
            "no setting comes from a grid, so there is nothing to train on", mend="plan with a grid.yaml"
        )
    if hold_out_unit is not None:
        _check_unit(dataset, hold_out_unit)
    choices: dict[str, Any] = {
        "seed": seed, "train_songs": train_songs, "validation_songs": validation_songs, "stratify": list(stratify),
        "by_artist": by_artist, "folds": folds, "fold": fold,
    }  # fmt: skip
    annotated = dataset.rows("annotations") if {"genre", "tempo"} & set(stratify) else []
    drawn = draw_sides(songs, annotated, **choices)
    rows = [
        _row(song["song_id"], setting, drawn, unit, hold_out_unit)
        for unit in ([SEEN] if hold_out_unit is None else [SEEN, UNSEEN])
        for setting in settings
        for song in songs
    ]
    write_table(dataset.table_path("splits"), "splits", rows, made_with=choices | {"hold_out_unit": hold_out_unit})
    counts = Counter(row["split"] for row in rows)
    grouped = [group for group in drawn.groups if len(group) > 1]
    return Split(drawn.songs, dict(counts), seed, grouped, drawn.folds, drawn.labels)


@dataclass(frozen=True)
class Sides:
    """Where each song is, and why."""

    songs: dict[str, str]  # song_id -> train, validation or test
    groups: list[list[str]]  # that were kept together
    folds: dict[str, int]
    labels: dict[str, list[str]]


def draw_sides(
    songs: Sequence[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    *,
    seed: int,
    train_songs: int | None,
    validation_songs: int,
    stratify: Sequence[str],
    by_artist: bool,
    folds: int | None,
    fold: int,
) -> Sides:
    """The side of every song, from rows of `songs` and `annotations`; the choices are those of `split`."""
    labels = labels_of(songs, annotations, stratify) if stratify else {}
    groups = same_content(songs, by_artist)
    if by_artist and len(groups) < 2 <= len(same_content(songs)):
        raise UsageError(
            "--by-artist leaves one group of songs, which has no two sides", mend="leave it out, or add songs"
        )
    if folds is None:
        if fold != 1:
            raise UsageError("--fold needs --folds", got=fold)
        sides, fold_of = draw(groups, seed, train_songs, validation_songs, labels), {}
    else:
        if train_songs is not None:
            raise UsageError("--train-songs has no meaning with --folds", got=train_songs, mend="leave one out")
        fold_of = draw_folds(groups, seed, folds, validation_songs, labels)
        if not 1 <= fold <= folds:
            raise UsageError("no such fold", got=fold, allowed=f"1 to {folds}")
        sides = {song_id: TEST if its == fold else TRAIN for song_id, its in fold_of.items()}
        sides |= {song["song_id"]: VALIDATION for song in songs if song["song_id"] not in fold_of}
    return Sides(sides, groups, fold_of, labels)


def _row(
    song_id: str,
    setting: Mapping[str, Any],
    drawn: Sides,
    unit_role: str,
    hold_out_unit: str | None,
) -> dict[str, Any]:
    song_role, setting_role = ROLE_OF[drawn.songs[song_id]], SEEN if setting["origin"] == GRID else UNSEEN
    return {
        "song_id": song_id,
        "setting_id": setting["setting_id"],
        "unit_id": hold_out_unit if unit_role == UNSEEN else None,
        "split": cell(song_role, setting_role, unit_role, hold_out_unit is not None),
        "song_role": song_role,
        "setting_role": setting_role,
        "unit_role": unit_role,
        "fold": drawn.folds.get(song_id),
    }


def draw(
    groups: list[list[str]],
    seed: int,
    train_songs: int | None = None,
    validation_songs: int = 0,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """song_id -> train, validation or test. Groups stay whole, so a large one may leave a side short of its number.

    With `labels` (see `stratify.labels_of`) the sides hold each label in the same share, as far as groups allow.
    """
    songs = _counted(groups)
    numerator, denominator = TRAIN_OF_SONGS
    wanted = max(1, min(songs - 1, round(songs * numerator / denominator))) if train_songs is None else train_songs
    if not 1 <= wanted < songs:
        raise UsageError("--train-songs must leave songs on both sides", got=wanted, allowed=f"1 to {songs - 1}")
    if not 0 <= validation_songs < wanted:
        raise UsageError(
            "--validation-songs are taken from the training side", got=validation_songs, allowed=f"0 to {wanted - 1}"
        )
    in_order = sorted(groups, key=lambda group: ranked(seed, group[0]))
    train = _fill(in_order, wanted)
    validation = _fill(train[::-1], validation_songs) if validation_songs else []
    if len(validation) == len(train):
        raise UsageError(
            "songs of the same content stay together, which leaves no group for validation",
            got=f"{len(train)} groups for training",
            mend="set --validation-songs 0 or add songs",
        )
    roles = {song_id: TEST for group in groups for song_id in group}
    roles |= {song_id: TRAIN for group in train for song_id in group}
    roles |= {song_id: VALIDATION for group in validation for song_id in group}
    return alike(roles, groups, labels, seed) if labels else roles


def draw_folds(
    groups: list[list[str]],
    seed: int,
    folds: int,
    validation_songs: int = 0,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, int]:
    """song_id -> 1 .. `folds`, about as many songs each. Validation songs are set apart first and are in no fold."""
    songs, most = _counted(groups), len(groups) - (validation_songs > 0)
    if not 2 <= folds <= most:
        raise UsageError("--folds must leave songs of different content in each", got=folds, allowed=f"2 to {most}")
    if not 0 <= validation_songs <= songs - folds:
        raise UsageError(
            "--validation-songs must leave songs for each fold", got=validation_songs, allowed=f"0 to {songs - folds}"
        )
    in_order = sorted(groups, key=lambda group: ranked(seed, group[0]))
    validation = _fill(in_order[::-1], validation_songs) if validation_songs else []
    sides = {song_id: VALIDATION if group in validation else TRAIN for group in groups for song_id in group}
    if labels and validation:
        sides = alike(sides, groups, labels, seed)
    rest = [group for group in groups if sides[group[0]] == TRAIN]
    if len(rest) < folds:
        raise UsageError(
            "validation leaves too few groups of songs for the folds", got=len(rest), allowed=f"{folds} or more",
            mend="set fewer --validation-songs or --folds",
        )  # fmt: skip
    parts = shared_out(rest, folds, seed)
    if labels:
        parts = alike(parts, rest, labels, seed)
    return {song_id: int(part) for song_id, part in parts.items()}


def _counted(groups: Iterable[list[str]]) -> int:
    """How many songs there are, once there are enough to be split."""
    sizes = [len(group) for group in groups]
    if len(sizes) < 2:
        raise UsageError(
            "a split needs at least 2 songs of different content", got=len(sizes), mend="add songs and catalog them"
        )
    return sum(sizes)


def _check_unit(dataset: Dataset, unit_id: str) -> None:
    units = sorted({row["unit_id"] for row in dataset.rows("takes")})
    if unit_id not in units:
        raise UsageError("no take is planned on this unit", got=unit_id, allowed=units)
    if len(units) < 2:
        raise UsageError("--hold-out-unit leaves no unit to train on", got=unit_id, mend="capture another unit, too")


def _fill(groups: list[list[str]], wanted: int) -> list[list[str]]:
    """Groups, in their order, that fit into `wanted` songs; the smallest one if none fits."""
    taken: list[list[str]] = []
    for group in groups:
        if len(group) <= wanted:
            taken.append(group)
            wanted -= len(group)
    return taken or [min(groups, key=len)]

"""Every cell of {seen, unseen} song x setting x unit is addressable, and in one place."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from buscomp.manifests.cells import ROLES, SEEN, UNSEEN, VALIDATION, cell
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.pcm import read_audio
from buscomp.manifests.tables import write_table


@pytest.mark.parametrize(
    ("song", "setting", "song_ids", "takes"),
    [
        (SEEN, SEEN, {"song-0"}, 2),
        (SEEN, UNSEEN, {"song-0"}, 2),
        (UNSEEN, SEEN, {"song-2"}, 2),
        (UNSEEN, UNSEEN, {"song-2"}, 2),
        (VALIDATION, None, {"song-1"}, 4),
        (None, UNSEEN, {"song-0", "song-1", "song-2"}, 6),
    ],
)
def test_the_four_cells_give_their_own_pairs(
    dataset: Dataset, song: str | None, setting: str | None, song_ids: set[str], takes: int
) -> None:
    pairs = list(dataset.pairs(song=song, setting=setting))
    assert len(pairs) == takes
    assert {pair.song_id for pair in pairs} == song_ids
    origins = {SEEN: {"grid"}, UNSEEN: {"random"}, None: {"grid", "random"}}[setting]
    assert {pair.setting["origin"] for pair in pairs} == origins


def test_with_a_unit_held_out_training_and_test_share_neither_song_nor_unit() -> None:
    places: dict[str, set[tuple[str, ...]]] = {}
    for song, setting, unit in product(*ROLES.values()):
        places.setdefault(cell(song, setting, unit, held_out=True), set()).add((song, setting, unit))
    assert places["train"] == {(SEEN, SEEN, SEEN)}
    assert places["test_seen"] == {(UNSEEN, SEEN, UNSEEN)}
    assert places["test_unseen"] == {(UNSEEN, UNSEEN, UNSEEN)}
    assert len(places["unused"]) == 8


def in_folds(dataset: Dataset) -> None:
    """song-0 is tested in fold 1, song-2 in fold 2, song-1 is for validation."""
    fold_of = {"song-0": 1, "song-2": 2}
    rows = [row | {"fold": fold_of.get(row["song_id"])} for row in dataset.rows("splits")]
    write_table(dataset.table_path("splits"), "splits", rows)


def test_another_fold_is_asked_for_without_another_split(dataset: Dataset) -> None:
    in_folds(dataset)
    opened = Dataset(dataset.root)
    assert set(opened.pair_table("train")["song_id"]) == {"song-0"}
    for fold, (trained, tested) in {1: ("song-2", "song-0"), 2: ("song-0", "song-2")}.items():
        assert set(opened.pair_table("train", fold=fold)["song_id"]) == {trained}
        assert set(opened.pair_table("test_seen", fold=fold)["song_id"]) == {tested}
        assert set(opened.pair_table("test_unseen", fold=fold)["song_id"]) == {tested}
        assert set(opened.pair_table("validation", fold=fold)["song_id"]) == {"song-1"}
    with pytest.raises(UsageError, match=r"no such fold, got 3 \(allowed: 1, 2\)"):
        opened.pair_table(fold=3)


def test_no_folds_no_roles_and_unknown_roles_are_refused(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="the split has no folds, got fold 1; type `buscomp split --folds 5`"):
        dataset.pair_table(fold=1)
    with pytest.raises(UsageError, match=r"no such role of a setting, got new \(allowed: seen, unseen\)"):
        dataset.pair_table(setting="new")
    rows = [{name: row[name] for name in ("song_id", "setting_id", "split")} for row in dataset.rows("splits")]
    write_table(dataset.table_path("splits"), "splits", rows)
    opened = Dataset(dataset.root)
    assert len(opened.pair_table("train")) == 2  # as written by an earlier version
    with pytest.raises(DatasetError, match="does not name the roles; type `buscomp split` again"):
        opened.pair_table(song=SEEN)


def subset(dataset: Dataset, *windows: tuple[str, int, int]) -> Dataset:
    rows = [
        {"subset": "small", "take_id": take_id, "start_frame": start, "frames": frames}
        for take_id, start, frames in windows
    ]
    write_table(dataset.table_path("subsets"), "subsets", rows)
    return Dataset(dataset.root)


def test_the_windows_of_a_subset_are_cut_out_of_dry_and_wet(dataset: Dataset) -> None:
    take = dataset.pair_table("train").iloc[0]
    opened = subset(dataset, (take["take_id"], 1000, 500), (take["take_id"], 44_000, 100))
    pairs = list(opened.pairs(subset="small"))
    assert [(pair.start_frame, len(pair.dry)) for pair in pairs] == [(1000, 500), (44_000, 100)]
    dry, _ = read_audio(dataset.file(take["dry_path"]))
    wet, _ = read_audio(dataset.file(take["wet_path"]))
    for pair in pairs:
        window = slice(pair.start_frame, pair.start_frame + len(pair.dry))
        np.testing.assert_array_equal(pair.dry, dry[window])
        np.testing.assert_array_equal(pair.wet, wet[window])
        assert pair.setting["setting_id"] == take["setting_id"]


@pytest.mark.parametrize("wrong", [(44_000, 101), (-1, 10), (0, 0), (0, 2**62)])
def test_a_window_beyond_its_take_is_refused(dataset: Dataset, wrong: tuple[int, int]) -> None:
    take = dataset.pair_table("train").iloc[0]
    opened = subset(dataset, (take["take_id"], *wrong))
    with pytest.raises(DatasetError, match=r"got 1 of 1 windows outside the training takes; .* --again small"):
        next(opened.pairs(subset="small"))


def test_a_subset_with_what_is_no_training_take_any_more_is_refused(dataset: Dataset) -> None:
    trained, tested = dataset.pair_table("train").iloc[0], dataset.pair_table("test_seen").iloc[0]
    opened = subset(dataset, (trained["take_id"], 0, 100), (tested["take_id"], 0, 100))
    with pytest.raises(DatasetError, match="drawn from other takes or another split, got 1 of 2 windows"):
        next(opened.pairs(subset="small"))


def test_an_unknown_subset_and_none_at_all_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match=r"subsets\.parquet does not exist yet; type `buscomp subset` first"):
        dataset.pair_table(subset="small")
    opened: Any = subset(dataset, ("t000000-1", 0, 100))
    with pytest.raises(UsageError, match=r"no such subset, got large \(allowed: small\)"):
        opened.pair_table(subset="large")
    with pytest.raises(UsageError, match="a subset is of the split train, got test_seen; leave the split out"):
        opened.pair_table("test_seen", subset="small")

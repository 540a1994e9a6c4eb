"""The cells of an evaluation: was the song, the setting, the unit met in training?

A song is seen (trained on), validation or unseen (for testing); a setting and a unit are seen or unseen. `split` is
one word for the cells that everybody needs, and the roles address every cell there is:

| | setting seen | setting unseen |
|---|---|---|
| song seen       | train      | unused      |
| song validation | validation | unused      |
| song unseen     | test_seen  | test_unseen |

Where a unit is held out, the tests are its takes alone: the others of the same songs are unused, and nothing of the
unit is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .errors import DatasetError, UsageError
from .schema import SPLITS

SEEN, VALIDATION, UNSEEN = "seen", "validation", "unseen"
ROLES = {
    "song_role": (SEEN, VALIDATION, UNSEEN),
    "setting_role": (SEEN, UNSEEN),
    "unit_role": (SEEN, UNSEEN),
}
AGAIN = "type `buscomp split` again"


def cell(song_role: str, setting_role: str, unit_role: str = SEEN, held_out: bool = False) -> str:
    """The split of a take. `held_out`: some unit is held out, so that the test is of that unit."""
    if song_role == UNSEEN:
        if held_out and unit_role == SEEN:
            return "unused"
        return "test_seen" if setting_role == SEEN else "test_unseen"
    if setting_role == UNSEEN or unit_role == UNSEEN:
        return "unused"
    return "train" if song_role == SEEN else "validation"


def with_splits(takes: pd.DataFrame, splits: pd.DataFrame, fold: int | None = None) -> pd.DataFrame:
    """`takes` with the columns of `splits`; null where a take is in no row of it. `fold`: as if that one were tested.

    `UsageError` for a fold that the split does not have.
    """
    if fold is not None:
        splits = _of_fold(splits, fold)
    keys, held_out = ["song_id", "setting_id"], _held_out(splits)
    if held_out:
        takes = takes.assign(unit_role=np.where(takes["unit_id"].isin(held_out), UNSEEN, SEEN))
        keys.append("unit_role")
    return takes.merge(splits.drop(columns="unit_id", errors="ignore"), on=keys, how="left", validate="many_to_one")


def chosen(table: pd.DataFrame, split: str | None, roles: Mapping[str, str | None]) -> pd.DataFrame:
    """The rows of `split` in the cell that `roles` (song_role, setting_role, unit_role) names; None is any.

    `UsageError` for an unknown word, `DatasetError` where the split was written without roles.
    """
    if split is not None and split not in SPLITS:
        raise UsageError("no such split", got=split, allowed=SPLITS)
    if split is not None:
        table = table[table["split"] == split]
    for column, role in roles.items():
        if role is None:
            continue
        if role not in ROLES[column]:
            raise UsageError(f"no such role of a {column.removesuffix('_role')}", got=role, allowed=ROLES[column])
        if column not in table or (table[column].isna() & table["split"].notna()).any():
            raise DatasetError("splits.parquet does not name the roles", mend=AGAIN)
        table = table[table[column] == role]
    return table


def windows_of(table: pd.DataFrame, subsets: pd.DataFrame, subset: str) -> pd.DataFrame:
    """The training takes of `table` that `subset` has windows of, with `start_frame` and `frames` of the window.

    `UsageError` for an unknown name; `DatasetError` where takes or split have changed since the subset was drawn, so
    that it would hold what is no accepted take, or no training take.
    """
    known = sorted(set(subsets["subset"]))
    if subset not in known:
        raise UsageError("no such subset", got=subset, allowed=known or "none yet", mend="type `buscomp subset`")
    windows = subsets.loc[subsets["subset"] == subset, ["take_id", "start_frame", "frames"]]
    training = table[table["split"] == "train"].rename(columns={"frames": "take_frames"})
    cut = training.drop(columns="start_frame").merge(windows, on="take_id", validate="one_to_many")
    lost = len(windows) - len(cut)
    inside = (
        (cut["start_frame"] >= 0) & (cut["frames"] > 0) & (cut["start_frame"] + cut["frames"] <= cut["take_frames"])
    )
    beyond = int((~inside).sum())
    if lost or beyond:
        raise DatasetError(
            f"subset {subset} was drawn from other takes or another split",
            got=f"{lost + beyond} of {len(windows)} windows outside the training takes",
            mend=f"type `buscomp subset --again {subset}`",
        )
    return cut.drop(columns="take_frames")


def _of_fold(splits: pd.DataFrame, fold: int) -> pd.DataFrame:
    folds = sorted(splits["fold"].dropna().astype(int).unique()) if "fold" in splits else []
    if not folds:
        raise UsageError("the split has no folds", got=f"fold {fold}", mend="type `buscomp split --folds 5`")
    if fold not in folds:
        raise UsageError("no such fold", got=fold, allowed=folds)
    songs = splits["song_role"].where(splits["song_role"] == VALIDATION, np.where(splits["fold"] == fold, UNSEEN, SEEN))
    held_out = bool(_held_out(splits))
    roles = zip(songs, splits["setting_role"], splits["unit_role"], strict=True)
    return splits.assign(song_role=songs, split=[cell(*each, held_out) for each in roles])


def _held_out(splits: pd.DataFrame) -> list[str]:
    return list(splits["unit_id"].dropna().unique()) if "unit_id" in splits else []

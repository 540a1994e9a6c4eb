"""Results of a listening test: who is heard, and what each system scores.

Post-screening as in ITU-R BS.1534-3: a listener who gave the hidden reference less than 90 in more than 15 % of the
trials is left out. A system's mean is over listeners, each the mean over trials, with a confidence interval from
Student's t; with one listener, over trials. Median and quartiles are of all scores.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from ..manifests.errors import DatasetError, UsageError
from .listening_stimuli import REFERENCE

HEARD_SCORE, MISSED_SHARE = 90.0, 0.15
CONFIDENCE = 0.95
OURS = ("participant", "trial", "stimulus", "score")
WEB_MUSHRA = ("session_uuid", "trial_id", "rating_stimulus", "rating_score")


@dataclass(frozen=True)
class Score:
    """One condition over the listeners who are heard."""

    system: str
    listeners: int
    scores: int
    mean: float
    low: float | None  # of the confidence interval; None with a single score
    high: float | None
    median: float
    quartile_1: float
    quartile_3: float


@dataclass(frozen=True)
class Analysis:
    scores: list[Score]  # best first
    left_out: dict[str, float]  # listener -> share of trials in which the hidden reference got less than 90


def analyse(key_path: Path, results: Sequence[Path]) -> Analysis:
    """Scores of `results`, CSV files of our page or of webMUSHRA, with the key of the test."""
    try:
        key: dict[str, Any] = json.loads(key_path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{key_path} is not the key of a listening test ({error})") from error
    named = {trial["trial"]: trial["conditions"] for trial in key["trials"]}
    rows = pd.concat([read_results(path) for path in results], ignore_index=True)
    rows["system"] = [_system(named, row.trial, row.stimulus) for row in rows.itertuples()]
    if twice := rows[rows.duplicated(["participant", "trial", "system"])]["participant"].unique().tolist():
        raise DatasetError(
            "a listener scored a sound twice", got=", ".join(twice), mend="give each sitting a name of its own"
        )
    hidden = rows[rows["system"] == REFERENCE]
    missed = (hidden["score"] < HEARD_SCORE).groupby(hidden["participant"]).mean()
    left_out = {str(name): float(share) for name, share in missed.items() if share > MISSED_SHARE}
    heard = rows[~rows["participant"].isin(left_out)]
    return Analysis(summary(heard), left_out)


def read_results(path: Path) -> pd.DataFrame:
    """Columns participant, trial, stimulus, score of a file."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as CSV ({error})") from error
    for columns in (OURS, WEB_MUSHRA):
        if set(columns) <= set(table.columns):
            chosen = table[list(columns)].set_axis(list(OURS), axis=1)
            scores = pd.to_numeric(chosen["score"], errors="coerce")
            if not scores.between(0, 100).all():
                raise DatasetError(
                    f"{path}: a score must be a number from 0 to 100",
                    got=chosen["score"][~scores.between(0, 100)].iloc[0],
                )
            names = {name: chosen[name].astype(str) for name in OURS[:3]}
            return pd.DataFrame(names | {"score": scores.astype(float)})
    raise DatasetError(
        f"{path} has not the columns of a listening test", got=", ".join(table.columns),
        allowed=f"{', '.join(OURS)}; or webMUSHRA's {', '.join(WEB_MUSHRA)}",
    )  # fmt: skip


def summary(rows: pd.DataFrame) -> list[Score]:
    """A score per system, best first."""
    found = []
    for system, scored in rows.groupby("system"):
        means = scored.groupby("participant")["score"].mean().to_numpy()
        values = scored["score"].to_numpy()
        low, high = interval(means if len(means) > 1 else values)
        quartiles = np.percentile(values, [25, 50, 75])
        found.append(
            Score(str(system), len(means), len(values), float(means.mean()), low, high, float(quartiles[1]),
                  float(quartiles[0]), float(quartiles[2]))
        )  # fmt: skip
    return sorted(found, key=lambda score: -score.mean)


def interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float | None, float | None]:
    """95 % confidence interval of the mean of `values`, within 0 to 100; none for a single one."""
    if len(values) < 2:
        return None, None
    half = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * scipy.stats.sem(values))
    return max(0.0, float(values.mean()) - half), min(100.0, float(values.mean()) + half)


def _system(named: dict[str, dict[str, str]], trial: str, stimulus: str) -> str:
    if trial not in named:
        raise DatasetError("the results are of another test: no such trial", got=trial)
    if stimulus == REFERENCE:  # as webMUSHRA calls it
        return REFERENCE
    if stimulus not in named[trial]:
        raise DatasetError(f"the results are of another test: {trial} has no such sound", got=stimulus)
    return named[trial][stimulus]

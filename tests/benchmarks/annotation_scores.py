"""What answers of tempo and key are worth: Acc1 and Acc2, the scores of mir_eval, confidence, biases, intervals.

    Answer     what a backend said of a clip, and the CPU time it took
    tempo_kind, key_kind      in which way an answer is right or wrong: the columns of the table of biases
    interval   a statistic of the clips with its 95 % interval, by drawing clips again (bootstrap)

Acc1 and Acc2 as in F. Gouyon et al., "An experimental comparison of audio tempo induction algorithms", 2006: within 4 %
of the tempo, or of its double, triple, half or third. `mir_eval.tempo.detection` with one tempo told twice is Acc1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mir_eval  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from buscomp.annotation.key_names import TONICS, spelled

TOLERANCE = 0.04
MULTIPLES = {"half": 1 / 2, "double": 2.0, "third": 1 / 3, "triple": 3.0}
TEMPO_KINDS = ("right", *MULTIPLES, "other", "none")
KEY_KINDS = ("right", "relative", "parallel", "other minor", "other major", "none")  # relative, parallel: other mode
DRAWS = 2000

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """`value`: BPM or a key; None where there is none, as is its confidence."""

    value: float | str | None
    confidence: float | None
    cpu_s: float


def tempo_kind(truth_bpm: float, answer_bpm: float | None) -> str:
    """One of `TEMPO_KINDS`: "half" is an answer of half the tempo."""
    if answer_bpm is None or answer_bpm <= 0:
        return "none"
    for kind, factor in {"right": 1.0, **MULTIPLES}.items():
        wanted, told = np.full(2, truth_bpm * factor), np.full(2, answer_bpm)
        if mir_eval.tempo.detection(wanted, 1.0, told, tol=TOLERANCE)[1]:
            return kind
    return "other"


def key_kind(truth: str, answer: str | None) -> str:
    """One of `KEY_KINDS`: "relative" of C major is A minor, "parallel" is C minor; of A minor, C major and A major."""
    if answer is None:
        return "none"
    (tonic, mode), (told, told_mode) = _key(truth), _key(answer)
    if (tonic, mode) == (told, told_mode):
        return "right"
    if mode != told_mode:
        if told == tonic:
            return "parallel"
        if told == (tonic + (9 if mode == "major" else 3)) % 12:
            return "relative"
    return f"other {told_mode}"


def key_points(truth: str, answer: str | None) -> float:
    """The weighted score of mir_eval: 1 right, 0.5 a fifth above, 0.3 relative, 0.2 parallel; 0 for no answer."""
    return float(mir_eval.key.weighted_score(truth, answer)) if answer else 0.0


def auroc(right: Numbers, confidence: Numbers) -> float:
    """How well confidence tells right answers from wrong ones; NaN where there is only one sort."""
    return float(roc_auc_score(right, confidence)) if 0 < right.sum() < len(right) else float("nan")


def interval(statistic: Callable[..., float], *columns: Sequence[float]) -> tuple[float, float, float]:
    """`statistic` of the `columns` (a value per clip each), and where 95 % of its values lie when clips are drawn
    again, with replacement. Draws of which there is no statistic do not count; NaN when there is none at all."""
    table = np.array(columns, np.float64)
    if not table.size:
        return (float("nan"),) * 3
    random = np.random.default_rng(1)
    drawn = [statistic(*table[:, random.integers(table.shape[1], size=table.shape[1])]) for _ in range(DRAWS)]
    found = [value for value in drawn if np.isfinite(value)]
    low, high = np.percentile(found, (2.5, 97.5)) if found else (np.nan, np.nan)
    return statistic(*table), float(low), float(high)


def median_where_right(right: Numbers, error: Numbers) -> float:
    """The median `error` of right answers; NaN without any."""
    return float(np.median(error[right > 0])) if right.any() else float("nan")


def _key(name: str) -> tuple[int, str]:
    tonic, mode = spelled(name).split()
    return TONICS.index(tonic), mode

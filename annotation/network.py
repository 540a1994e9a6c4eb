"""A small network that gives each candidate a score: one hidden layer, weights from a shipped table, numpy only.

The tables are made by tests/benchmarks/train_annotation.py, on songs rendered for the purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

LONG_S = 45.0  # a song of this length and a longer one are heard alike


@dataclass(frozen=True)
class Network:
    """`offset` and `scale` (features,) standardise the features; `hidden` (features, units) and `hidden_bias` lead to
    rectified units, `out` (units, outputs) and `out_bias` to the scores. `confidence` holds the coefficients of
    `calibrated`, the constant last."""

    offset: Floats
    scale: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats
    out_bias: Floats
    confidence: Floats

    def scores(self, features: Floats) -> Floats:
        """The scores (..., outputs) of `features` (..., features)."""
        units = np.maximum(0, (features - self.offset) * self.scale @ self.hidden + self.hidden_bias)
        return np.asarray(units @ self.out + self.out_bias)

    def calibrated(self, *evidence: float) -> float:
        """Share of songs with such `evidence` that were named rightly: a logistic regression, 0 to 1.

        Evidence is the log odds of what the network thinks of its answer, and the brevity of the audio."""
        return float(1 / (1 + np.exp(-(np.dot(self.confidence[:-1], evidence) + self.confidence[-1]))))


@cache
def load_network(name: str) -> Network:
    """The shipped network `name`."""
    with np.load(Path(__file__).parent / f"{name}.npz", allow_pickle=False) as table:
        return Network(**{field: table[field].astype(np.float64) for field in Network.__dataclass_fields__})


def shares(scores: Floats) -> Floats:
    """Softmax of `scores` over all of them."""
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


def log_odds(share: float, least: float = 0.001) -> float:
    """log(p / (1 - p)) of a share p that is held within `least` of 0 and 1."""
    held = min(max(share, least), 1 - least)
    return float(np.log(held / (1 - held)))


def brevity(seconds: float) -> float:
    """How many times the audio was halved, seen from 45 s: 0 for a song, 3 for 5.6 s. Evidence against an answer."""
    return float(max(0.0, np.log2(LONG_S / max(seconds, 0.01))))

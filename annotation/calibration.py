"""How probable a word is, from what the networks score its tags: Platt's line through log odds, per word.

J. Platt, "Probabilistic outputs for support vector machines" (1999). The lines are in calibration.yaml, fitted to
rendered songs whose MIDI says which instruments play (`tests/benchmarks/calibrate_tags.py`). A word without a line has
not been compared with truth: its network's own score stands for the probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from ..manifests.yaml_file import Strict, load_yaml
from .network import log_odds

FILE = Path(__file__).with_name("calibration.yaml")
FAINTEST = 1e-4  # scores below are noise of a network: their log odds would say more than they know


class Line(Strict):
    """Log odds of a word's presence: `offset` + the sum of each network's slope times the log odds of its score."""

    offset: float
    slopes: dict[str, float]


class Calibration(Strict):
    """The lines by instrument."""

    instruments: dict[str, Line]


@cache
def lines(vocabulary: str) -> Mapping[str, Line]:
    """The lines of `genres` (there are none) or `instruments`."""
    return load_yaml(FILE, Calibration).instruments if vocabulary == "instruments" else {}


def probability(line: Line, scores: Mapping[str, float]) -> float:
    """The probability that a word is right, by its best score in each network."""
    odds = line.offset + sum(slope * evidence(scores[network]) for network, slope in line.slopes.items())
    return float(1 / (1 + np.exp(-odds)))


def evidence(score: float) -> float:
    """Log odds of a network's score."""
    return log_odds(score, FAINTEST)

"""The warm-up gate: no take before the unit's gain stands still.

The fingerprint of the first setting is repeated; `WarmUp` is told when each one was measured and what gain it had,
and answers when the slope of a straight line through the last ten minutes, and twice its standard error, lie below
the limit. Noise therefore makes the gate wait longer, never open sooner; a gain that jumps keeps it shut until the
jump is ten minutes old.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from ..manifests.yaml_file import Strict

WINDOW_S = 600.0  # what the line is drawn through, at most
SHORTEST_S = 180.0  # and at least
FEWEST = 6  # measurements in it
STANDARD_ERRORS = 2.0
Answer = Literal["wait", "warm", "late"]


class WarmUpRule(Strict):
    """`warm_up:` of a grid file."""

    minutes_most: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    drift_db_per_10_min: float = Field(default=0.02, gt=0, allow_inf_nan=False)


class WarmUp:
    """The gate of one unit in one session. With several units each has its own, and the takes wait for all."""

    def __init__(self, rule: WarmUpRule):
        self._rule = rule
        self._measured: list[tuple[float, float]] = []  # (at_s, gain_db) of the window
        self._began_s: float | None = None
        self.drift_db_per_10_min = math.nan  # by the last line; NaN before there is one

    def add(self, at_s: float, gain_db: float) -> Answer:
        """What a measurement more, at `at_s` on a clock that never goes back, tells: wait for another one; the unit is
        warm; or `late`: `minutes_most` have passed, and it still drifts, or cannot be told. `gain_db` may be any number
        in dB that drifts with the unit, such as its gain reduction in the loud steps of the fingerprint."""
        if not math.isfinite(gain_db):
            raise ValueError(f"gain_db must be a number, got {gain_db}")
        if self._began_s is None:
            self._began_s = at_s
        self._measured = [(then, gain) for then, gain in self._measured if at_s - then <= WINDOW_S]
        self._measured.append((at_s, gain_db))
        if self._is_steady():
            return "warm"
        return "late" if at_s - self._began_s >= self._rule.minutes_most * 60 else "wait"

    def _is_steady(self) -> bool:
        """Whether the line through the window is flat beyond doubt."""
        at_s, gain_db = np.array(self._measured).T
        if len(at_s) < FEWEST or at_s[-1] - at_s[0] < SHORTEST_S:
            return False
        from_middle = at_s - at_s.mean()
        spread = float(from_middle @ from_middle)
        slope = float(from_middle @ gain_db) / spread
        residual = gain_db - gain_db.mean() - slope * from_middle
        error = math.sqrt(float(residual @ residual) / (len(at_s) - 2) / spread)
        self.drift_db_per_10_min = slope * 600
        return (abs(slope) + STANDARD_ERRORS * error) * 600 < self._rule.drift_db_per_10_min

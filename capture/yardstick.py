"""How far a fingerprint is from a setting, counted in what may differ without any knob being wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..manifests.unit import Setting
from .fingerprint import Features, Fingerprint
from .fingerprint_compressor import POINT, Array
from .fingerprint_fit import INDEPENDENT
from .fingerprint_model import UnitModel

LEVEL_STD_DB = 0.05  # drift of the level at the unit's input between two visits, or of a pot that nobody touched
SLOPE_STD = 0.01  # drift of ln(ratio - 1): the gain-control constant of a VCA moves 0.33 % per degree
TIME_STD = 0.005  # drift of ln attack and ln release
WINDOW_STD_DB, WINDOW_STD = 0.004, 0.001  # everything else: in dB, and in proportion to the gain
SHARES = (0.5, 1.5)  # of a predicted change that may have happened
LEAST = 1e-9
ODD = 9.0  # the same, for the low tone alone
NOTHING = 2.0  # mean square in standard deviations


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A covariance of gains: a variance of each window for itself, and causes that move all windows together."""

    planned_db: Features  # (windows,): what the planned setting should be
    variance: Features  # (windows,), dB^2
    causes: Array  # (causes, windows): one standard deviation of each

    @classmethod
    def of(cls, fingerprint: Fingerprint, setting: Setting, model: UnitModel) -> Yardstick:
        """Of the planned setting."""
        (prediction,) = model.predict([setting.values])
        planned = prediction.gains_db
        variance = 2 * fingerprint.std_db**2 + WINDOW_STD_DB**2 + (WINDOW_STD * planned) ** 2
        variance += prediction.variance * len(planned) / INDEPENDENT  # neighbouring windows err alike
        if not model.explains(setting.values):  # no slopes that tell how drift would look
            variance += LEVEL_STD_DB**2 + (SLOPE_STD * planned) ** 2
        if model.detents is None:
            return cls(planned, variance, np.zeros((0, len(planned))))
        point, places = model.detents.point(setting.values), model.detents.places(setting.values)
        slopes = model.detents.slopes(point, places)
        ratio = math.exp(point[POINT.index("ratio")])
        drift = {
            "threshold_db": LEVEL_STD_DB,
            "ratio": SLOPE_STD * (ratio - 1) / ratio,
            "attack_ms": TIME_STD,
            "release_s": TIME_STD,
        }
        drifts = np.diag([drift.get(POINT[place], 0.0) for place in places])
        known = prediction.novelty == 0  # then it does not matter what stands behind the detents
        values, vectors = np.linalg.eigh(model.detents.spread(setting.values) * (not known))
        unknown = (vectors * np.sqrt(np.clip(values, 0, None))).T
        return cls(planned, variance, np.concatenate([drifts, unknown]) @ slopes)

    def widened(self, variance: Features) -> Yardstick:
        """With more variance."""
        return replace(self, variance=self.variance + variance)

    def compare(self, error_db: Features, changes: Array, share_std: float | None = None) -> tuple[float, Array, Array]:
        """Squared distances: of the plan (whose error is `error_db`); of each rival (which is `changes` (rivals,
        windows) away from the plan), at the share of its change that fits best; of each rival as it is.

        `share_std` makes a share other than 1 cost."""
        solved = self._solve(np.concatenate([error_db[None], changes]))
        plan = float(error_db @ solved[0])
        along = changes @ solved[0]
        across = np.maximum(np.einsum("ij,ij->i", changes, solved[1:]), LEAST)
        prior = 0.0 if share_std is None else share_std**-2
        share = np.clip((along + prior) / (across + prior), *SHARES)
        part = plan - 2 * share * along + share**2 * across + prior * (share - 1) ** 2
        return plan, part, plan - 2 * along + across

    def share(self, error_db: Features, slope: Features) -> float:
        """How often `slope` is in the error, by least squares."""
        solved = self._solve(slope[None])[0]
        return float(error_db @ solved) / max(float(slope @ solved), LEAST)

    def only_low(self, error_db: Features, of_low: npt.NDArray[np.bool_]) -> bool:
        """Whether nothing but the low tone is as it should not be."""
        squares = error_db**2 / self.variance
        return bool(np.mean(squares[of_low]) > ODD and np.mean(squares[~of_low]) < np.mean(squares[of_low]) / ODD)

    def _solve(self, rows: Array) -> Array:
        """The inverse covariance times each row, by the matrix inversion lemma."""
        weighted = self.causes / self.variance
        inner = np.eye(len(self.causes)) + weighted @ self.causes.T
        over = rows / self.variance
        return np.asarray(over - np.linalg.solve(inner, weighted @ rows.T).T @ weighted)


def compresses_nothing(fingerprint: Fingerprint) -> bool:
    """Whether the gain is the same at every level, within noise."""
    variance = 2 * fingerprint.std_db**2 + WINDOW_STD_DB**2
    return bool(np.mean(fingerprint.gains_db**2 / variance) < NOTHING)

"""What stands behind each detent of a unit, fitted to fingerprints of trusted visits.

The fitted numbers are offsets: of every numbered detent from what is printed there ("the knob at 0.4 s gives 0.46 s"),
and of what makers do differently, once per unit (knee, feedback, the branches of AUTO). The fit is maximum a
posteriori by Gauss-Newton; its prior is the tolerance of printed scales, so that a detent that was never visited keeps
what its neighbours make likely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..manifests.unit import AUTO, Position, Unit
from .fingerprint_compressor import POINT, USUAL, Array, simulate
from .fingerprint_signal import LOW_HZ

Values = Mapping[str, Position]


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from what is expected: standard deviations, in the unit of its place in a point."""

    common: float  # of all detents together: what the maker calls attack time, or 0 dB
    single: float  # of each detent for itself
    step: float  # for derivatives
    known: float = math.inf  # a detent that is known so well can be told from its neighbours


KNOBS = {
    "threshold_db": Tolerance(1.5, 0.7, 0.1, 2.0),
    "ratio": Tolerance(0.08, 0.08, 0.02, 0.2),
    "attack_ms": Tolerance(1.0, 0.25, 0.05, 0.4),  # makers measure it in several ways: only a visit tells
    "release_s": Tolerance(0.12, 0.12, 0.02, 0.3),
}
HABITS = {
    "knee_db": Tolerance(3.0, 0.0, 0.3),
    "knee_by_ratio": Tolerance(0.15, 0.0, 0.03),
    "shift_db": Tolerance(0.6, 0.0, 0.1),  # such units move the threshold with the ratio by design
    "feedback": Tolerance(0.4, 0.0, -0.05),
    "loop": Tolerance(0.5, 0.0, -0.05),
    "fall_s": Tolerance(0.7, 0.0, 0.05),
    "auto_fast_s": Tolerance(0.4, 0.0, 0.05),
    "auto_slow_s": Tolerance(0.4, 0.0, 0.05),
    "auto_fill_s": Tolerance(0.6, 0.0, 0.05),
    "auto_share": Tolerance(0.15, 0.0, 0.03),
}
OF_AUTO = tuple(name for name in HABITS if name.startswith("auto"))
SWITCHES = ("sidechain_hpf_hz", "engaged", "makeup_db")  # controls that are understood, but not fitted
INDEPENDENT = 25  # of the windows' misfits: neighbouring windows err alike
FLOOR_DB = 0.1  # misfit is in proportion to gain reduction plus this
LEAST_MISFIT = 0.002  # in that proportion
MOST_FITTED = 32  # settings; more do not move the detents
STRANGE = 3.0  # a unit that is no usual compressor may differ so much more from what is printed
ITERATIONS = 16
FARTHEST = 2.0, 0.4  # standard deviations of the prior that one iteration may go, or so much if that is more
SETTLED = 0.02  # an iteration that makes the logarithm of the squared misfit smaller by less than this is the last


def understands(unit: Unit) -> bool:
    """Whether the unit has the knobs of a bus compressor, and no further one that is unknown."""
    return set(KNOBS) <= set(unit.controls) <= {*KNOBS, *SWITCHES}


@dataclass(frozen=True, eq=False)
class Detents:
    """The fitted numbers of one unit, and how sure they are."""

    unit: Unit
    sample_rate: int
    offsets: Array  # (parameters,)
    covariance: Array  # (parameters, parameters)
    follows_level: bool = False  # which of the two kinds of compressor
    misfit: float = math.nan  # RMS over the visits it was fitted to, in proportion to gain reduction

    @classmethod
    def prior(cls, unit: Unit, sample_rate: int) -> Detents:
        """Before any visit."""
        keys = _keys(unit)
        covariance = np.zeros((len(keys), len(keys)))
        for i, (name, _) in enumerate(keys):
            tolerance = (KNOBS | HABITS)[name]
            same = np.array([name == other for other, _ in keys])
            covariance[i] = same * tolerance.common**2
            covariance[i, i] += tolerance.single**2
        return cls(unit, sample_rate, np.zeros(len(keys)), covariance)

    def point(self, values: Values) -> Array:
        """The compressor at this setting."""
        point = np.array([math.nan] * len(KNOBS) + list(USUAL.values()) + [float(self.follows_level), 0.0])
        for name in KNOBS:
            if values[name] != AUTO:
                printed = float(values[name])
                point[POINT.index(name)] = printed if name == "threshold_db" else math.log(printed)
        corner = values.get("sidechain_hpf_hz", "off")
        if not isinstance(corner, str | bool):
            point[-1] = 10 * math.log10(1 + (corner / LOW_HZ) ** 2)  # of a first-order filter
        for parameter, place in self._active(values):
            point[place] += self.offsets[parameter]
        return point

    def places(self, values: Values) -> list[int]:
        """Which numbers of a point are uncertain at this setting, in the order of `spread`."""
        return [place for _, place in self._active(values)]

    def spread(self, values: Values) -> Array:
        """(places, places): their covariance."""
        parameters = [parameter for parameter, _ in self._active(values)]
        return self.covariance[np.ix_(parameters, parameters)]

    def std(self, knob: str, values: Values) -> float:
        """Standard deviation of what this knob does where it stands; 0 at AUTO."""
        places = self.places(values)
        if POINT.index(knob) not in places:
            return 0.0
        at = places.index(POINT.index(knob))
        return math.sqrt(self.spread(values)[at, at])

    def knows(self, knob: str, values: Values) -> bool:
        """Whether it is known well enough what this knob does where it stands."""
        return self.std(knob, values) < KNOBS[knob].known

    def simulate(self, points: Sequence[Array]) -> Array:
        """(points, windows): gains in dB."""
        return simulate(self.sample_rate, points)

    def slopes(self, point: Array, places: Sequence[int]) -> Array:
        """(places, windows): change of gain per unit of each of these numbers, by one-sided differences."""
        moved, steps = [point], np.array([(KNOBS | HABITS)[POINT[place]].step for place in places])
        for place, step in zip(places, steps, strict=True):
            moved.append(point + step * (np.arange(len(point)) == place))
        here, *there = self.simulate(moved)
        return np.asarray((np.array(there).reshape(len(places), -1) - here) / steps[:, None])

    def another_kind(self, times: float) -> Detents:
        """The prior of a compressor that follows the level, and whose `times` makes attack and release from what is
        printed. That is far from usual, so nothing else is taken for sure either."""
        offsets = self.offsets.copy()
        for number, (name, _) in enumerate(_keys(self.unit)):
            if name in ("attack_ms", "release_s"):
                offsets[number] += math.log(times)
        return replace(self, offsets=offsets, covariance=STRANGE**2 * self.covariance, follows_level=True)

    def fitted(
        self,
        values: Sequence[Values],
        gains: Array,
        first_misfit: float,
        most: int = MOST_FITTED,
        start: Detents | None = None,
    ) -> Detents:
        """After visits of `values` that measured `gains` (visits, windows), the `most` telling ones; self is the
        prior. `start` is where to begin, if something better than the prior is known."""
        chosen = _spanning(values, most)
        if not chosen:
            return self
        precision = np.linalg.inv(self.covariance)
        reach = np.maximum(FARTHEST[0] * np.sqrt(np.diag(self.covariance)), FARTHEST[1])
        best, tried, damping, least, scale = self, start or self, 0.0, math.inf, first_misfit
        left, right = precision, np.zeros(len(precision))
        for _ in range(ITERATIONS):
            points = [tried.point(values[v]) for v in chosen]
            base = self.simulate(points)
            misfit, size = gains[chosen] - base, FLOOR_DB + np.abs(base)
            squares = np.mean((misfit / size) ** 2, axis=1)
            loss = float(np.mean(np.log(squares + LEAST_MISFIT**2)))
            if loss < least:
                trust = np.minimum(1, 9 * np.median(squares) / np.maximum(squares, 1e-12)) ** 2  # wrong visits: nothing
                scale = max(LEAST_MISFIT, math.sqrt(float(np.mean(squares * trust))))
                weights = trust[:, None] / (scale * size) ** 2 * INDEPENDENT / size.shape[1]
                left, right = precision.copy(), precision @ (self.offsets - tried.offsets)
                for v, point, error, weight in zip(chosen, points, misfit, weights, strict=True):
                    at = [parameter for parameter, _ in self._active(values[v])]
                    slopes = self.slopes(point, self.places(values[v]))
                    left[np.ix_(at, at)] += (slopes * weight) @ slopes.T
                    right[at] += (slopes * weight) @ error
                best = replace(tried, covariance=np.linalg.inv(left), misfit=scale)
                settled, least, damping = least - loss < SETTLED, loss, damping / 4
                if settled:
                    break
            else:
                damping = max(4 * damping, 0.1)  # Levenberg & Marquardt: a shorter step from where it was best
            moved = np.linalg.solve(left + damping * np.diag(np.diag(left)), right)
            tried = replace(best, offsets=best.offsets + np.clip(moved, -reach, reach))
        return best

    def _active(self, values: Values) -> list[tuple[int, int]]:
        """Number of each parameter that acts at this setting, and of its place in a point."""
        keys = {key: number for number, key in enumerate(_keys(self.unit))}
        found = []
        for name in (*KNOBS, *HABITS):
            if name in KNOBS:
                key: tuple[str, Position | None] = (name, self.unit.controls[name].position(values[name]))
            else:
                key = (name, None)
            if key[1] != AUTO and (name not in OF_AUTO or values["release_s"] == AUTO):
                found.append((keys[key], POINT.index(name)))
        return found


def _keys(unit: Unit) -> list[tuple[str, Position | None]]:
    """Every fitted number: detents with a number printed, then habits."""
    detents = [(name, position) for name in KNOBS for position in unit.controls[name].positions if position != AUTO]
    return [*detents, *((name, None) for name in HABITS)]


def _spanning(values: Sequence[Values], most: int) -> list[int]:
    """Numbers of at most `most` settings that visit every detent about equally often."""
    seen: dict[tuple[str, Position], int] = {}
    left, chosen = list(range(len(values))), list[int]()
    while left and len(chosen) < most:
        best = max(left, key=lambda v: sum(1 / (1 + seen.get((name, values[v][name]), 0)) for name in KNOBS))
        left.remove(best)
        chosen.append(best)
        for name in KNOBS:
            seen[name, values[best][name]] = seen.get((name, values[best][name]), 0) + 1
    return chosen

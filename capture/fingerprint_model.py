"""The unit's fitted model: what the fingerprint of any setting should be, and how far that can be relied on.

Two layers, both learnt from trusted visits:

1. A bus compressor with its own value behind each detent (`fingerprint_fit`).
2. What that compressor cannot explain, as a Gaussian process over settings: two settings share `rho` of their misfit
   per control that differs. Its size is measured by leaving visits out, so that a unit of another make widens its own
   tolerances. AUTO, or any other word on the panel, is another circuit, with a second layer of its own.

Where a setting was visited itself, the prediction is that visit, and the model only says how things would change from
there. A unit without the knobs of a bus compressor has the second layer only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..manifests.unit import Position, Unit
from .fingerprint import Features
from .fingerprint_compressor import Array
from .fingerprint_fit import FLOOR_DB, LEAST_MISFIT, Detents, Values, understands
from .fingerprint_signal import fingerprint_parts
from .references import References, Visit

FIRST_MISFIT = 0.05  # misfit over gain reduction, before any visit
FIRST_VISITS = 4  # as long as there are fewer settings, that is believed at least
RHOS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
GROWN = 1.5
OUTLIER = 25.0  # a setting that errs by more than 5 times the usual counts as if it erred by so much
TRIED = 12  # settings that tell which kind of compressor it is
TIMES = 1.0, 1 / (2 * math.pi)  # attack and release: as a time constant, or as the period of the corner frequency
JITTER = 1e-4  # variance of a visit over that of the misfit
EXPLAINED = 0.1  # of the gain reduction: a model that errs by more is no proof


Words = tuple[Position, ...]  # positions without a number: AUTO, off, compress; another word is another circuit


@dataclass(frozen=True)
class Prediction:
    """What the fingerprint of a setting should be."""

    gains_db: Features
    variance: Features  # dB^2, of what the model cannot explain
    novelty: float  # 0: the setting was visited itself, 1: nothing like it was


@dataclass(frozen=True, eq=False)
class _Rest:
    """The second layer, of one circuit."""

    visited: tuple[Values, ...]
    scale: Features  # (windows,): misfit, in proportion to gain reduction
    weights: Array  # (visited, windows)
    inverse: Array  # (visited, visited)
    rho: float
    left_out_db: float  # RMS error at a setting that was left out; NaN before the first visit

    def misfit(self, values: Values) -> tuple[Features, float]:
        """What to expect of it (windows,), in proportion to gain reduction, and the setting's novelty."""
        if not self.visited:
            return np.zeros_like(self.scale), 1.0
        differ = _differ([values], self.visited)
        (kernel,) = _kernel(differ, self.rho)
        novelty = 0.0 if (differ == 0).any() else 1 - float(kernel @ self.inverse @ kernel)
        return kernel @ self.weights, min(max(novelty, 0.0), 1.0)


@dataclass(frozen=True, eq=False)
class UnitModel:
    """See the module. Made by `fit_model`."""

    unit: Unit
    detents: Detents | None  # None: no compressor, references only
    rests: Mapping[Words, _Rest]  # by circuit
    typical_db: Features  # (windows,): mean of all visits, where there is no compressor
    trained_on: References
    settled_at: int = 0  # settings at the last fit from nothing
    grown: bool = False  # made from an earlier one: fast, and now and then tenths of a dB off at a new setting

    @property
    def settings(self) -> int:
        """How many it has visited."""
        return sum(len(rest.visited) for rest in self.rests.values())

    @property
    def misfit_db(self) -> float:
        """RMS error at a setting that was left out; NaN before the first visit."""
        found = [(rest.left_out_db**2, len(rest.visited)) for rest in self.rests.values() if rest.visited]
        return math.sqrt(sum(square * count for square, count in found) / self.settings) if found else math.nan

    def explains(self, values: Values) -> bool:
        """Whether this setting can be judged, if it was never visited."""
        return self.detents is not None and _rms(self._rest(values).scale) < EXPLAINED

    def predict(self, values: Sequence[Values]) -> list[Prediction]:
        """One prediction per setting."""
        found = []
        for base, v in zip(self._base(values), values, strict=True):
            size, rest = FLOOR_DB + np.abs(base), self._rest(v)
            misfit, novelty = rest.misfit(v)
            found.append(Prediction(base + size * misfit, novelty * (rest.scale * size) ** 2, novelty))
        return found

    def _rest(self, values: Values) -> _Rest:
        """Of this circuit; for one that was never heard, nothing but the size of the worst."""
        worst = max(self.rests.values(), key=lambda rest: _rms(rest.scale))
        return self.rests.get(_words(values), _nothing_known(worst.scale))

    def _base(self, values: Sequence[Values]) -> Array:
        if self.detents is None:
            return np.repeat(self.typical_db[None], len(values), axis=0)
        return self.detents.simulate([self.detents.point(v) for v in values])


def fit_model(
    unit: Unit, references: References, sample_rate: int = 44_100, previous: UnitModel | None = None
) -> UnitModel:
    """The model of `unit` after these visits; without any, its prior.

    `previous`, made from the first of the same visits, makes it a matter of a second: the detents learn from the new
    visits only, until there are half as many settings again as at the last fit from nothing."""
    windows = len(fingerprint_parts(sample_rate).windows)
    values, gains = _by_setting(references.visits, windows)
    typical = gains.mean(axis=0) if len(gains) else np.zeros(windows)
    detents, settled_at, grown = None, len(values), False
    if understands(unit):
        detents = _learnt(previous, references, len(values), windows)
        if detents is not None and previous is not None:
            settled_at, grown = previous.settled_at, True
        else:
            detents = _best_kind(Detents.prior(unit, sample_rate), values, gains)
    base = np.repeat(typical[None], len(values), axis=0)
    if detents is not None:
        base = detents.simulate([detents.point(v) for v in values])
    first = FIRST_MISFIT if detents is not None else 1.0
    words = [_words(v) for v in values]
    rests = {}
    for circuit in dict.fromkeys(words):
        at = [n for n, word in enumerate(words) if word == circuit]
        rests[circuit] = _rest([values[n] for n in at], gains[at], base[at], first)
    rests = rests or {(): _nothing_known(np.full(windows, first))}
    return UnitModel(unit, detents, rests, typical, references, settled_at, grown)


def _learnt(previous: UnitModel | None, references: References, settings: int, windows: int) -> Detents | None:
    """The detents of `previous` after the visits that it has not seen; None when it is time to fit from nothing."""
    if previous is None or previous.detents is None or settings > GROWN * previous.settled_at:
        return None
    seen = previous.trained_on.visits
    if references.visits[: len(seen)] != seen:
        return None
    values, gains = _by_setting(references.visits[len(seen) :], windows)
    return previous.detents.fitted(values, gains, previous.detents.misfit)


def _best_kind(prior: Detents, values: list[Values], gains: Array) -> Detents:
    """Fitted as the usual kind of compressor, or as another one where some visits say that the usual one fails."""
    start = prior.fitted(values, gains, FIRST_MISFIT, TRIED)
    if len(values) >= FIRST_VISITS and start.misfit > FIRST_MISFIT:
        for other in [prior.another_kind(times) for times in TIMES]:
            tried = other.fitted(values, gains, FIRST_MISFIT, TRIED)
            if tried.misfit < start.misfit:
                prior, start = other, tried
    return prior.fitted(values, gains, FIRST_MISFIT, start=start) if len(values) > TRIED else start


def _by_setting(visits: Sequence[Visit], windows: int) -> tuple[list[Values], Array]:
    """Each visited setting once, with the mean of its visits (settings, windows)."""
    grouped: dict[str, list[Features]] = {}
    values: dict[str, Values] = {}
    for visit in visits:
        grouped.setdefault(visit.setting_id, []).append(visit.fingerprint.gains_db)
        values[visit.setting_id] = visit.values
    gains = [np.mean(gains, axis=0) for gains in grouped.values()]
    return list(values.values()), np.array(gains).reshape(len(gains), windows)


def _differ(left: Sequence[Values], right: Sequence[Values]) -> Array:
    """(left, right): how many controls stand elsewhere."""
    counts = [[sum(a[name] != b[name] for name in a) for b in right] for a in left]
    return np.array(counts, float).reshape(len(left), len(right))


def _kernel(differ: Array, rho: float) -> Array:
    return np.asarray(np.where(differ == 0, 1.0, rho**differ))


def _rest(values: list[Values], gains: Array, base: Array, first: float) -> _Rest:
    """The second layer. Settings are left out one by one as in Rasmussen & Williams 2006, eq. 5.12."""
    size = FLOOR_DB + np.abs(base)
    misfit, differ = (gains - base) / size, _differ(values, values)
    least, best = math.inf, None
    for rho in RHOS:
        inverse = np.linalg.inv(_kernel(differ, rho) + JITTER * np.eye(len(values)))
        weights, diagonal = inverse @ misfit, np.diag(inverse)[:, None]
        loss = math.log(float(np.mean(weights**2 / diagonal)) + 1e-12) - float(np.mean(np.log(diagonal)))
        if loss < least:
            left_out_db = float(np.sqrt(np.mean((size * weights / diagonal) ** 2)))
            scale = _scale(weights**2 / diagonal, first)
            least, best = loss, _Rest(tuple(values), scale, weights, np.asarray(inverse, np.float64), rho, left_out_db)
    assert best is not None
    return best


def _nothing_known(scale: Features) -> _Rest:
    return _Rest((), scale, np.zeros((0, len(scale))), np.zeros((0, 0)), 0.0, math.nan)


def _scale(squares: Array, first: float) -> Features:
    """(windows,): size of the misfit, from `squares` (settings, windows) of what it was at settings left out."""
    count, each = len(squares), squares.mean(axis=1)
    squares = squares * np.minimum(1, OUTLIER * np.median(each) / np.maximum(each, 1e-12))[:, None]
    some = 1 + FIRST_VISITS / count  # few visits prove little
    overall = some * float(squares.mean()) + (first / count) ** 2 + LEAST_MISFIT**2
    if count < FIRST_VISITS:
        overall = max(overall, first**2)
    return np.asarray(np.sqrt((FIRST_VISITS * overall + some * squares.sum(axis=0)) / (FIRST_VISITS + count)))


def _words(values: Values) -> Words:
    return tuple(position for position in values.values() if isinstance(position, str))


def _rms(scale: Features) -> float:
    return float(np.sqrt(np.mean(scale**2)))

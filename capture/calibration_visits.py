"""Which settings to visit before a campaign, so that the fingerprints of all others can be judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..manifests.unit import Position, Setting, Unit
from .fingerprint_fit import Detents, understands


def calibration_settings(unit: Unit, settings: Sequence[Setting], sample_rate: int = 44_100) -> list[Setting]:
    """As few of `settings` as touch every position that any of them uses. Visit them there and back, so that each has
    a second, independent visit.

    What is printed proves no knob: makers measure attack in several ways, pots are set by eye. One visit of a detent
    does, at any position of the other controls, because the model carries it over. Chosen greedily; among equals the
    one with most gain reduction, where every control shows best."""
    shown = _typical_reduction_db(unit, settings, sample_rate)
    missing: set[tuple[str, Position]] = {item for setting in settings for item in setting.values.items()}
    chosen: list[Setting] = []
    while missing:
        best = max(
            range(len(settings)), key=lambda n: (len(missing.intersection(settings[n].values.items())), shown[n], -n)
        )
        chosen.append(settings[best])
        missing -= set(settings[best].values.items())
    return chosen


def _typical_reduction_db(unit: Unit, settings: Sequence[Setting], sample_rate: int) -> Sequence[float]:
    """Mean gain reduction of the fingerprint as printed; nothing is known of a unit that is no bus compressor."""
    if not understands(unit):
        return [0.0] * len(settings)
    prior = Detents.prior(unit, sample_rate)
    gains_db = prior.simulate([prior.point(setting.values) for setting in settings])
    return [float(reduction) for reduction in -np.mean(gains_db, axis=1)]

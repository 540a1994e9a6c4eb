"""Visits of the virtual unit, for tests of the fingerprint: what it returns at a setting, with noise and a drift."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import buscomp.capture
from buscomp.capture.fingerprint import Fingerprint, measure_fingerprint
from buscomp.capture.fingerprint_fit import Detents, understands
from buscomp.capture.fingerprint_signal import fingerprint_signal
from buscomp.capture.grid import load_grid
from buscomp.capture.references import References
from buscomp.capture.simulator import Knobs, compress
from buscomp.capture.specimen import Specimen
from buscomp.manifests.levels import from_db
from buscomp.manifests.unit import Position, Setting, Unit, load_unit

RATE = 44_100
ROOM = Path(buscomp.capture.__file__).parent
UNIT = load_unit(ROOM / "ssl-500-bus.yaml")
LA_2A = load_unit(ROOM / "la-2a.yaml")
GRID = load_grid(ROOM / "grid.yaml").settings(UNIT)
SENT = fingerprint_signal(RATE)


def visit(
    specimen: Specimen, setting: Setting, *, threshold_off_db: float = 0.0, drift_db: float = 0.0, seed: int = 0
) -> Fingerprint:
    """The fingerprint of a visit: noise at -95 dBFS, the input `drift_db` louder."""
    knobs = Knobs.of(setting.values)
    wet, _ = compress(
        SENT,
        RATE,
        threshold_db=knobs.threshold_db + threshold_off_db - drift_db,
        ratio=knobs.ratio,
        attack_ms=knobs.attack_ms,
        release_s=knobs.release_s,
        makeup_db=knobs.makeup_db,
        sidechain_hpf_hz=knobs.sidechain_hpf_hz,
        engaged=knobs.engaged,
        specimen=specimen,
    )
    noise = from_db(-95) * np.random.default_rng(seed).standard_normal(wet.shape)
    return measure_fingerprint(SENT, np.asarray(wet + noise, np.float32), RATE, noise_dbfs=-95.0)


def references_of(specimen: Specimen, settings: Sequence[Setting]) -> References:
    """One trusted visit of each."""
    references = References(UNIT.unit_id)
    for seed, setting in enumerate(settings):
        references = references.with_visit(setting, visit(specimen, setting, seed=seed))
    return references


def spanning_settings(unit: Unit, settings: Sequence[Setting], sample_rate: int = 44_100) -> list[Setting]:
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

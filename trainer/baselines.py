"""What a model has to beat: doing nothing, turning the volume down, and a static curve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from .controls import control_vector
from .static_curve import CurveFit, StaticCurves
from .take_audio import Row, TakeReader, spread_evenly

UNCHANGED = "output = input"
CONSTANT_GAIN = "best constant gain"
STATIC_CURVE = "best static curve"
BASELINES = (UNCHANGED, CONSTANT_GAIN, STATIC_CURVE)
FITTED_TAKES = 8  # of each setting: a gain, and a curve of 21 knots, need no more


@dataclass(frozen=True)
class Baselines:
    """`constant_gain`: the factor g with the smallest squared error of g * dry. `curves`: one for each setting."""

    constant_gain: float
    curves: StaticCurves


def fit_baselines(
    dataset: Dataset, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter, fitted_takes: int = FITTED_TAKES
) -> Baselines:
    """Both, fitted to training takes: of each setting up to 8, of songs spread evenly over the train split."""
    table = dataset.pair_table("train")
    if table.empty:
        raise DatasetError("no accepted take is in the split train", mend="type `buscomp split`")
    takes = [
        take
        for _, its in table.groupby("setting_id", sort=True)
        for take in spread_evenly(its.sort_values(["song_id", "unit_id"]).to_dict("records"), fitted_takes)
    ]
    fits: dict[str, CurveFit] = {}
    places = {take["setting_id"]: control_vector(dataset.unit, take) for take in takes}
    reader, cross, energy = TakeReader(dataset), 0.0, 0.0
    ordered: list[Row] = sorted(takes, key=lambda take: (take["song_id"], take["setting_id"]))
    for take in progress(ordered):
        audio = reader.read(take)
        cross += float(np.einsum("nc,nc->", audio.dry, audio.wet, dtype=np.float64))
        energy += float(np.einsum("nc,nc->", audio.dry, audio.dry, dtype=np.float64))
        fits.setdefault(take["setting_id"], CurveFit()).add(audio.dry, audio.wet, take["sample_rate"])
    gain = cross / energy if energy > 0 else 1.0
    return Baselines(gain, StaticCurves({name: fit.curve() for name, fit in fits.items()}, places))

"""What a model has to beat: doing nothing, and turning the volume down."""

from __future__ import annotations

import numpy as np

from ..manifests.dataset import Dataset

UNCHANGED = "output = input"
CONSTANT_GAIN = "best constant gain"


def best_constant_gain(dataset: Dataset, split: str = "train") -> float:
    """The factor g with the smallest squared error of g * dry over a split: sum(dry wet) / sum(dry dry)."""
    cross, energy = 0.0, 0.0
    for dry, wet, _ in dataset.pairs(split):
        cross += float(np.vdot(dry.astype(np.float64), wet))
        energy += float(np.vdot(dry.astype(np.float64), dry))
    return cross / energy if energy > 0 else 1.0

"""What every estimator listens to: the mean of the channels at 22,050 Hz."""

from __future__ import annotations

import numpy as np
import soxr

from ..manifests.pcm import Float32

ANALYSIS_RATE = 22_050  # Hz; the rate at which the estimators were compared


def mono(audio: Float32, sample_rate: int) -> Float32:
    """`audio` (frames, channels) as one channel (frames,) at 22,050 Hz."""
    return np.asarray(soxr.resample(audio.mean(axis=1, dtype=np.float32), sample_rate, ANALYSIS_RATE), np.float32)

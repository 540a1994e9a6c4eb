"""What estimators listen to: the mean of the channels, at the rate at which each was compared or trained."""

from __future__ import annotations

import numpy as np
import soxr

from ..manifests.pcm import Float32

ANALYSIS_RATE = 22_050  # Hz; of key and tempo


def mono(audio: Float32, sample_rate: int, rate: int = ANALYSIS_RATE) -> Float32:
    """`audio`, (frames, channels) or already one channel (frames,), as one channel (frames,) at `rate` Hz."""
    channel = np.asarray(audio if audio.ndim == 1 else audio.mean(axis=1, dtype=np.float32), np.float32)
    return channel if sample_rate == rate else np.asarray(soxr.resample(channel, sample_rate, rate))

"""The probe: a quiet chirp before and after every song that locates a take in time.

Programme cannot do that: a compressor shifts its correlation by whole samples. The chirp stays below every
threshold, so the unit passes it untouched.
"""

from __future__ import annotations

import numpy as np

from ..manifests.levels import from_db
from ..manifests.pcm import Float32

PROBE_S = 0.5
PROBE_LOW_HZ = 20.0
PROBE_HIGH_HZ = 20_000.0
PROBE_FADE_S = 0.005
PROBE_PEAK_DBFS = -46.0  # at the send, never boosted: under the lowest threshold (-40 dB) less half a 6 dB knee


def probe_frames(sample_rate: int) -> int:
    """Length of the probe in samples."""
    return round(PROBE_S * sample_rate)


def make_probe(sample_rate: int) -> Float32:
    """The probe of one channel `(frames,)`: a logarithmic sine sweep 20 Hz - 20 kHz with raised-cosine ends, the
    same on all channels. Exponential sweep after Farina, AES 108th Convention (2000), eq. 2."""
    frames = probe_frames(sample_rate)
    time_s = np.arange(frames) / sample_rate
    span = np.log(PROBE_HIGH_HZ / PROBE_LOW_HZ)
    sweep = np.sin(2 * np.pi * PROBE_LOW_HZ * PROBE_S / span * np.expm1(time_s / PROBE_S * span))
    fade = np.sin(np.linspace(0, np.pi / 2, round(PROBE_FADE_S * sample_rate))) ** 2
    sweep[: len(fade)] *= fade
    sweep[-len(fade) :] *= fade[::-1]
    return np.asarray(from_db(PROBE_PEAK_DBFS) * sweep, np.float32)

"""What the level columns of songs and takes mean, in one place.

Silence reads -200 dB instead of minus infinity, so that every table and JSON document stays plain numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SILENCE_DB = -200.0
CLIPPED_RUN = 4  # so many successive samples at the very peak: no music does that, a converter at its limit does
SEND_BOOST_DB, RETURN_TRIM_DB = 5.0, -5.0  # the papers' staging: digital, before and after the converters
Audio = npt.NDArray[np.floating]


def db(ratio: float) -> float:
    """20 log10 of an amplitude ratio, held at -200 dB."""
    return max(SILENCE_DB, 20 * float(np.log10(ratio))) if ratio > 0 else SILENCE_DB


def from_db(level_db: float) -> float:
    """The amplitude ratio of a level in dB."""
    return float(10 ** (level_db / 20))


def peak_dbfs(audio: Audio) -> float:
    """Largest sample magnitude over all channels, dB re full scale (1.0)."""
    return db(float(np.abs(audio).max(initial=0.0)))


def rms_dbfs(audio: Audio) -> float:
    """Root mean square over all channels, dB re full scale (a full-scale sine reads -3.01)."""
    return db(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))) if audio.size else SILENCE_DB


def true_peak_dbtp(audio: Audio, sample_rate: int) -> float:
    """Peak of the waveform between the samples (ITU-R BS.1770-5, annex 2, and finer: `manifests.true_peak`); never
    below the sample peak. It is the same at any `sample_rate`."""
    from .true_peak import true_peak  # numba is loaded only where it is measured

    return db(true_peak(audio))


def loudness_lufs(audio: Audio, sample_rate: int) -> float | None:
    """Integrated loudness (ITU-R BS.1770 gated, `manifests.loudness`). None below 400 ms, where the measure is not
    defined, and for silence."""
    from .loudness import integrated_lufs  # numba is loaded only where loudness is measured

    return integrated_lufs(audio, sample_rate)


def clipped_runs(audio: Audio) -> int:
    """How many times a channel stays within 0.001 % of its own peak, on one side, for four samples or more.

    A clean sine does so only below 21 Hz at 44.1 kHz; a converter at its limit repeats one code."""
    runs = 0
    for channel in np.asarray(audio).T:
        limit = float(np.abs(channel).max(initial=0.0)) * (1 - 1e-5)
        if limit == 0.0:
            continue
        for side in (channel >= limit, channel <= -limit):
            edges = np.flatnonzero(np.diff(np.concatenate([[False], side, [False]]).astype(np.int8)))
            runs += int(np.sum(edges[1::2] - edges[::2] >= CLIPPED_RUN))
    return runs

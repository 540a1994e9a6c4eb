"""What is there without a song: DC, mains hum and noise, in the silence before the head probe.

Each is measured without the others, so that one fault raises one alarm: hum by a Hann window that DC and noise hardly
enter, noise as what remains when the mean and ten harmonics of the mains are taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..manifests.levels import db
from ..manifests.pcm import Float32

Float64 = npt.NDArray[np.float64]

MAINS_HZ, MAINS_HARMONICS = (50.0, 60.0), 5
REMOVED_HARMONICS = 10  # before the noise is measured
HUM_LIMIT_DBFS, HUM_PROMINENCE_DB = -80.0, 20.0
DC_LIMIT = 5e-4  # of full scale, -66 dBFS
NOISE_RISE_DB, NOISE_LIMIT_DBFS = 6.0, -60.0
LEAST_EXPECTED_NOISE_DBFS = -120.0  # a return of digital zeros at calibration is not a floor to compare with


@dataclass(frozen=True)
class Quiet:
    """What a silence of a return holds."""

    dc_offset: float  # largest mean of a channel, re full scale, with its sign
    hum_dbfs: float  # RMS of the first five harmonics, all channels
    mains_hz: float  # 50 or 60, whichever is louder
    hum_prominence_db: float  # those harmonics re the same number of places between them
    noise_floor_dbfs: float  # RMS of the rest, all channels


def measure_quiet(silence: Float32, sample_rate: int) -> Quiet:
    """DC, hum and noise of `silence` (frames, channels), a quarter of a second or more."""
    audio = np.asarray(silence, np.float64)
    window = _window(len(audio))
    means = window @ audio
    audio = audio - means
    hum_power, mains_hz, between = max(_hum(audio, mains_hz, sample_rate) for mains_hz in MAINS_HZ)
    waves = _waves(len(audio), mains_hz, sample_rate)
    rest = audio - waves @ np.linalg.solve(waves.T @ waves, waves.T @ audio)
    return Quiet(
        dc_offset=float(means[np.abs(means).argmax()]),
        hum_dbfs=db(float(np.sqrt(hum_power))),
        mains_hz=mains_hz,
        hum_prominence_db=float(10 * np.log10((hum_power + 1e-24) / (between + 1e-24))),
        noise_floor_dbfs=db(float(np.sqrt(np.mean(rest**2)))),
    )


def dc_alarm(quiet: Quiet) -> str | None:
    """What is wrong when a channel's mean is above 0.0005 of full scale."""
    return f"DC of {quiet.dc_offset:+.4f} of full scale" if abs(quiet.dc_offset) > DC_LIMIT else None


def hum_alarm(quiet: Quiet) -> str | None:
    """What is wrong when mains hum is above -80 dBFS and 20 dB above its neighbours."""
    if quiet.hum_dbfs <= HUM_LIMIT_DBFS or quiet.hum_prominence_db <= HUM_PROMINENCE_DB:
        return None
    return f"hum of {quiet.mains_hz:.0f} Hz at {quiet.hum_dbfs:.0f} dBFS"


def noise_alarm(quiet: Quiet, expected_dbfs: float | None) -> str | None:
    """What is wrong when the noise floor is 6 dB above the one at calibration (`expected_dbfs`), or above -60 dBFS."""
    limit_dbfs = NOISE_LIMIT_DBFS
    if expected_dbfs is not None:
        limit_dbfs = min(limit_dbfs, max(expected_dbfs, LEAST_EXPECTED_NOISE_DBFS) + NOISE_RISE_DB)
    if quiet.noise_floor_dbfs <= limit_dbfs:
        return None
    return f"noise of {quiet.noise_floor_dbfs:.0f} dBFS, where {limit_dbfs:.0f} is the most"


def _hum(audio: Float64, mains_hz: float, sample_rate: int) -> tuple[float, float, float]:
    """Mean square of the first five harmonics, the mains, mean square in as many places between them."""
    powers = np.sum(np.abs(_tones(len(audio), mains_hz, sample_rate) @ audio) ** 2, axis=1) / 2 / audio.shape[1]
    return float(powers[:MAINS_HARMONICS].sum()), mains_hz, float(powers[MAINS_HARMONICS:].sum())


@lru_cache(maxsize=4)
def _window(frames: int) -> Float64:
    window = np.hanning(frames + 2)[1:-1]
    return np.asarray(window / window.sum(), np.float64)


@lru_cache(maxsize=8)
def _tones(frames: int, mains_hz: float, sample_rate: int) -> npt.NDArray[np.complex128]:
    """What audio is projected on `(tones, frames)`: five harmonics, then five places between."""
    harmonics = mains_hz * np.arange(1, MAINS_HARMONICS + 1)
    tuned_hz = np.concatenate([harmonics, harmonics - mains_hz / 2])
    time_s = np.arange(frames) / sample_rate
    return np.asarray(2 * _window(frames) * np.exp(-2j * np.pi * tuned_hz[:, None] * time_s), np.complex128)


@lru_cache(maxsize=8)
def _waves(frames: int, mains_hz: float, sample_rate: int) -> Float64:
    """What is taken away before the noise is measured `(frames, waves)`: a mean and ten harmonics."""
    angles = 2 * np.pi * mains_hz / sample_rate * np.arange(frames)[:, None] * np.arange(REMOVED_HARMONICS + 1)
    return np.concatenate([np.cos(angles), np.sin(angles[:, 1:])], axis=1)

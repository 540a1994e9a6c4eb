"""How high a song's spectrum reaches, and whether it ends at a wall, as a lossy coder leaves it.

A coder of 128 kbit/s cuts near 16 kHz, one of 320 kbit/s near 20 kHz: below the cut there is music, above it nothing,
within a few hundred hertz. Music itself, tape and microphones fall off slowly; a converter falls steeply, but above
20.5 kHz. A wall tells that samples were cut, not by what: a poor resampler leaves one too. And not every lossy file has
one: high rates of Vorbis and AAC do not, and quiet music ends below any cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from ..manifests.pcm import Float32

WINDOW = 4096  # frames
WINDOWS_AT_MOST = 500  # spread evenly over the song
BANDS_PER_WINDOW = 128  # bands of 16 lines: 172 Hz each at 44.1 kHz
RANGE_DB = 80.0  # below the strongest band; the dither of 16 bits lies lower in music of usual level
WALL_HZ = (7_000.0, 20_500.0)  # where a wall is looked for
WALL_DB = 20.0  # so much must be gone within the width of a wall ...
WALL_WIDTH_HZ, BESIDE_HZ = 500.0, 700.0  # ... from the mean over this much below, to everything above

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bandwidth:
    """The upper end of a spectrum."""

    bandwidth_hz: float  # highest frequency within 80 dB of the strongest band; the wall where there is one
    wall_hz: float | None  # where the spectrum ends at once, None where it does not


def bandwidth(audio: Float32, sample_rate: int) -> Bandwidth:
    """Of `audio` (frames, channels), by the mean power of its spectrum over time, in the channel that has more."""
    levels_db = band_levels_db(audio)
    width_hz = sample_rate / 2 / len(levels_db)
    wall = _wall(levels_db, width_hz)
    if wall is not None:
        return Bandwidth(wall * width_hz, wall * width_hz)
    standing = np.flatnonzero(levels_db >= levels_db.max() - RANGE_DB)
    return Bandwidth(float(standing[-1] + 1) * width_hz, None)


def band_levels_db(audio: Float32) -> Float64:
    """Mean power of 128 equal bands from 0 to half the rate, dB, the larger of the channels (bands,). Digital silence
    is -200 dB."""
    audio = np.asarray(audio, np.float32)
    if len(audio) < WINDOW:
        audio = np.concatenate([audio, np.zeros((WINDOW - len(audio), audio.shape[1]), np.float32)])
    count = min(WINDOWS_AT_MOST, len(audio) // WINDOW)
    begins = np.linspace(0, len(audio) - WINDOW, count).astype(int)
    taper = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    powers = np.zeros((audio.shape[1], WINDOW // 2 + 1))
    for some in np.array_split(begins, -(-count // 64)):  # 64 windows fit the cache
        frames = np.stack([audio[begin : begin + WINDOW].T for begin in some]) * taper
        spectra = scipy.fft.rfft(frames, axis=-1)
        powers += (spectra.real**2 + spectra.imag**2).sum(axis=0, dtype=np.float64)
    powers = powers[:, 1:].reshape(audio.shape[1], BANDS_PER_WINDOW, -1).mean(axis=2).max(axis=0)
    return np.asarray(10 * np.log10(powers / (count * float(np.sum(taper**2)) * WINDOW) + 1e-20), np.float64)


def _wall(levels_db: Float64, width_hz: float) -> int | None:
    """The band at which the spectrum ends at once: all from half a kilohertz higher on lies 20 dB lower than a straight
    continuation of what lies below."""
    gap, beside = max(1, round(WALL_WIDTH_HZ / width_hz)), max(2, round(BESIDE_HZ / width_hz))
    lowest, highest = (int(hz / width_hz) for hz in WALL_HZ)

    def drop_db(edge: int) -> float:
        below = float(levels_db[edge - beside : edge].mean())
        further = float(levels_db[edge - gap - 2 * beside : edge - gap - beside].mean())
        return below - float(levels_db[edge + gap :].max()) - max(0.0, further - below)

    edges = range(max(lowest, gap + 2 * beside), min(highest, len(levels_db) - gap - 1))
    deepest = max(edges, key=drop_db, default=None)
    return deepest if deepest is not None and drop_db(deepest) >= WALL_DB else None

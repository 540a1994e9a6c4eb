"""Where sounds begin: the rise of the log spectrum in four bands, and how strictly the rises repeat.

Rises are taken as in spectral flux (S. Boeck and G. Widmer, "Maximum filter vibrato suppression for onset detection",
DAFx 2013): half-wave rectified differences of a log spectrum against the largest of three neighbouring bands 35 ms ago.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

from ..manifests.pcm import Float32
from .mono import ANALYSIS_RATE

Floats = npt.NDArray[np.float32]

WINDOW, HOP = 1024, 256
FRAMES_PER_S = ANALYSIS_RATE / HOP  # 86.1
BANDS_PER_OCTAVE = 6
EDGES_HZ = (40.0, 150.0, 500.0, 2000.0, 9000.0)  # kick and bass; low chords; snare and voices; hats
BLOCK = 4096  # frames worked at a time
RISE_FRAMES = 3
LOCAL_S = 3.0  # envelopes are measured against this much around them, so that loud parts do not decide alone


def onset_bands(song: Float32) -> Floats:
    """Onset envelopes (4, frames) of `song` (samples,) at 22,050 Hz, 86.1 frames a second, each of mean square 1.

    An envelope that never rises is all zero. Needs at least one second.
    """
    filters, edges = _filters()
    peak = float(np.abs(song).max())
    if peak <= 0:
        return np.zeros((len(EDGES_HZ) - 1, len(song) // HOP), np.float32)
    padded = np.pad(song / np.float32(peak), WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = np.hanning(WINDOW).astype(np.float32)
    bands = np.concatenate(
        [
            np.abs(scipy.fft.rfft(frames[start : start + BLOCK] * window, axis=1)) @ filters
            for start in range(0, len(frames), BLOCK)
        ]
    )
    log = np.log1p(bands * np.float32(30.0))
    widest = scipy.ndimage.maximum_filter1d(log, 3, axis=1)
    rise = np.maximum(0, log[RISE_FRAMES:] - widest[:-RISE_FRAMES])
    envelopes = np.stack([rise[:, low:high].mean(axis=1) for low, high in edges])
    return _against_surroundings(envelopes)


def _against_surroundings(envelopes: Floats) -> Floats:
    around = int(LOCAL_S * FRAMES_PER_S)
    mean = scipy.ndimage.uniform_filter1d(envelopes, around, axis=1)
    centred = envelopes - mean
    spread = np.sqrt(np.maximum(scipy.ndimage.uniform_filter1d(centred**2, around, axis=1), 0))
    overall = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    return np.asarray(centred / (0.5 * spread + 0.5 * overall + 1e-4), np.float32)


@cache
def _filters() -> tuple[Floats, tuple[tuple[int, int], ...]]:
    """Triangles (bins, bands), a sixth of an octave apart where the bins allow it, and the columns of each band."""
    octaves = np.log2(EDGES_HZ[-1] / EDGES_HZ[0])
    centres = EDGES_HZ[0] * 2 ** np.linspace(0, octaves, round(octaves * BANDS_PER_OCTAVE) + 1)
    bins_hz = np.arange(WINDOW // 2 + 1) * ANALYSIS_RATE / WINDOW
    width = np.maximum(centres / BANDS_PER_OCTAVE * 0.7, ANALYSIS_RATE / WINDOW)
    triangles = np.maximum(0, 1 - np.abs(bins_hz[:, np.newaxis] - centres) / width)
    triangles /= np.maximum(triangles.sum(axis=0), 1e-9)
    places = np.searchsorted(centres, EDGES_HZ)
    return triangles.astype(np.float32), tuple((int(a), int(b)) for a, b in pairwise(places))


def correlations(envelopes: Floats, longest_s: float = 12.5) -> npt.NDArray[np.float64]:
    """How each envelope (bands, frames) repeats: (bands + 2, lags) up to `longest_s`, 1 at lag 0.

    Rows: each band, their sum, and the lowest band against the two highest (kick against snare and hat; both ways,
    averaged). Every lag is divided by its overlap; lags with less than 30 % overlap are zero.
    """
    kick, snare = envelopes[0], envelopes[2:].sum(axis=0)
    signals = np.stack([*envelopes, envelopes.sum(axis=0), kick, snare]).astype(np.float64)
    frames = signals.shape[1]
    lags = int(longest_s * FRAMES_PER_S)
    spectra = scipy.fft.rfft(
        signals - signals.mean(axis=1, keepdims=True), scipy.fft.next_fast_len(frames + lags), axis=1
    )
    power = np.abs(spectra) ** 2
    power[-2] = (spectra[-2] * spectra[-1].conj()).real  # the real part alone: the mean of both directions
    summed = scipy.fft.irfft(power[:-1], axis=1)[:, :lags]
    overlap = frames - np.arange(summed.shape[1])
    unbiased = np.where(overlap > 0.3 * frames, summed / np.maximum(overlap, 1), 0)
    level = unbiased[:, 0].copy()
    level[-1] = np.sqrt(level[0] * (power[-1].mean() / frames)) if level[0] > 0 else 0.0
    return np.asarray(np.pad(unbiased / np.maximum(level, 1e-9)[:, np.newaxis], ((0, 0), (0, lags - summed.shape[1]))))

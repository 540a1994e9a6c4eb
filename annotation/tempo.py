"""One tempo for a whole song: a small network weighs how onsets repeat at each tempo, then a comb refines the best.

The onsets of four bands are compared with themselves at the beat of each tempo from 40 to 240 BPM, at fractions and at
multiples of it (`tempo_features`). The network was trained on rendered songs of many styles
(tests/benchmarks/train_annotation.py), and tells half, double and third tempo apart by how kick, snare and hat stand
to the beat. The refinement looks within 2 % of its answer for the beat whose first 16 multiples repeat best. A tempo
that drifts comes out as some mean of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32
from .mono import ANALYSIS_RATE, mono
from .network import brevity, load_network, log_odds, shares
from .onsets import FRAMES_PER_S, correlations, onset_bands
from .tempo_features import PER_OCTAVE, grid_bpm, priors, repeats

BACKEND = "onset-network"
BACKEND_VERSION = "2"
SEARCH = 0.02  # of the start value, to both sides
CANDIDATES = 401
MULTIPLES = 16
FEWEST_MULTIPLES = 4  # with fewer beats to compare, a tempo is a guess
LONGEST_LAG = 0.6  # of the clip: beyond that too little of it overlaps itself
WITHIN = 3  # steps of the grid, 4.4 %, that count as the same tempo
FAINTEST = 0.05  # below this a beat does not repeat any better than noise


@dataclass(frozen=True)
class Tempo:
    """`bpm` is None where nothing repeats or the audio is too short. `confidence`: the share of development songs with
    such evidence that were named rightly, 0 to 1. `candidates`: the next best tempi and their shares, best first."""

    bpm: float | None
    confidence: float
    candidates: tuple[tuple[float, float], ...] = ()


def estimate_tempo(audio: Float32, sample_rate: int) -> Tempo:
    """The tempo of `audio`, (frames, channels) or (frames,). Silence has none, nor has audio shorter than 5 beats."""
    song = mono(audio, sample_rate)
    if len(song) < ANALYSIS_RATE:
        return Tempo(None, 0.0)
    envelopes = onset_bands(song)
    if not envelopes.any():
        return Tempo(None, 0.0)
    grid, network = grid_bpm(), load_network("tempo")
    features = np.hstack([repeats(correlations(envelopes), grid), priors(grid)])
    found = _peaks(shares(network.scores(features)[:, 0]), grid)
    bpm, strength = refine_tempo(envelopes.sum(axis=0), FRAMES_PER_S, found[0][0])
    if bpm is None:
        return Tempo(None, 0.0)
    confidence = network.calibrated(log_odds(found[0][1]), brevity(len(song) / ANALYSIS_RATE)) * min(
        1.0, strength / FAINTEST
    )
    return Tempo(bpm, confidence, tuple(found[1:4]))


def _peaks(share: npt.NDArray[np.floating], grid: npt.NDArray[np.floating]) -> list[tuple[float, float]]:
    """The tempi that stand out in `share`, each with the share of all within 4 % of it, best first."""
    left = share.copy()
    found: list[tuple[float, float]] = []
    while len(found) < 4:
        best = int(np.argmax(left))
        near = slice(max(0, best - WITHIN), best + WITHIN + 1)
        found.append((float(grid[best]), float(min(1.0, left[near].sum()))))
        left[near] = 0
    assert PER_OCTAVE > 2 * WITHIN
    return found


def refine_tempo(onsets: npt.NDArray[np.floating], frames_per_s: float, start_bpm: float) -> tuple[float | None, float]:
    """The tempo within 2 % of `start_bpm` at which the onset envelope `onsets` (frames,) repeats best, and how well.

    How well: the mean autocorrelation at the first 16 multiples of the beat, relative to lag 0: about 1 for a
    metronome, about 0 for noise. The tempo is None if fewer than 4 multiples fit.
    """
    autocorrelation = unbiased_autocorrelation(onsets)
    beat = 60 * frames_per_s / start_bpm
    beats = np.linspace(beat * (1 - SEARCH), beat * (1 + SEARCH), CANDIDATES)  # in frames
    multiples = min(MULTIPLES, int((len(autocorrelation) - 1) / beats[-1]))
    if multiples < FEWEST_MULTIPLES or autocorrelation[0] <= 0:
        return None, 0.0
    lags = beats[:, np.newaxis] * np.arange(1, multiples + 1)
    scores = np.interp(lags, np.arange(len(autocorrelation)), autocorrelation).mean(axis=1) / autocorrelation[0]
    best = int(np.argmax(scores))
    return 60 * frames_per_s / float(beats[best]), float(np.clip(scores[best], 0.0, 1.0))


def unbiased_autocorrelation(onsets: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Autocorrelation of `onsets` minus their mean, each lag divided by its overlap, up to 0.6 of the clip."""
    centred = np.asarray(onsets, np.float64) - np.mean(onsets)
    frames = len(centred)
    spectrum = np.fft.rfft(centred, 2 * frames)
    summed = np.fft.irfft(np.abs(spectrum) ** 2)[: int(LONGEST_LAG * frames)]
    return np.asarray(summed / (frames - np.arange(len(summed))), np.float64)

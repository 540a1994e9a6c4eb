"""What speaks for each tempo: how onsets repeat at its beat, at fractions and at multiples of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .onsets import FRAMES_PER_S

Floats = npt.NDArray[np.floating]

LOWEST_BPM, HIGHEST_BPM, PER_OCTAVE = 40.0, 240.0, 48
STEPS = round(PER_OCTAVE * np.log2(HIGHEST_BPM / LOWEST_BPM)) + 1
RATIOS = (1 / 8, 1 / 6, 1 / 4, 1 / 3, 3 / 8, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4, 6, 8)  # of the beat
NEAR = (-0.007, 0.0, 0.007)  # the grid stands 1.45 % apart: the best of three lags is taken
SHORTEST_S = 0.055  # two onsets closer than this are one
PRIORS = np.linspace(np.log2(LOWEST_BPM), np.log2(HIGHEST_BPM), 9)  # middles of the bumps that tell tempi apart


def grid_bpm(margin: int = 0) -> Floats:
    """The tempi that are compared, 40 to 240 BPM, 48 an octave, and `margin` more at both ends."""
    return np.asarray(LOWEST_BPM * 2 ** (np.arange(-margin, STEPS + margin) / PER_OCTAVE))


def repeats(correlations: Floats, bpm: Floats) -> Floats:
    """How `correlations` (rows, lags) stand at each ratio of each beat: (tempi, rows x ratios)."""
    lags = 60 * FRAMES_PER_S / bpm[:, np.newaxis, np.newaxis] * np.multiply.outer(RATIOS, 1 + np.array(NEAR))
    read = np.stack(
        [np.interp(lags, np.arange(correlations.shape[1]), row, right=0.0).max(axis=-1) for row in correlations]
    )
    read[:, lags[..., 1] < SHORTEST_S * FRAMES_PER_S] = 0
    return np.asarray(read.transpose(1, 0, 2).reshape(len(bpm), -1))


def priors(bpm: Floats) -> Floats:
    """Where each tempo stands between 40 and 240 BPM: (tempi, 9) bumps on a scale of octaves."""
    return np.asarray(np.exp(-0.5 * ((np.log2(bpm)[:, np.newaxis] - PRIORS) / 0.3) ** 2))

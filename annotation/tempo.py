"""One tempo for a whole song: librosa's tempo estimate, then refined on the autocorrelation of the onsets.

The estimate stands on a grid of whole onset frames: at 22,050 Hz and hop 512 the neighbours of 120 BPM are 117.45
and 123.05. The refinement looks within 5 % of it for the beat period whose first 16 multiples repeat best. On 54
rendered clips with known tempo this brought the median error of the right ones from 1.15 to 0.012 BPM. It mends the
grid only: 22 % of the clips were wrong by more than 4 % before and after, most of them by a factor of 2, 3/2 or 3.
A tempo that drifts comes out as some mean of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32
from .mono import ANALYSIS_RATE, mono

BACKEND = "librosa-comb"
BACKEND_VERSION = "1"
HOP = 512
SEARCH = 0.05  # of the start value, to both sides
CANDIDATES = 401
MULTIPLES = 16
FEWEST_MULTIPLES = 4  # with fewer beats to compare, a tempo is a guess
LONGEST_LAG = 0.6  # of the clip: beyond that too little of it overlaps itself


@dataclass(frozen=True)
class Tempo:
    """`bpm` is None where nothing repeats or the audio is too short. `confidence`: 0 to 1, see `refine_tempo`."""

    bpm: float | None
    confidence: float


def estimate_tempo(audio: Float32, sample_rate: int) -> Tempo:
    """The tempo of `audio` (frames, channels). Silence has none, nor has audio shorter than about seven beats."""
    from librosa.feature import tempo
    from librosa.onset import onset_strength

    song = mono(audio, sample_rate)
    if len(song) < ANALYSIS_RATE:
        return Tempo(None, 0.0)
    # `beat_track` takes its tempo from the median over bands in this way; its search for each beat is not needed.
    onsets = onset_strength(y=song, sr=ANALYSIS_RATE, hop_length=HOP, aggregate=np.median)
    if not onsets.any():
        return Tempo(None, 0.0)
    start_bpm = float(tempo(onset_envelope=onsets, sr=ANALYSIS_RATE, hop_length=HOP)[0])
    return refine_tempo(onsets, ANALYSIS_RATE / HOP, start_bpm)


def refine_tempo(onsets: npt.NDArray[np.floating], frames_per_s: float, start_bpm: float) -> Tempo:
    """The tempo within 5 % of `start_bpm` at which the onset envelope `onsets` (frames,) repeats best.

    `confidence` is the mean autocorrelation at the first 16 multiples of the beat, relative to lag 0: about 1 for a
    metronome, about 0 for noise. It says how strictly the beat repeats, not whether half or double time is meant.
    """
    autocorrelation = unbiased_autocorrelation(onsets)
    beat = 60 * frames_per_s / start_bpm
    beats = np.linspace(beat * (1 - SEARCH), beat * (1 + SEARCH), CANDIDATES)  # in frames
    multiples = min(MULTIPLES, int((len(autocorrelation) - 1) / beats[-1]))
    if multiples < FEWEST_MULTIPLES or autocorrelation[0] <= 0:
        return Tempo(None, 0.0)
    lags = beats[:, np.newaxis] * np.arange(1, multiples + 1)
    scores = np.interp(lags, np.arange(len(autocorrelation)), autocorrelation).mean(axis=1) / autocorrelation[0]
    best = int(np.argmax(scores))
    return Tempo(60 * frames_per_s / float(beats[best]), float(np.clip(scores[best], 0.0, 1.0)))


def unbiased_autocorrelation(onsets: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Autocorrelation of `onsets` minus their mean, each lag divided by its overlap, up to 0.6 of the clip."""
    centred = np.asarray(onsets, np.float64) - np.mean(onsets)
    frames = len(centred)
    spectrum = np.fft.rfft(centred, 2 * frames)
    summed = np.fft.irfft(np.abs(spectrum) ** 2)[: int(LONGEST_LAG * frames)]
    return np.asarray(summed / (frames - np.arange(len(summed))), np.float64)

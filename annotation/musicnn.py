"""Genres, instruments and an embedding by the musicnn networks, which are shipped: nothing is downloaded.

J. Pons and X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging" (2019): two networks
that tell 50 tags each of 3 s of music, trained on the Million Song Dataset (msd) and on MagnaTagATune (mtt). On the
test parts of these their authors give an area under the precision-recall curve of 0.289 and 0.383: tags are weak
evidence.

One piece of 3 s is heard of every 10 s, from its middle, and at most 12 of a song, spread evenly. What the networks
hear depends on level, so the whole song is first brought to -14 LUFS, a usual level of mastered music. Features are
log-mel spectra as the authors compute them, except that the logarithm is taken in single precision: in half, where they
take it, it overflows for loud music.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests import levels
from ..manifests.loudness import integrated_lufs
from ..manifests.pcm import Float32
from . import calibration
from .backend import SEGMENTS, Segment, Value
from .mono import mono
from .vocabulary import labels

NAME, VERSION = "musicnn", "2"
NETWORKS = ("msd", "mtt")
RATE, FFT, HOP, BANDS = 16_000, 512, 256, 96
FRAMES = 187  # of a patch: 3 s
PATCH = (FRAMES - 1) * HOP + FFT  # samples under its frames
SEGMENT_S, MOST_PATCHES = 10.0, 12
LEVEL_LUFS = -14.0
# A label is named from this score on. For probabilities, the threshold with the best F1 is half of that F1 (Lipton,
# Elkan and Naryanaswamy, "Optimal thresholding of classifiers to maximize F1 measure", 2014); about 0.33 and 0.4 here.
THRESHOLDS = {"msd": 0.16, "mtt": 0.20}
LIKELY = 0.5  # the same for a label whose probability is known
MOST = {"genres": 3, "instruments": 8}
TAGS = {
    "msd": (
        "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock",
        "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow",
        "electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient",
        "acoustic", "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening",
        "sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad",
        "House", "happy",
    ),
    "mtt": (
        "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
        "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
        "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo",
        "man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello",
        "no voice", "weird", "country", "metal", "female voice", "choral",
    ),
}  # fmt: skip


class Musicnn:
    """A `Backend`. The embedding is the mean over all pieces of the msd network's mean pool: 753 numbers."""

    gives = ("genres", "instruments", "embedding", SEGMENTS)

    @property
    def name(self) -> str:
        return NAME

    @property
    def weights_sha256(self) -> str:
        """Of both networks."""
        return _sha256(*(_path(network) for network in NETWORKS))

    @property
    def version(self) -> str:
        return f"{VERSION}+{self.weights_sha256[:12]}+{_sha256(calibration.FILE)[:6]}"

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """All of `gives`. None has a value for silence, and for audio shorter than 0.4 s."""
        heard = hear(audio, sample_rate)
        if heard is None:
            return dict.fromkeys(self.gives, Value(None, None))
        whole = {network: tags.mean(axis=0) for network, tags in heard.scores.items()}
        return {
            "genres": named("genres", whole),
            "instruments": named("instruments", whole),
            "embedding": Value(heard.embedding.mean(axis=0).tolist(), heard.audible),
            SEGMENTS: Value(segments(heard), None),
        }


@dataclass(frozen=True)
class Heard:
    """What the networks say of a song: where each piece begins, tag scores (pieces, 50) by network, the msd network's
    mean pool (pieces, 753), and the share of pieces that are not silent."""

    starts_s: list[float]
    duration_s: float
    scores: Mapping[str, Float32]
    embedding: Float32
    audible: float


def hear(audio: Float32, sample_rate: int) -> Heard | None:
    """`audio` (frames, channels) as the networks hear it; None for silence, and for less than 0.4 s."""
    loudness_lufs = integrated_lufs(audio, sample_rate)
    if loudness_lufs is None:
        return None
    song = mono(audio, sample_rate, RATE) * np.float32(levels.from_db(LEVEL_LUFS - loudness_lufs))
    starts_s, patches = patches_of(song)
    heard = {network: run(network, patches) for network in NETWORKS}
    scores = {network: tags for network, (tags, _) in heard.items()}
    audible = float(np.mean([patch.max() > 0 for patch in patches]))
    return Heard(starts_s, len(song) / RATE, scores, heard["msd"][1], audible)


def patches_of(song: Float32) -> tuple[list[float], Float32]:
    """Where each segment of 10 s begins that is heard, s, and its middle 3 s as log-mel spectra (patches, 187, 96),
    from `song` (frames,) at 16 kHz. A song shorter than 3 s is repeated."""
    duration_s = len(song) / RATE
    if len(song) < PATCH:
        song = np.resize(song, PATCH)
    count = max(1, round(duration_s / SEGMENT_S))
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_PATCHES)).round().astype(int))
    begins = [int(np.clip((place + 0.5) * SEGMENT_S * RATE - PATCH / 2, 0, len(song) - PATCH)) for place in chosen]
    return [place * SEGMENT_S for place in chosen], np.stack([log_mel(song[at : at + PATCH]) for at in begins])


def log_mel(patch: Float32) -> Float32:
    """`patch` (48128,) at 16 kHz as log10(10000 m + 1) of its mel powers m (187, 96)."""
    from librosa.feature import melspectrogram

    mel = melspectrogram(
        y=patch, sr=RATE, n_fft=FFT, hop_length=HOP, n_mels=BANDS, center=False, power=2.0, dtype=np.float32
    )
    return np.asarray(np.log10(np.float32(10_000) * mel.T + np.float32(1)), np.float32)


def run(network: str, patches: Float32) -> tuple[Float32, Float32]:
    """Scores of the 50 tags (patches, 50) and the mean pool (patches, 753) of the network `msd` or `mtt`."""
    session = _session(network)
    rows = [session.run(["tags", "mean_pool"], {"patches": patch[np.newaxis]}) for patch in patches]
    return np.concatenate([tags for tags, _ in rows]), np.concatenate([pool for _, pool in rows])


def named(vocabulary: str, scores: Mapping[str, npt.NDArray[np.floating]]) -> Value:
    """The labels of `genres` or `instruments` that the tag scores (50,) of each network speak for, best first.

    An instrument that has been compared with truth is named where it is more likely there than not. Any other label has
    the score of its strongest tag, and is named where that reaches the network's threshold. Where nothing is named, the
    best label is if it has half of what it needs; else the list is empty.

    `confidence`: the probability that the first label is right; None for an empty list. All labels with a tag are
    candidates, each with its own.
    """
    found: list[tuple[str, float, float]] = []  # label, probability, how often that is what it needs
    for label in labels(vocabulary):
        told = best_scores(vocabulary, label, scores)
        if label in calibration.lines(vocabulary):
            sure = calibration.probability(calibration.lines(vocabulary)[label], told)
            found.append((label, sure, sure / LIKELY))
        elif told:
            over = max(score / THRESHOLDS[network] for network, score in told.items())
            found.append((label, max(told.values()), over))
    found.sort(key=lambda entry: -entry[1])
    chosen = [entry for entry in found if entry[2] >= 1] or [entry for entry in found[:1] if entry[2] >= 0.5]
    return Value(
        [label for label, _, _ in chosen[: MOST[vocabulary]]],
        chosen[0][1] if chosen else None,
        tuple((label, sure) for label, sure, _ in found),
    )


def best_scores(vocabulary: str, label: str, scores: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, float]:
    """The score of the strongest tag for `label` in each network that has one, from tag scores (50,) of each."""
    tags = {network: labels(vocabulary)[label].tags(network) for network in NETWORKS}
    return {
        network: max(float(scores[network][TAGS[network].index(tag)]) for tag in words)
        for network, words in tags.items()
        if words
    }


def segments(heard: Heard) -> tuple[Segment, ...]:
    """One segment for each piece: its tags of both networks from their thresholds on, best first, and its vector."""
    told = []
    for place, start_s in enumerate(heard.starts_s):
        tags: dict[str, float] = {}
        for network in NETWORKS:
            for tag, score in zip(TAGS[network], heard.scores[network][place], strict=True):
                if score >= THRESHOLDS[network]:
                    tags[tag] = max(tags.get(tag, 0.0), float(score))
        best = tuple(sorted(tags.items(), key=lambda entry: -entry[1]))
        vector = tuple(float(number) for number in heard.embedding[place])
        told.append(Segment(start_s, min(start_s + SEGMENT_S, heard.duration_s), tags=best, embedding=vector))
    return tuple(told)


def _path(network: str) -> Path:
    return Path(__file__).with_name(f"musicnn-{network}.onnx")


@cache
def _sha256(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


@cache
def _session(network: str) -> Any:
    """One thread: processes are what runs side by side."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(_path(network), options, providers=["CPUExecutionProvider"])

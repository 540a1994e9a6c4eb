"""What annotation is measured against, though it is no backend: librosa as it comes, and the analyser of Mixxx."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np
import soundfile

from buscomp.annotation.backend import Value
from buscomp.annotation.key import TONICS
from buscomp.annotation.key_names import spelled
from buscomp.annotation.mono import ANALYSIS_RATE, mono
from buscomp.manifests.pcm import Float32

# Share of each step of the scale in songs in major and in minor (D. Temperley, "Music and Probability", 2007).
PROFILES = np.array([
    [0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400],
    [0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330],
])  # fmt: skip


class Librosa:
    """`beat.beat_track`, and the mean of `feature.chroma_cqt` against Temperley's profiles; without a confidence."""

    name = "librosa"
    gives = ("tempo_bpm", "key")

    @property
    def version(self) -> str:
        return version_of("librosa")

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """Tempo and key of `audio` (frames, channels)."""
        import librosa

        song = mono(audio, sample_rate)
        bpm = float(np.atleast_1d(librosa.beat.beat_track(y=song, sr=ANALYSIS_RATE)[0])[0])
        chroma = librosa.feature.chroma_cqt(y=song, sr=ANALYSIS_RATE, hop_length=4096).mean(axis=1)
        fits = [
            [np.corrcoef(np.roll(profile, tonic), chroma)[0, 1] for tonic in range(len(TONICS))] for profile in PROFILES
        ]
        mode, tonic = np.unravel_index(np.argmax(fits), (2, len(TONICS)))
        key = f"{TONICS[tonic]} {('major', 'minor')[mode]}"
        return {"tempo_bpm": Value(bpm or None, None), "key": Value(key, None)}


class Mixxx:
    """The package mixxx-analyzer, GPL-2: a program that reads a file, so its CPU time is that of a child process."""

    name = "mixxx-analyzer"
    gives = ("tempo_bpm", "key")

    @property
    def version(self) -> str:
        return version_of("mixxx-analyzer")

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """Tempo and key of `audio` (frames, channels), by way of a file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.wav"
            soundfile.write(path, audio, sample_rate, subtype="PCM_16")
            found = import_module("mixxx_analyzer").analyze(path)
        return {
            "tempo_bpm": Value(float(found.bpm) if found.bpm else None, None),
            "key": Value(spelled(found.key) if found.key else None, None),
        }

"""Our own estimators of tempo and key as backends."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..manifests.pcm import Float32
from . import key, tempo
from .backend import Value


class TempoBackend:
    """The tempo of `tempo.estimate_tempo`."""

    gives = ("tempo_bpm",)
    name = tempo.BACKEND

    @property
    def version(self) -> str:
        """Of the code, and the beginning of the hash of its weights."""
        return f"{tempo.BACKEND_VERSION}+{_sha256('tempo.npz')[:12]}"

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """The tempo of `audio` (frames, channels); half and double time are among the candidates."""
        found = tempo.estimate_tempo(audio, sample_rate)
        return {"tempo_bpm": Value(found.bpm, found.confidence, found.candidates)}


class KeyBackend:
    """The key of `key.estimate_key`."""

    gives = ("key",)
    name = key.BACKEND

    @property
    def version(self) -> str:
        """Of the code, and the beginning of the hash of its weights."""
        return f"{key.BACKEND_VERSION}+{_sha256('key.npz')[:12]}"

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """The key of `audio` (frames, channels); the next best are the candidates."""
        found = key.estimate_key(audio, sample_rate)
        return {"key": Value(found.name, found.confidence, found.candidates)}


@cache
def _sha256(weights: str) -> str:
    return hashlib.sha256(Path(__file__).with_name(weights).read_bytes()).hexdigest()

"""A backend for tests that answers at once and counts what it heard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from buscomp import cli
from buscomp.annotation import backend as backends
from buscomp.annotation import makers
from buscomp.annotation.backend import SEGMENTS, Segment, Value
from buscomp.manifests.errors import DatasetError
from buscomp.manifests.pcm import Float32

heard: list[int] = []  # frames of every song
state: dict[str, Any] = {"version": "1", "fails_at": None}


def reset() -> None:
    heard.clear()
    state.clear()
    state.update(version="1", fails_at=None)


class Quick:
    """Tempo 99.5, A minor, rock, and one caption."""

    gives = ("tempo_bpm", "key", "genres", "instruments", "embedding", SEGMENTS)

    def __init__(self, name: str = "quick"):
        self.name = name

    @property
    def version(self) -> str:
        return str(state["version"])

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        heard.append(len(audio))
        if state["fails_at"] == len(heard):
            raise state["error"]
        return {
            "tempo_bpm": Value(99.5, 0.25, ((99.5, 0.25), (199.0, 0.2))),
            "key": Value("A minor", 0.5, (("A minor", 0.5), ("C major", 0.4))),
            "genres": Value(["rock"], 0.7, (("rock", 0.7),)),
            "instruments": Value([], None),
            "embedding": Value([1.0, 2.0], 1.0),
            SEGMENTS: Value((Segment(0.0, 2.0, caption="a drum", prompt="what?", answer=" a drum\n"),), None),
        }


def bad_song() -> DatasetError:
    return DatasetError("this song cannot be heard")


class Slow(Quick):
    """As `Quick`, but each song takes 0.3 s: long enough to be interrupted."""

    def __init__(self, name: str = "slow"):
        super().__init__(name)

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        time.sleep(0.3)
        return super().annotate(audio, sample_rate)


if __name__ == "__main__":  # `buscomp annotate` as a process, with Slow alone
    backends.BACKENDS["slow"] = backends.Entry(
        "buscomp.tests.annotation.quick_backend", "Slow", Slow.gives, "for tests"
    )
    vars(makers)["DEFAULT"] = ("slow",)
    cli.main()

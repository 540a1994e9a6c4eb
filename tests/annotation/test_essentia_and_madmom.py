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


@pytest.mark.parametrize("backend", [Essentia(), Madmom()], ids=lambda backend: backend.name)
def test_silence_has_neither_tempo_nor_key_and_needs_no_package(backend: Any) -> None:
    values = backend.annotate(0 * NOISE, 48_000)
    assert {name: value.value for name, value in values.items()} == {"tempo_bpm": None, "key": None}


def test_essentia_finds_the_key_of_a_c_major_chord_and_the_tempo_of_its_beats() -> None:
    pytest.importorskip("essentia", reason="essentia is AGPL-3: the user installs it")
    time_s = np.arange(20 * 44_100) / 44_100
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (261.63, 329.63, 392.0, 523.25))
    beats = np.exp(-20 * (time_s % 0.5))  # 120 BPM
    values = Essentia().annotate((0.1 * chord * beats).astype(np.float32)[:, None], 44_100)
    assert values["key"].value == "C major"
    assert values["tempo_bpm"].value == pytest.approx(120, rel=0.02)
    assert Essentia().version.startswith("1+essentia-")

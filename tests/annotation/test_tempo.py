"""`annotation.tempo` on metronomes and songs whose tempo is known."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.annotation.tempo import Tempo, estimate_tempo, refine_tempo, unbiased_autocorrelation
from buscomp.manifests.pcm import Float32
from buscomp.tests.small_dataset import music


def metronome(bpm: float, seconds: float = 30.0, sample_rate: int = 44_100) -> Float32:
    """A click of 10 ms on every beat, stereo."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    click = 0.2 * np.sin(2 * np.pi * 1500 * time) * np.exp(-(time % (60 / bpm)) / 0.01)
    return np.asarray(np.stack([click, click], axis=1), np.float32)


@pytest.mark.parametrize("bpm", [72.5, 97.31, 120.0, 133.33, 150.0])
def test_tempo_of_a_metronome_is_right_to_a_tenth_of_a_bpm(bpm: float) -> None:
    tempo = estimate_tempo(metronome(bpm), 44_100)
    assert tempo.bpm == pytest.approx(bpm, abs=0.1)
    assert 0 < tempo.confidence <= 1
    assert len(tempo.candidates) == 3


def test_tempo_of_a_metronome_is_the_same_at_48_khz() -> None:
    assert estimate_tempo(metronome(101.7, sample_rate=48_000), 48_000).bpm == pytest.approx(101.7, abs=0.1)


@pytest.mark.parametrize("bpm", [93.37, 141.2])
def test_tempo_of_drums_with_chords_is_right_to_a_tenth_of_a_bpm(bpm: float) -> None:
    assert estimate_tempo(music(30, tempo_bpm=bpm), 44_100).bpm == pytest.approx(bpm, abs=0.1)


def test_refinement_finds_the_tempo_from_a_start_1_and_a_half_percent_away() -> None:
    frames_per_s, bpm = 43.066, 111.11
    place = np.arange(1300) * bpm / 60 / frames_per_s % 1.0
    onsets = np.exp(-0.5 * (np.minimum(place, 1 - place) / 0.08) ** 2)
    for start in (0.985 * bpm, 1.015 * bpm):
        assert refine_tempo(onsets, frames_per_s, start)[0] == pytest.approx(bpm, abs=0.05)


def test_autocorrelation_of_a_sine_stays_at_its_power_at_every_period() -> None:
    autocorrelation = unbiased_autocorrelation(np.sin(2 * np.pi * np.arange(2000) / 20))
    np.testing.assert_allclose(autocorrelation[[0, 20, 400, 1000]], 0.5, rtol=1e-2)
    assert autocorrelation[10] == pytest.approx(-0.5, rel=1e-2)


def test_noise_has_a_confidence_below_a_fifth() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((20 * 44_100, 2)).astype(np.float32)
    assert estimate_tempo(noise, 44_100).confidence < 0.2


@pytest.mark.parametrize("frames", [0, 1, 30_000, 441_000])
def test_silence_has_no_tempo(frames: int) -> None:
    assert estimate_tempo(np.zeros((frames, 2), np.float32), 44_100) == Tempo(None, 0.0)


def test_two_seconds_of_music_are_too_short_for_a_tempo() -> None:
    assert estimate_tempo(music(2.0), 44_100) == Tempo(None, 0.0)

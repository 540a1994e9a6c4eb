"""`annotation.key` on scales, chords and songs whose key is known."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.annotation.key import TONICS, Key, estimate_key, key_of_classes
from buscomp.manifests.pcm import Float32
from buscomp.tests.small_dataset import music

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11, 12), "minor": (0, 2, 3, 5, 7, 8, 11, 12)}  # minor: harmonic
TRIADS = {"major": (0, 4, 7, 12), "minor": (0, 3, 7, 12)}


def scale(tonic: int, mode: str, sample_rate: int = 44_100) -> Float32:
    """A scale from `tonic` (semitones above C4), its triad and a cadence: 0.4 s each, three harmonics, stereo."""
    time = np.arange(round(0.4 * sample_rate)) / sample_rate
    notes = SCALES[mode] + TRIADS[mode]
    tones = [
        sum(np.sin(2 * np.pi * n * 261.626 * 2 ** ((tonic + note) / 12) * time) / n for n in (1, 2, 3))
        for note in notes
    ]
    third = 4 if mode == "major" else 3
    chords = ((-24, 0, third, 7), (-19, 0, 5, third + 5), (-17, -1, 2, 7), (-24, 0, third, 7))  # I IV V I over its bass
    tones += [
        sum(
            np.sin(2 * np.pi * n * 261.626 * 2 ** ((tonic + note) / 12) * time) / n for note in chord for n in (1, 2, 3)
        )
        for chord in chords
        for _ in range(4)
    ]
    tone = 0.1 * np.concatenate([t * np.exp(-time / 0.3) for t in tones])
    return np.asarray(np.stack([tone, tone], axis=1), np.float32)


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_key_of_a_scale_and_a_cadence_is_its_tonic_and_mode(tonic: int, mode: str) -> None:
    assert estimate_key(scale(tonic, mode), 44_100).name == f"{TONICS[tonic]} {mode}"


def test_key_of_pitch_classes_moves_with_them_through_all_12_tonics() -> None:
    classes = np.random.default_rng(4).uniform(0, 1, (2, 40, 12))
    first = key_of_classes(classes)
    tonic, mode = str(first.name).split()
    for shift in range(12):
        moved = key_of_classes(np.roll(classes, shift, axis=2))
        assert moved.name == f"{TONICS[(TONICS.index(tonic) + shift) % 12]} {mode}"
        assert moved.confidence == pytest.approx(first.confidence)


def test_next_best_keys_come_with_shares_that_fall_and_do_not_repeat_the_best() -> None:
    key = estimate_key(scale(4, "minor"), 44_100)
    shares = [share for _, share in key.candidates]
    assert shares == sorted(shares, reverse=True)
    assert len({key.name, *(name for name, _ in key.candidates)}) == 4


def test_key_does_not_depend_on_level_or_sample_rate() -> None:
    loud = estimate_key(scale(9, "minor"), 44_100)
    quiet = estimate_key(scale(9, "minor") * np.float32(0.01), 44_100)
    other_rate = estimate_key(scale(9, "minor", 48_000), 48_000)
    assert loud.name == quiet.name == other_rate.name == "A minor"
    assert quiet.confidence == pytest.approx(loud.confidence, abs=0.01)


def test_key_of_a_song_of_chords_over_drums_is_that_of_its_chords() -> None:
    assert estimate_key(music(12, tonic_hz=146.83), 44_100).name == "D major"


@pytest.mark.parametrize("frames", [0, 1, 100_000])
def test_silence_has_no_key(frames: int) -> None:
    assert estimate_key(np.zeros((frames, 2), np.float32), 44_100) == Key(None, 0.0)


def test_a_song_shorter_than_the_longest_filter_is_read_without_a_warning() -> None:
    key = estimate_key(scale(0, "major")[:22_050], 44_100)
    assert key.name in ("C major", "C minor"), "one C with its overtones says nothing of the mode"
    assert 0 <= key.confidence < 0.5 < estimate_key(scale(0, "major"), 44_100).confidence


@pytest.mark.parametrize("notes", [(0,), (0, 4)], ids=["one note", "two notes"])
def test_one_note_or_two_for_30_s_have_a_key_of_a_confidence_of_at_most_0_41(notes: tuple[int, ...]) -> None:
    time = np.arange(30 * 44_100) / 44_100
    audio = sum(np.sin(2 * np.pi * 261.626 * 2 ** (note / 12) * time) for note in notes) * 0.1
    assert estimate_key(np.asarray(audio, np.float32), 44_100).confidence <= 0.41


@pytest.mark.parametrize("seed", range(3))
def test_white_noise_has_a_key_of_a_confidence_below_0_3(seed: int) -> None:
    noise = 0.1 * np.random.default_rng(seed).standard_normal(20 * 44_100)
    assert estimate_key(noise.astype(np.float32), 44_100).confidence < 0.3

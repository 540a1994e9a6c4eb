"""`annotation.key` on scales, chords and songs whose key is known."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.annotation.key import MAJOR, MINOR, TONICS, Key, estimate_key, key_of_chroma
from buscomp.manifests.pcm import Float32
from buscomp.tests.small_dataset import music

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11, 12), "minor": (0, 2, 3, 5, 7, 8, 11, 12)}  # minor: harmonic
TRIADS = {"major": (0, 4, 7, 12), "minor": (0, 3, 7, 12)}


def scale(tonic: int, mode: str, sample_rate: int = 44_100) -> Float32:
    """A scale from `tonic` (semitones above C4) and its triad, one note per 0.4 s, three harmonics, stereo."""
    time = np.arange(round(0.4 * sample_rate)) / sample_rate
    notes = SCALES[mode] + TRIADS[mode]
    tones = [
        sum(np.sin(2 * np.pi * n * 261.626 * 2 ** ((tonic + note) / 12) * time) / n for n in (1, 2, 3))
        for note in notes
    ]
    tone = 0.1 * np.concatenate([t * np.exp(-time / 0.3) for t in tones])
    return np.asarray(np.stack([tone, tone], axis=1), np.float32)


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_key_of_a_scale_and_its_triad_is_its_tonic_and_mode(tonic: int, mode: str) -> None:
    assert estimate_key(scale(tonic, mode), 44_100).name == f"{TONICS[tonic]} {mode}"


def test_key_of_a_profile_itself_is_its_key_in_all_24_rotations() -> None:
    for mode, profile in (("major", MAJOR), ("minor", MINOR)):
        for shift, tonic in enumerate(TONICS):
            key = key_of_chroma(np.roll(profile, shift))
            assert key.name == f"{tonic} {mode}"
            assert 0 < key.confidence <= 1


def test_all_24_names_are_spelled_as_mir_eval_reads_them() -> None:
    names = {key_of_chroma(np.roll(p, n)).name for p in (MAJOR, MINOR) for n in range(12)}
    tonics = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
    assert names == {f"{tonic} {mode}" for tonic in tonics for mode in ("major", "minor")}


def test_confidence_is_the_margin_to_the_second_best_key() -> None:
    between = 0.5 * np.asarray(MAJOR) + 0.5 * np.roll(MAJOR, 7)  # as much C major as G major
    assert key_of_chroma(between).confidence < 0.01 < key_of_chroma(np.asarray(MAJOR)).confidence


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
    assert key.name == "C major"  # the first note, C, with its overtones G and E: no more than half a second holds
    assert 0 <= key.confidence < 0.1, "so little is no evidence"

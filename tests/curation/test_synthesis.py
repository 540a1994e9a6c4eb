"""Instruments are in tune, do not alias and do not click; the room is a room."""

import numpy as np
import pytest

from buscomp.curation.drum_kit import DRUMS
from buscomp.curation.synthesis import (
    SAMPLE_RATE,
    VOICES,
    band,
    bright_tone,
    frequency_of,
    partials,
    plucked,
    room,
    seconds_axis,
)

RANGES = {name: 40 for name in VOICES if "bass" in name}  # MIDI note in the register each is used in; others at G4


def strongest_hz(sound):
    window = np.hanning(len(sound))
    spectrum = np.abs(np.fft.rfft(sound * window, 4 * len(sound)))
    spectrum[: round(35 * 4 * len(sound) / SAMPLE_RATE)] = 0
    top = int(spectrum.argmax())
    left, middle, right = np.log(spectrum[top - 1 : top + 2])
    return (top + 0.5 * (left - right) / (left - 2 * middle + right)) * SAMPLE_RATE / (4 * len(sound))


def test_frequencies_are_equal_tempered_at_a_440():
    assert frequency_of(69) == 440
    assert frequency_of(60) == pytest.approx(261.6256, abs=1e-4)


@pytest.mark.parametrize("name", VOICES)
def test_voice_is_within_12_cents_of_its_note(name):
    frequency_hz = frequency_of(RANGES.get(name, 67))
    sound = VOICES[name](frequency_hz, 1.5, 0.8, np.random.default_rng(1))
    found_hz = strongest_hz(sound[SAMPLE_RATE // 10 :])
    harmonic = round(2 * found_hz / frequency_hz) / 2  # the organ sounds an octave below as well
    assert harmonic >= 0.5
    assert abs(1200 * np.log2(found_hz / (harmonic * frequency_hz))) < 12


@pytest.mark.parametrize("midi", [40, 57, 69, 81])
def test_plucked_string_is_tuned_to_2_cents(midi):
    string = plucked(ring_s=6, damping=0.3, pick=0.15, tone_hz=3000)(
        frequency_of(midi), 2.0, 0.8, np.random.default_rng(2)
    )
    found_hz = strongest_hz(string)
    harmonic = round(found_hz / frequency_of(midi))
    assert abs(1200 * np.log2(found_hz / harmonic / frequency_of(midi))) < 2


@pytest.mark.parametrize("name", VOICES)
def test_voice_starts_and_ends_without_a_step(name):
    for seconds in (0.1, 0.8):
        sound = VOICES[name](frequency_of(RANGES.get(name, 67)), seconds, 1.0, np.random.default_rng(3))
        peak = np.abs(sound).max()
        assert seconds * SAMPLE_RATE <= len(sound) < (seconds + 0.8) * SAMPLE_RATE
        assert np.abs(sound[:4]).max() < 0.06 * peak
        assert np.abs(sound[-8:]).max() < 1e-3 * peak


@pytest.mark.parametrize("name", DRUMS)
def test_drum_starts_and_ends_without_a_step_and_no_two_strokes_are_equal(name):
    random = np.random.default_rng(4)
    one, other = DRUMS[name](random), DRUMS[name](random)
    assert 0.3 < np.abs(one).max() < 1.5
    assert np.abs(one[:2]).max() < 0.05
    assert np.abs(one[-8:]).max() < 1e-3
    assert not np.array_equal(one, other)


def test_bright_tone_does_not_alias_at_the_top_of_the_keyboard():
    frequency_hz = 1763.0
    sound = bright_tone(2 * np.pi * frequency_hz * seconds_axis(1.0), frequency_hz, 0.99)
    power = np.abs(np.fft.rfft(sound * np.blackman(len(sound)))) ** 2
    bins = np.arange(len(power))
    harmonic = np.abs((bins + frequency_hz / 2) % frequency_hz - frequency_hz / 2) < 8
    assert 10 * np.log10(power[~harmonic].sum() / power[harmonic].sum()) < -60
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_partials_are_decaying_sines_and_those_above_18_khz_are_left_out():
    time = seconds_axis(0.3)
    found = partials([440.0, 1234.5, 19_000.0], [1.0, -0.5, 9.0], [0.5, 0.1, 1.0], time)
    expected = np.sin(2 * np.pi * 440 * time) * 10 ** (-3 * time / 0.5)
    expected -= 0.5 * np.sin(2 * np.pi * 1234.5 * time) * 10 ** (-3 * time / 0.1)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_room_has_unit_energy_two_independent_sides_and_the_decay_it_was_given():
    response = room(1.0, np.random.default_rng(5))
    assert np.sum(response**2, axis=0) == pytest.approx([1, 1])
    assert abs(np.corrcoef(response[:, 0], response[:, 1])[0, 1]) < 0.1
    low = band(response, 150, 500, 4)
    remaining = np.cumsum(np.sum(low**2, axis=1)[::-1])[::-1]
    decay_db = 10 * np.log10(remaining / remaining[0])
    fell_s = [np.flatnonzero(decay_db < level)[0] / SAMPLE_RATE for level in (-5, -35)]
    assert 2 * (fell_s[1] - fell_s[0]) == pytest.approx(1.0, rel=0.15)

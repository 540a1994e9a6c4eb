"""Polarity and lag of signals that were moved by a known amount."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.simulator import compress
from buscomp.tests.small_dataset import music
from buscomp.trainer.alignment import loudest, measure_alignment

RATE = 44_100
SONG = music(3.0)


def moved(audio, lag_samples):
    """`audio` (frames, channels) later by any number of samples, by its spectrum."""
    padded = np.pad(audio.astype(np.float64), ((4096, 4096), (0, 0)))
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(len(padded)) * lag_samples)
    return np.fft.irfft(np.fft.rfft(padded, axis=0) * turn[:, None], len(padded), axis=0)[4096:-4096].astype(np.float32)


@given(st.floats(-300, 300), st.sampled_from([1, -1]), st.floats(0.01, 4))
@settings(max_examples=25)
def test_a_lag_of_any_fraction_and_the_polarity_are_found_to_a_fiftieth_of_a_sample(lag, polarity, gain):
    found = measure_alignment((polarity * gain * moved(SONG, lag)).astype(np.float32), SONG)
    assert found is not None
    assert found.polarity == polarity
    assert found.lag_samples == pytest.approx(lag, abs=0.02)


def test_a_compressor_that_takes_12_db_away_moves_nothing():
    output, _ = compress(SONG, RATE, threshold_db=-28, ratio=10, attack_ms=1, release_s=0.1)
    found = measure_alignment(output, SONG)
    assert found is not None
    assert found.polarity == 1
    assert found.lag_samples == pytest.approx(0, abs=0.05)


def test_silence_and_what_resembles_nothing_have_no_alignment():
    noise = np.random.default_rng(1).standard_normal(SONG.shape).astype(np.float32)
    assert measure_alignment(noise, SONG) is None
    assert measure_alignment(0 * SONG, SONG) is None
    assert measure_alignment(SONG, 0 * SONG) is None


def test_the_loudest_part_is_where_the_energy_is():
    audio = np.full((10_000, 2), 0.01, np.float32)
    audio[7000:7500] = 0.5
    assert loudest(audio, 2000) in (6000, 7000)
    assert loudest(audio, 20_000) == 0

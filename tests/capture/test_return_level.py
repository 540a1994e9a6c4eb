"""Clipping at full scale and below, silence, and static gains."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.capture.return_level import flat_tops, gain_alarm, measure_tops, silent_stretch
from buscomp.capture.windows import windows_of
from buscomp.tests.capture_music import song

RATE = 44_100


def sine(hz: float, amplitude: float) -> np.ndarray:
    wave = amplitude * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    return np.stack([wave, wave], axis=1).astype(np.float32)


@pytest.mark.parametrize(("flat", "runs"), [(3, 0), (4, 1), (50, 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_run_at_full_scale_begins_at_four_samples(flat, runs, sign):
    audio = np.zeros((200, 2), np.float32)
    audio[20 : 20 + flat, 1] = sign * (1 - 2**-23)
    assert measure_tops(audio).full_scale_runs == runs
    audio[100 : 100 + flat, 0] = sign
    assert measure_tops(audio).full_scale_runs == 2 * runs
    assert measure_tops(audio).peak == 1


def test_a_loud_sine_at_0_9998_and_a_float_return_beyond_full_scale_are_not_clipped():
    assert measure_tops(sine(50, 0.9998)).full_scale_runs == 0
    assert measure_tops(sine(50, 1.5)).full_scale_runs == 0


def test_a_value_that_is_not_a_number_is_seen_wherever_it_is():
    for at, value in ((0, np.nan), (17_001, np.inf), (RATE - 1, -np.inf)):
        audio = sine(100, 0.5)
        assert measure_tops(audio).finite
        audio[at, 1] = value
        assert not measure_tops(audio).finite


@pytest.mark.parametrize("limit_db", [-3.0, -6.0, -12.0])
def test_flat_tops_below_full_scale_are_those_where_dry_goes_on_moving(limit_db):
    dry = song(3, 4.0)
    peak = np.abs(dry).max()
    noise = 1e-6 * np.random.default_rng(0).standard_normal(dry.shape).astype(np.float32)
    assert flat_tops(dry, dry + noise) == 0
    limit = peak * np.float32(10 ** (limit_db / 20))
    assert flat_tops(dry, np.clip(dry, -limit, limit)) >= 3
    clipped = np.clip(dry, -limit, limit)
    assert flat_tops(clipped, clipped) == 0  # the song itself was clipped when it was made


def test_the_slow_tops_of_a_30_hz_sine_are_not_clipped():
    assert flat_tops(sine(30, 0.1), sine(30, 0.1)) == 0
    assert flat_tops(sine(30, 0.1), np.clip(sine(30, 0.1), -0.09, 0.09)) == 4 * 30 * 2 // 2


def test_a_channel_that_falls_silent_is_located_to_a_window():
    dry = song(1, 4.0)
    wet = dry + 1e-5 * np.random.default_rng(0).standard_normal(dry.shape).astype(np.float32)
    assert silent_stretch(windows_of(dry, wet, RATE), 0, 1e-5) is None
    wet[2 * RATE : 3 * RATE, 1] = 1e-5 * np.random.default_rng(1).standard_normal(RATE)
    windows = windows_of(dry, wet, RATE)
    assert silent_stretch(windows, 0, 1e-5) is None
    assert silent_stretch(windows, 1, 1e-5) == (20, 30)
    wet[2 * RATE + 2 * 4410 : 3 * RATE, 1] = dry[2 * RATE + 2 * 4410 : 3 * RATE, 1]
    assert silent_stretch(windows_of(dry, wet, RATE), 1, 1e-5) is None  # two windows are no proof


def test_38_db_of_reduction_is_not_silence():
    dry = song(1, 4.0)
    assert silent_stretch(windows_of(dry, 0.0126 * dry, RATE), 0, 1e-6) is None
    assert silent_stretch(windows_of(dry, 0.008 * dry, RATE), 0, 1e-6) is not None


@pytest.mark.parametrize(
    ("gains_db", "expected_db", "told"),
    [
        ((0.1, -0.05), (0.0, 0.0), None),
        ((0.3, 0.3), (0.0, 0.0), "+0.30 dB"),
        ((-0.3, -0.25), (0.0, 0.0), "the gain is -0.28 dB"),
        ((0.0, -0.5), (0.0, 0.0), "right is -0.50 dB"),
        ((0.0, -0.5), (0.0, -0.4), None),
        ((0.0, -5.9), None, None),
        ((0.0, -6.1), None, "differ by 6.10 dB"),
        ((-40.0,), None, None),
        ((-40.0,), (0.0,), "-40.00 dB"),
    ],
)
def test_a_static_gain_is_wrong_when_a_channel_is_0_2_db_off_its_calibration(gains_db, expected_db, told):
    found = gain_alarm(np.array(gains_db), None if expected_db is None else np.array(expected_db))
    assert found is None if told is None else told in str(found)

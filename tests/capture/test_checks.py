from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture import checks
from buscomp.capture.checks import Reason
from buscomp.tests.capture_music import song

RATE = 44_100


def test_every_reason_is_a_plain_code_with_a_meaning():
    assert Reason.XRUN.value == "xrun"
    for reason in Reason:
        assert reason == reason.value == reason.name.lower()
        assert len(reason.meaning) > 20


@settings(deadline=None, max_examples=200)
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9))
def test_run_starts_are_all_places_where_so_many_values_are_true(values, length):
    expected = [n for n in range(len(values) - length + 1) if all(values[n : n + length])]
    assert checks.run_starts(np.array(values, bool), length).tolist() == expected


@pytest.mark.parametrize(("flat", "runs"), [(3, 0), (4, 1), (50, 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_clipped_runs_are_four_samples_or_more_at_full_scale(flat, runs, sign):
    audio = np.zeros((200, 2), np.float32)
    audio[20 : 20 + flat, 1] = sign * (1 - 2**-23)
    assert checks.clipped_runs(audio) == runs
    audio[100 : 100 + flat, 0] = sign
    assert checks.clipped_runs(audio) == 2 * runs


def test_a_loud_sine_at_0_9998_and_a_float_return_beyond_full_scale_are_not_clipped():
    sine = np.sin(2 * np.pi * 50 * np.arange(RATE) / RATE)[:, None].astype(np.float32)
    assert checks.clipped_runs(0.9998 * sine) == 0
    assert checks.clipped_runs(np.float32(1.5) * sine) == 0


def test_gain_reduction_of_a_level_step_is_that_step_in_its_windows():
    dry = song(1, 4.0)
    wet = dry * np.where(np.arange(len(dry)) < len(dry) // 2, 1, 10 ** (-6 / 20))[:, None].astype(np.float32)
    windows = checks.windows_of(dry, wet, RATE)
    reduction_db = checks.gain_reduction_db(windows, 0.0)
    half = np.count_nonzero(windows.active[:20])
    assert reduction_db[:half] == pytest.approx(0, abs=1e-4)
    assert reduction_db[half:] == pytest.approx(6, abs=1e-4)
    assert checks.gain_reduction_db(windows, -1.5)[0] == pytest.approx(-1.5, abs=1e-4)


def test_silence_has_no_windows_to_judge():
    windows = checks.windows_of(np.zeros((RATE, 2), np.float32), song(1, 1.0), RATE)
    assert len(checks.gain_reduction_db(windows, 0.0)) == 0
    assert checks.song_correlation(windows) is None
    assert checks.side_correlation(windows) is None


def test_correlation_is_1_for_the_song_at_any_gain_and_near_0_for_others():
    dry = song(1, 5.0)
    assert checks.song_correlation(checks.windows_of(dry, 0.1 * dry, RATE)) == pytest.approx(1, abs=1e-3)
    for seed in range(2, 12):
        assert checks.song_correlation(checks.windows_of(dry, song(seed, 5.0), RATE)) == pytest.approx(0, abs=0.3)


def test_a_song_with_opposite_channels_is_recognised_by_its_side():
    dry = song(1, 4.0, width=0.0) * np.array([1, -1], np.float32)
    assert checks.song_correlation(checks.windows_of(dry, dry, RATE)) == pytest.approx(1, abs=1e-3)


def test_side_correlation_is_minus_1_for_exchanged_channels_and_none_for_mono():
    dry = song(1, 4.0)
    assert checks.side_correlation(checks.windows_of(dry, dry, RATE)) == pytest.approx(1, abs=1e-3)
    assert checks.side_correlation(checks.windows_of(dry, dry[:, ::-1], RATE)) == pytest.approx(-1, abs=1e-3)
    mono = song(1, 4.0, width=0.0)
    assert checks.side_correlation(checks.windows_of(mono, mono, RATE)) is None


def test_channel_gains_of_the_probe_are_taken_out_before_channels_are_compared():
    dry = song(1, 4.0, width=0.5)
    gains = np.array([-0.5, 0.6])
    windows = checks.windows_of(dry, (dry * gains).astype(np.float32), RATE, gains)
    assert checks.side_correlation(windows) == pytest.approx(1, abs=1e-3)
    assert np.abs(checks.gain_reduction_db(windows, 0.0)).max() < 1e-3


@pytest.mark.parametrize("lag", checks.REPEAT_LAGS)
def test_a_block_repeated_to_the_last_bit_is_found_at_every_driver_period(lag):
    dry = song(1, 2.0)
    wet = dry + 1e-5 * np.random.default_rng(0).standard_normal(dry.shape).astype(np.float32)
    assert not checks.lost_blocks(dry, wet)
    wet[40_000 : 40_000 + lag] = wet[40_000 - lag : 40_000]
    assert checks.lost_blocks(dry, wet)


def test_zeros_are_a_hole_only_where_dry_sounds():
    dry = song(1, 2.0)  # its first 0.2 s are silent
    assert not dry[:8000].any()
    assert not checks.lost_blocks(dry, dry)
    wet = dry.copy()
    wet[40_000:40_032, 1] = 0
    assert checks.lost_blocks(dry, wet)
    wet[40_000:40_032, 1] = dry[40_000:40_032, 1]
    wet[40_000:40_031, 1] = 0
    assert not checks.lost_blocks(dry, wet)


def test_a_steady_tone_that_repeats_itself_is_no_repeated_block():
    tone = np.tile(np.sin(2 * np.pi * np.arange(64) / 64), 1000)[:, None].repeat(2, axis=1).astype(np.float32)
    assert not checks.lost_blocks(tone, 0.5 * tone)


def test_local_residual_is_small_under_a_moving_gain_and_near_1_for_a_strange_block():
    dry = song(3, 3.0)
    gain = np.exp(np.cumsum(np.random.default_rng(0).choice([-1, 1], len(dry) // 441 + 1)) * 0.2).repeat(441)
    wet = dry * np.convolve(gain, np.ones(100) / 100, "same")[: len(dry), None].astype(np.float32)
    residual = checks.local_residual(dry, wet, 1e-5)
    assert len(residual) == 2 * ((len(dry) - 1) // 64) - 1
    assert residual[50:-50].max() < 0.3
    wet[60_000:60_256] = dry[59_000:59_256]
    residual = checks.local_residual(dry, wet, 1e-5)
    assert 60_000 // 32 - 2 <= residual.argmax() <= 60_256 // 32
    assert checks.damaged_near(residual, [60_000 // 1024 * 1024], 1024)
    assert not checks.damaged_near(residual, [20_000, 80_000], 1024)

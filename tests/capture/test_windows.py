from __future__ import annotations

import numpy as np
import pytest

from buscomp.capture.windows import gain_reduction_db, windows_of
from buscomp.tests.capture_music import song

RATE = 44_100


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_windows_hold_the_inner_products_of_all_channels(channels):
    random = np.random.default_rng(0)
    dry, wet = random.standard_normal((2, 10_000, channels)).astype(np.float32)
    gains = np.linspace(-0.5, 2, channels)
    windows = windows_of(dry, wet, RATE, gains)
    assert windows.frames == 4410
    assert len(windows.dry) == len(windows.wet) == 2
    d, w = dry[4410:8820].astype(np.float64), wet[4410:8820] / gains
    assert windows.dry[1] == pytest.approx(d.T @ d, rel=1e-5)
    assert windows.cross[1] == pytest.approx(d.T @ w, rel=1e-4, abs=1e-2)
    assert windows.wet[1] == pytest.approx(w.T @ w, rel=1e-5)


def test_windows_are_active_above_minus_60_dbfs_on_all_channels_or_on_each():
    dry = np.zeros((3 * 4410, 2), np.float32)
    dry[4410:8820, 0] = 1.5e-3  # -56.5 dBFS alone, -59.5 with the silent one
    dry[8820:, 1] = 0.9e-3
    windows = windows_of(dry, dry, RATE)
    assert windows.active.tolist() == [False, True, False]
    assert windows.active_channels.tolist() == [[False, False], [True, False], [False, False]]
    assert windows.without(0, 2).active.tolist() == [False]


def test_gain_reduction_of_a_level_step_is_that_step_in_its_windows():
    dry = song(1, 4.0)
    wet = dry * np.where(np.arange(len(dry)) < len(dry) // 2, 1, 10 ** (-6 / 20))[:, None].astype(np.float32)
    windows = windows_of(dry, wet, RATE)
    reduction_db = gain_reduction_db(windows, 0.0)
    half = np.count_nonzero(windows.active[:20])
    assert reduction_db[:half] == pytest.approx(0, abs=1e-4)
    assert reduction_db[half:] == pytest.approx(6, abs=1e-4)
    assert gain_reduction_db(windows, -1.5)[0] == pytest.approx(-1.5, abs=1e-4)


def test_silence_has_no_active_windows_and_no_reduction():
    windows = windows_of(np.zeros((RATE, 2), np.float32), song(1, 1.0), RATE)
    assert len(windows.dry) == 10
    assert len(gain_reduction_db(windows, 0.0)) == 0

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from buscomp.capture.fingerprint_signal import (
    CARRIER_HZ,
    LOW_HZ,
    QUIET_DBFS,
    STAIRS_DBFS,
    fingerprint_parts,
    fingerprint_signal,
)
from buscomp.manifests.levels import peak_dbfs

RATES = [44_100, 48_000, 96_000]


@pytest.mark.parametrize("rate", RATES)
def test_it_lasts_under_6_s_and_peaks_at_minus_1_dbfs_on_every_channel(rate):
    sent = fingerprint_signal(rate)
    assert sent.dtype == np.float32
    assert sent.shape[1] == 2
    assert len(sent) < 6 * rate
    assert peak_dbfs(sent) == pytest.approx(-1.0, abs=0.02)
    assert np.array_equal(sent[:, 0], sent[:, 1])


@pytest.mark.parametrize("rate", RATES)
def test_windows_lie_side_by_side_and_the_shortest_is_half_a_period_of_0_11_ms(rate):
    signal = fingerprint_parts(rate)
    edges = [(window.start, window.stop) for window in signal.windows]
    assert edges[0][0] == 0
    assert edges[-1][1] == len(signal.wave)
    assert all(before[1] == after[0] for before, after in pairwise(edges))
    shortest_s = min(stop - start for start, stop in edges) / rate
    assert shortest_s == pytest.approx(1 / (2 * CARRIER_HZ), rel=0.1)
    assert len(set(signal.names)) == len(signal.names) < 300


@pytest.mark.parametrize("rate", RATES)
def test_every_change_of_level_falls_on_a_zero_of_the_wave(rate):
    signal = fingerprint_parts(rate)
    begins = [window.start for window in signal.windows if window.name.endswith("@0ms")]
    assert np.abs(signal.wave[begins]).max() < 1e-6


def test_quiet_parts_stay_under_the_lowest_threshold_and_stairs_climb_by_a_dot_of_the_pot():
    signal = fingerprint_parts(44_100)
    for window in signal.windows:
        part = window.name.split("@")[0].rstrip("_0123456789")
        if part in ("quiet", "gap", "release", "low_quiet", "last"):
            assert peak_dbfs(signal.wave[window.start : window.stop]) <= QUIET_DBFS + 0.01
    assert np.all(np.diff(STAIRS_DBFS) == 4)
    assert (STAIRS_DBFS[0], STAIRS_DBFS[-1]) == (-41, -1)


def test_low_tone_is_50_hz_and_is_compared_with_a_quiet_tone_of_its_own():
    signal = fingerprint_parts(44_100)
    spectrum = np.abs(np.fft.rfft(signal.wave[signal.low]))
    assert spectrum.argmax() * 44_100 / (signal.low.stop - signal.low.start) == pytest.approx(LOW_HZ, rel=0.01)
    baselines = {signal.names[w.baseline] for w in signal.windows if w.name.startswith("low@")}
    assert baselines == {"low_quiet@0ms"}


def test_projection_reads_the_gain_of_each_window():
    signal = fingerprint_parts(44_100)
    steps = np.repeat(np.linspace(1, 0.5, len(signal.windows)), [w.stop - w.start for w in signal.windows])
    assert signal.project(signal.wave * steps) == pytest.approx(np.linspace(1, 0.5, len(signal.windows)), abs=1e-6)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from buscomp.capture.probe import PROBE_PEAK_DBFS, make_probe
from buscomp.capture.simulator import KNEE_DB, compress
from buscomp.manifests.unit import load_unit

UNIT_PATH = Path(__file__).parents[2] / "capture" / "ssl-500-bus.yaml"


@pytest.mark.parametrize("sample_rate", [44_100, 48_000, 96_000])
def test_probe_is_half_a_second_at_its_peak_and_silent_at_both_ends(sample_rate):
    probe = make_probe(sample_rate)
    assert probe.shape == (sample_rate // 2,)
    assert probe.dtype == np.float32
    assert 20 * np.log10(np.abs(probe).max()) == pytest.approx(PROBE_PEAK_DBFS, abs=0.01)
    assert np.abs(probe[[0, -1]]).max() < 1e-6


def test_probe_sweeps_from_20_hz_to_20_khz_by_equal_octaves():
    probe = make_probe(44_100).astype(float)
    crossings = np.flatnonzero(np.diff(np.signbit(probe))) / 44_100
    for time_s in (0.1, 0.25, 0.4):
        near = crossings[np.abs(crossings - time_s) < 0.02]
        rate_hz = 0.5 / np.diff(near)
        expected_hz = 20 * 1000 ** (((near[1:] + near[:-1]) / 2) / 0.5)
        assert np.median(rate_hz / expected_hz) == pytest.approx(1, abs=0.02)


def test_probe_is_under_the_lowest_threshold_of_the_shipped_unit_and_passes_it_untouched():
    lowest_db = min(load_unit(UNIT_PATH).controls["threshold_db"].numbers)
    assert lowest_db - KNEE_DB / 2 > PROBE_PEAK_DBFS
    probe = np.repeat(make_probe(44_100)[:, None], 2, axis=1)
    output, _ = compress(probe, 44_100, threshold_db=lowest_db, ratio=10, attack_ms=0.1, release_s=0.1)
    assert np.array_equal(output, probe)

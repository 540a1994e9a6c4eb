"""DC, hum and noise of a quarter second of silence, each without the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.quiet import dc_alarm, hum_alarm, measure_quiet, noise_alarm

RATE = 44_100


def silence(noise_dbfs: float = -100.0, seed: int = 0, seconds: float = 0.25) -> np.ndarray:
    frames = round(seconds * RATE)
    noise: np.ndarray = np.random.default_rng(seed).standard_normal((frames, 2))
    return 10 ** (noise_dbfs / 20) * noise


def hum(level_dbfs: float, mains_hz: float, phase: float = 1.0, harmonics: int = 1) -> np.ndarray:
    time_s = np.arange(RATE // 4) / RATE
    waves = sum(0.5**k * np.sin(2 * np.pi * mains_hz * (k + 1) * time_s + (k + 1) * phase) for k in range(harmonics))
    power = sum(0.25**k for k in range(harmonics)) / 2
    return np.asarray(10 ** (level_dbfs / 20) / np.sqrt(power) * waves)[:, None]


def alarms(audio: np.ndarray, expected_noise_dbfs: float | None = -100.0) -> list[str]:
    quiet = measure_quiet(audio.astype(np.float32), RATE)
    found = {"dc": dc_alarm(quiet), "hum": hum_alarm(quiet), "noise": noise_alarm(quiet, expected_noise_dbfs)}
    return [name for name, told in found.items() if told]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([50.0, 60.0]), st.floats(-90, -50), st.floats(0, 6.28), st.integers(1, 5), st.integers(0, 99))
def test_hum_reads_its_level_and_its_mains(mains_hz, level_dbfs, phase, harmonics, seed):
    quiet = measure_quiet((silence(seed=seed) + hum(level_dbfs, mains_hz, phase, harmonics)).astype(np.float32), RATE)
    assert quiet.hum_dbfs == pytest.approx(level_dbfs, abs=0.4)
    assert quiet.mains_hz == mains_hz
    assert quiet.hum_prominence_db > 20
    assert quiet.noise_floor_dbfs == pytest.approx(-100, abs=0.5)
    assert abs(quiet.dc_offset) < 3e-5


def test_noise_of_minus_70_dbfs_is_no_hum_and_reads_minus_70():
    quiet = measure_quiet(silence(-70).astype(np.float32), RATE)
    assert quiet.noise_floor_dbfs == pytest.approx(-70, abs=0.2)
    assert quiet.hum_dbfs < -80
    assert abs(quiet.hum_prominence_db) < 12


def test_dc_reads_its_value_and_sign_and_enters_nothing_else():
    quiet = measure_quiet((silence() + np.array([0.0, -2e-3])).astype(np.float32), RATE)
    assert quiet.dc_offset == pytest.approx(-2e-3, rel=1e-3)
    assert quiet.hum_dbfs < -110
    assert quiet.noise_floor_dbfs == pytest.approx(-100, abs=0.3)


def test_each_fault_raises_its_own_alarm_alone():
    assert alarms(silence()) == []
    assert alarms(silence() + 6e-4) == ["dc"]
    assert alarms(silence() + 4e-4) == []
    for mains_hz in (50, 60):
        assert alarms(silence() + hum(-78, mains_hz, harmonics=3)) == ["hum"]
        assert alarms(silence() + hum(-60, mains_hz, harmonics=3)) == ["hum"]
        assert alarms(silence() + hum(-83, mains_hz, harmonics=3)) == []
    assert alarms(silence(-93)) == ["noise"]
    assert alarms(silence(-95)) == []


def test_100_silences_of_noise_at_minus_75_dbfs_hold_no_hum():
    assert not any("hum" in alarms(silence(-75, seed)) for seed in range(100))


def test_without_a_calibration_noise_is_an_alarm_above_minus_60_dbfs():
    assert alarms(silence(-61), None) == []
    assert alarms(silence(-59), None) == ["noise"]
    assert alarms(silence(-59), -70) == alarms(silence(-59), -58) == ["noise"]


def test_a_calibration_of_digital_zeros_lets_noise_of_minus_115_dbfs_pass():
    assert alarms(silence(-115), -200) == []
    assert alarms(silence(-113), -200) == ["noise"]


def test_digital_silence_reads_minus_200():
    quiet = measure_quiet(np.zeros((RATE // 4, 2), np.float32), RATE)
    assert (quiet.dc_offset, quiet.hum_dbfs, quiet.noise_floor_dbfs, quiet.hum_prominence_db) == (0, -200, -200, 0)

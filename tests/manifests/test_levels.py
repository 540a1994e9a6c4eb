"""`manifests.levels` on signals whose level is known."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.manifests import levels
from buscomp.manifests.pcm import Float32


def sine(
    hz: float, amplitude: float = 1.0, seconds: float = 5.0, sample_rate: int = 44_100, phase: float = 0.0
) -> Float32:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = amplitude * np.sin(2 * np.pi * hz * time + phase)
    return np.stack([tone, tone], axis=1).astype(np.float32)


def test_a_full_scale_sine_has_0_dbfs_peak_and_minus_3_01_dbfs_rms() -> None:
    tone = sine(1000)
    assert levels.peak_dbfs(tone) == pytest.approx(0, abs=0.01)
    assert levels.rms_dbfs(tone) == pytest.approx(-3.0103, abs=1e-3)


def test_true_peak_of_a_quarter_rate_sine_at_45_degrees_is_3_db_above_its_samples() -> None:
    fade = np.minimum(1, np.minimum(np.arange(44_100), np.arange(44_100)[::-1]) / 4410)[:, np.newaxis]
    tone = (sine(11_025, 0.5, 1.0, phase=np.pi / 4) * fade).astype(np.float32)
    assert levels.peak_dbfs(tone) == pytest.approx(-9.03, abs=0.01)
    assert levels.true_peak_dbtp(tone, 44_100) == pytest.approx(-6.02, abs=0.05)


def test_true_peak_is_never_below_the_sample_peak() -> None:
    click = np.zeros((1000, 2), np.float32)
    click[500] = 0.9
    assert levels.true_peak_dbtp(click, 44_100) >= levels.peak_dbfs(click)


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_loudness_of_a_1_khz_stereo_sine_at_minus_23_dbfs_is_minus_23_lufs(sample_rate: int) -> None:
    tone = sine(1000, levels.from_db(-23), 10.0, sample_rate)
    assert levels.loudness_lufs(tone, sample_rate) == pytest.approx(-23, abs=0.05)


@pytest.mark.parametrize(("audio", "why"), [(sine(1000, seconds=0.39), "short"), (np.zeros((44_100, 2)), "silent")])
def test_loudness_is_none_where_it_is_not_defined(audio: Float32, why: str) -> None:
    assert levels.loudness_lufs(audio, 44_100) is None, why


def test_clipped_runs_counts_each_side_and_each_channel() -> None:
    tone = sine(100, 0.9, 0.1)  # ten periods
    assert levels.clipped_runs(tone) == 0
    clipped = np.clip(tone, -0.5, 0.5)
    assert levels.clipped_runs(clipped) == 2 * 20
    clipped[:, 1] = tone[:, 1]
    assert levels.clipped_runs(clipped) == 20


@pytest.mark.parametrize(("length", "runs"), [(3, 0), (4, 1), (50, 1)])
def test_a_run_begins_at_four_samples(length: int, runs: int) -> None:
    audio = sine(440, 0.5, 0.02)[:, :1].copy()
    audio[100 : 100 + length] = 1.0
    assert levels.clipped_runs(audio) == runs


@pytest.mark.parametrize("frames", [0, 100])
def test_silence_reads_minus_200_db_and_no_clipped_runs(frames: int) -> None:
    silence = np.zeros((frames, 2), np.float32)
    assert levels.peak_dbfs(silence) == levels.rms_dbfs(silence) == levels.true_peak_dbtp(silence, 44_100) == -200
    assert levels.clipped_runs(silence) == 0


def test_db_and_from_db_are_inverse() -> None:
    assert levels.db(levels.from_db(-12)) == pytest.approx(-12)
    assert levels.db(0) == -200

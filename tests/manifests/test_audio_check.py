"""One file against its row: length, hash, level, and its place in time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.manifests.audio_check import Expected, check_audio
from buscomp.manifests.lag import measure_lag
from buscomp.manifests.levels import from_db, loudness_lufs, peak_dbfs
from buscomp.manifests.pcm import Float32, pcm_sha256, quantise, to_float, write_flac
from buscomp.tests.small_dataset import music

RATE = 44_100
DRY = music(3.0)


def compressed(audio: Float32) -> Float32:
    """A crude compressor: gain falls with the level of the last 10 ms, by up to 12 dB."""
    level = scipy.signal.lfilter([1 / 441], [1, -440 / 441], np.abs(audio).mean(axis=1))
    return np.asarray(audio * np.minimum(1, (0.03 / np.maximum(level, 1e-6)) ** 0.75)[:, None], np.float32)


def late(audio: Float32, samples: int) -> Float32:
    """`audio` later by `samples` (earlier when negative), of the same length."""
    moved = np.roll(audio, samples, axis=0)
    moved[slice(0, samples) if samples >= 0 else slice(samples, None)] = 0
    return moved


def file_of(root: Path, audio: Float32, relative: str = "wet/s/a.flac") -> Expected:
    """`audio` as a file, and what a true table says of it."""
    pcm = quantise(audio)
    write_flac(root / relative, pcm, RATE)
    stored = to_float(pcm)
    return Expected(
        relative,
        pcm_sha256(pcm),
        len(pcm),
        RATE,
        audio.shape[1],
        peak_dbfs(stored),
        loudness_lufs(stored, RATE),
        dry_path="dry/a.flac",
    )


@pytest.fixture(name="root")
def root_fixture(tmp_path: Path) -> Path:
    write_flac(tmp_path / "dry" / "a.flac", quantise(DRY), RATE)
    return tmp_path


def kinds(root: Path, expected: Expected) -> list[str]:
    return [finding.kind for finding in check_audio(str(root), expected)]


@pytest.mark.parametrize(
    "audio", [DRY, -DRY, compressed(DRY), DRY[:, :1]], ids=["itself", "inverted", "compressed", "mono"]
)
def test_a_take_that_lies_where_its_dry_audio_lies_is_right(root: Path, audio: Float32) -> None:
    assert kinds(root, file_of(root, audio)) == []


@pytest.mark.parametrize("samples", [3, -3, 137, -500, 8_583, 30_000])
def test_a_take_that_lags_by_three_samples_or_more_is_misaligned_and_the_lag_is_told(root: Path, samples: int) -> None:
    (found,) = check_audio(str(root), file_of(root, late(compressed(DRY), samples)))
    assert found.kind == "misaligned"
    assert f"lags its dry audio by {samples} samples" in found.detail


def test_a_lag_that_the_tables_allow_for_is_right(root: Path) -> None:
    """Of a digital unit behind a loopback pair, which takes the converters' latency out and leaves the unit's own."""
    expected = file_of(root, late(DRY, 64))
    assert kinds(root, replace(expected, lag_samples=64.3)) == []
    assert kinds(root, replace(expected, lag_samples=0.3)) == ["misaligned"]


def test_the_take_of_another_song_follows_its_dry_audio_nowhere(root: Path) -> None:
    other = music(3.0, tempo_bpm=93.0, tonic_hz=185.0)[::-1].copy()
    (found,) = check_audio(str(root), file_of(root, other))
    assert found.kind == "misaligned"
    assert "nothing in it follows" in found.detail


@pytest.mark.parametrize("wet", [np.zeros_like(DRY), DRY], ids=["silent wet", "no dry file"])
def test_where_nothing_can_be_said_of_the_lag_nothing_is_said(root: Path, wet: Float32) -> None:
    expected = replace(file_of(root, wet), loudness_lufs=None)
    if wet.any():
        (root / "dry" / "a.flac").unlink()
    assert kinds(root, expected) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"peak_dbfs": -12.02}, "its peak is -12.00 dBFS, the table says -12.02"),
        ({"loudness_lufs": -70.0}, "the table says -70.00 LUFS"),
    ],
)
def test_a_level_that_the_table_gives_otherwise_is_a_finding_of_its_own(
    root: Path, change: dict[str, Any], told: str
) -> None:
    (found,) = check_audio(str(root), replace(file_of(root, DRY), **change))
    assert found.kind == "level"
    assert told in found.detail


def test_other_channels_than_the_table_says_are_corrupt(root: Path) -> None:
    assert kinds(root, replace(file_of(root, DRY[:, :1]), channels=2)) == ["corrupt"]


@settings(max_examples=40)
@given(
    lag=st.integers(-4000, 4000),
    gain_db=st.floats(-40, 0),
    noise_db=st.floats(-100, -25),
    seed=st.integers(0, 1000),
)
def test_the_lag_of_a_delayed_noisy_copy_is_its_delay(lag: int, gain_db: float, noise_db: float, seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(DRY.shape)
    wet = from_db(gain_db) * (late(DRY, lag) + from_db(noise_db - 40) * noise)
    found = measure_lag(DRY[:32768], np.asarray(wet, np.float32)[:32768])
    assert found is not None
    assert found.samples == lag
    assert found.resemblance > 0.5

"""Integrated loudness against known values of EBU Tech 3341 and against pyloudnorm."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.manifests.loudness import integrated_lufs, k_weighting

STANDARD_48K = (  # ITU-R BS.1770-5, tables 1 and 2
    (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585),
    (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621),
)


def tone(level_dbfs: float, seconds: float, sample_rate: int = 44_100, hz: float = 1000.0) -> np.ndarray:
    wave = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)
    return np.stack([wave, wave], axis=1)


def test_at_48_khz_the_weighting_is_that_of_the_standard() -> None:
    for designed, printed in zip(k_weighting(48_000), STANDARD_48K, strict=True):
        assert designed == pytest.approx(printed, abs=1e-9)


@pytest.mark.parametrize("sample_rate", [44_100, 48_000, 96_000])
def test_1_khz_at_minus_23_dbfs_is_minus_22_99_lufs_at_any_rate(sample_rate: int) -> None:
    assert integrated_lufs(tone(-23, 20, sample_rate), sample_rate) == pytest.approx(
        -22.99 if sample_rate < 96_000 else -23.01, abs=0.006
    )


@pytest.mark.parametrize(
    ("parts", "lufs"),
    [
        (((-33, 20),), -33),  # EBU Tech 3341, cases 2 to 5
        (((-36, 10), (-23, 60), (-36, 10)), -23),
        (((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)), -23),
        (((-26, 20), (-20, 20.1), (-26, 20)), -23),
    ],
)
def test_the_gates_of_ebu_3341_are_kept_within_its_tenth_of_a_lu(
    parts: tuple[tuple[float, float], ...], lufs: float
) -> None:
    audio = np.concatenate([tone(level_dbfs, seconds) for level_dbfs, seconds in parts])
    assert integrated_lufs(audio, 44_100) == pytest.approx(lufs, abs=0.1)


def test_a_full_scale_997_hz_sine_on_one_channel_of_any_number_is_minus_3_01_lufs() -> None:
    wave = np.sin(2 * np.pi * 997 * np.arange(10 * 48_000) / 48_000)
    for channels in (1, 2, 3):
        audio = np.zeros((len(wave), channels))
        audio[:, -1] = wave
        assert integrated_lufs(audio, 48_000) == pytest.approx(-3.01, abs=0.005)
    surround = np.zeros((len(wave), 5))
    surround[:, 4] = wave
    assert integrated_lufs(surround, 48_000) == pytest.approx(-3.01 + 10 * np.log10(1.41), abs=0.005)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([22_050, 44_100, 48_000]),
    st.integers(1, 5),
    st.floats(1.0, 4.0),
    st.floats(0, 0.2),
)
def test_it_reads_0_to_0_1_lu_above_pyloudnorm(seed, sample_rate, channels, seconds, dc) -> None:
    random = np.random.default_rng(seed)
    frames = round(seconds * 10) * sample_rate // 10
    level = 10 ** (random.uniform(-30, 0, (frames * 10 // sample_rate + 1, 1)) / 20)
    audio = 0.1 * random.standard_normal((frames, channels)) * np.repeat(level, sample_rate // 10, axis=0)[:frames] + dc
    peer = pyloudnorm.Meter(sample_rate).integrated_loudness(audio)
    ours = integrated_lufs(audio, sample_rate)
    assert ours is not None
    # pyloudnorm's high-pass is 20 log10 of its scaling too low, the less the higher the rate
    assert ours - peer == pytest.approx(0.047 * 44_100 / sample_rate, abs=0.02)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_channels_in_pairs_read_the_same_as_each_alone(channels: int) -> None:
    audio = 0.1 * np.random.default_rng(3).standard_normal((44_100 * 2, channels))
    together = integrated_lufs(audio, 44_100)
    alone = [integrated_lufs(audio[:, [channel]], 44_100) for channel in range(channels)]
    assert together == pytest.approx(10 * np.log10(sum(10 ** (lufs / 10) for lufs in alone if lufs)), abs=0.01)


def test_what_is_short_silent_or_not_a_number_has_no_loudness() -> None:
    assert integrated_lufs(tone(-20, 0.399), 44_100) is None
    assert integrated_lufs(tone(-20, 0.4), 44_100) is not None
    assert integrated_lufs(np.zeros((44_100, 2)), 44_100) is None
    assert integrated_lufs(tone(-75, 2), 44_100) is None  # under the absolute gate
    broken = tone(-20, 2)
    broken[1000, 0] = np.nan
    assert integrated_lufs(broken, 44_100) is None

"""Loudness and its range against known values of EBU Tech 3341 and 3342, libebur128 and pyloudnorm."""

from __future__ import annotations

import numpy as np
import pyebur128
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.manifests.loudness import integrated_lufs, k_weighting, measure_loudness, range_of, step_powers

STANDARD_48K = (  # ITU-R BS.1770-5, tables 1 and 2
    (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585),
    (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621),
)


def tone(level_dbfs: float, seconds: float, sample_rate: int = 44_100, hz: float = 1000.0) -> np.ndarray:
    wave = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)
    return np.stack([wave, wave], axis=1)


def parts_of(parts: list[tuple[float, float]], sample_rate: int = 48_000) -> np.ndarray:
    """Successive 1 kHz tones of level (dBFS) and length (s)."""
    return np.concatenate([tone(level_dbfs, seconds, sample_rate) for level_dbfs, seconds in parts])


def libebur128(audio: np.ndarray, sample_rate: int) -> tuple[float, float]:
    """Integrated loudness and loudness range."""
    modes = pyebur128.MeasurementMode
    state = pyebur128.R128State(audio.shape[1], sample_rate, modes.MODE_I | modes.MODE_LRA)
    state.add_frames(np.ascontiguousarray(audio, np.float32).reshape(-1), len(audio))
    return pyebur128.get_loudness_global(state), pyebur128.get_loudness_range(state)


def programme(seed: int, seconds: float, sample_rate: int) -> np.ndarray:
    """Stereo noise whose level and colour wander."""
    random = np.random.default_rng(seed)
    frames = round(seconds * sample_rate)
    level = np.interp(np.arange(frames), np.linspace(0, frames, 9), 10 ** (random.uniform(-45, 0, 9) / 20))
    noise = random.standard_normal((frames, 2))
    dull = np.cumsum(noise - noise.mean(axis=0), axis=0)
    return np.asarray(0.2 * level[:, np.newaxis] * (0.3 * noise + dull / np.abs(dull).max()))


VECTORS: dict[str, list[tuple[float, float]]] = {  # EBU Tech 3341: cases 1 to 5, and the peaks of a left channel alone
    "case 1": [(-23, 20)],
    "case 2": [(-33, 20)],
    "case 3": [(-36, 10), (-23, 60), (-36, 10)],
    "case 4": [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
    "case 5": [(-26, 20), (-20, 20.1), (-26, 20)],
}


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
@pytest.mark.parametrize("name", VECTORS)
def test_ebu_vectors_read_as_libebur128_does_within_a_thousandth_of_a_lu(name: str, sample_rate: int) -> None:
    audio = parts_of(VECTORS[name], sample_rate)
    assert integrated_lufs(audio, sample_rate) == pytest.approx(libebur128(audio, sample_rate)[0], abs=0.001)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.floats(3.5, 20.0), st.sampled_from([32_000, 44_100, 48_000, 96_000]))
def test_programmes_read_as_libebur128_does(seed: int, seconds: float, sample_rate: int) -> None:
    audio = programme(seed, seconds, sample_rate)
    lufs, range_lu = libebur128(audio, sample_rate)
    assert integrated_lufs(audio, sample_rate) == pytest.approx(lufs, abs=0.001)
    powers = step_powers(audio, sample_rate)
    seconds_apart = np.convolve(powers, np.full(30, 1 / 30), "valid")[::10]  # it looks once a second, we ten times
    assert range_of(seconds_apart) == pytest.approx(range_lu, abs=0.001)


@pytest.mark.parametrize(
    ("parts", "range_lu"),
    [
        ([(-20, 20), (-30, 20)], 10),  # EBU Tech 3342, cases 1 to 4
        ([(-20, 20), (-15, 20)], 5),
        ([(-40, 20), (-20, 20)], 20),
        ([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15),
    ],
)
def test_the_loudness_range_of_ebu_3342_is_kept_within_its_1_lu(parts: list[tuple[float, float]], range_lu) -> None:
    assert measure_loudness(parts_of(parts), 48_000).range_lu == pytest.approx(range_lu, abs=0.1)


@pytest.mark.parametrize("seconds", [0.4, 0.75, 1.0, 3.3, 3.99, 7.0])
def test_a_length_that_is_no_multiple_of_anything_reads_as_libebur128_does(seconds: float) -> None:
    audio = programme(5, seconds, 44_100) + 0.3  # with DC
    assert integrated_lufs(audio, 44_100) == pytest.approx(libebur128(audio, 44_100)[0], abs=0.001)


def test_under_3_s_there_is_loudness_but_no_range() -> None:
    short = measure_loudness(tone(-20, 2.9), 44_100)
    assert short.integrated_lufs == pytest.approx(-20, abs=0.05)
    assert short.range_lu is None
    assert measure_loudness(tone(-20, 3), 44_100).range_lu == 0
    assert measure_loudness(np.zeros((44_100 * 4, 2)), 44_100).range_lu is None


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

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from buscomp.capture.analogue import HALF_BAND, Colour, Latency, convert, noise_key, read_late
from buscomp.capture.latency import measure_latency
from buscomp.capture.probe import make_probe
from buscomp.capture.specimen import Specimen

RATE = 44_100
FRAMES = 1 << 16


def tone(cycles: int, level_dbfs: float = 0.0) -> np.ndarray:
    """A sine with so many whole cycles in `FRAMES`, (1, 2 * FRAMES): the second half is free of what began."""
    return (10 ** (level_dbfs / 20) * np.sin(2 * np.pi * cycles * np.arange(2 * FRAMES) / FRAMES))[None].astype("f4")


def spectrum_db(audio: np.ndarray) -> np.ndarray:
    """Level of every whole number of cycles, dB re a full-scale sine."""
    return 20 * np.log10(np.abs(np.fft.rfft(audio[0, FRAMES:].astype(float))) / (FRAMES / 2) + 1e-12)


def coloured(audio: np.ndarray, **specimen: float) -> np.ndarray:
    return Colour(Specimen(**specimen), RATE, len(audio)).through(audio)  # type: ignore[arg-type]


@pytest.mark.parametrize("cycles", [1501, 4001, 9001])
def test_a_full_scale_tone_has_0_05_percent_second_and_0_025_percent_third_harmonic(cycles):
    found = spectrum_db(coloured(tone(cycles), second=5e-4, third=2.5e-4))
    assert found[cycles] == pytest.approx(0, abs=0.01)  # saturation
    assert found[2 * cycles] == pytest.approx(20 * np.log10(5e-4), abs=0.15)
    if 3 * cycles < FRAMES / 2 * 14.7 / 22.05:
        assert found[3 * cycles] == pytest.approx(20 * np.log10(2.5e-4), abs=0.15)


def test_harmonics_fall_with_the_level_by_1_and_2_db_per_db():
    loud, soft = (spectrum_db(coloured(tone(1501, level), second=1e-2, third=1e-2)) for level in (0, -20))
    assert loud[3002] - soft[3002] == pytest.approx(40, abs=0.05)
    assert loud[4503] - soft[4503] == pytest.approx(60, abs=0.1)


def test_the_half_band_filter_rejects_79_db_where_aliases_come_from():
    frequency = np.linspace(0, np.pi, 4001)  # of twice the rate
    offsets = np.arange(len(HALF_BAND)) - len(HALF_BAND) / 2 + 0.5
    response = 0.5 + 0.5 * np.cos(np.outer(frequency, 2 * offsets)) @ HALF_BAND.astype(float)
    assert np.abs(response[frequency > 29_400 / RATE * np.pi]).max() < 10 ** (-79 / 20)
    assert np.abs(response[frequency < 14_700 / RATE * np.pi] - 1).max() < 10 ** (-79 / 20)


@pytest.mark.parametrize("hz", [10_100.0, 12_000.0, 14_600.0])
def test_harmonics_beyond_29_4_khz_of_tones_up_to_14_7_khz_alias_70_db_below_what_they_are(hz):
    cycles = round(hz / RATE * FRAMES)
    found = spectrum_db(coloured(tone(cycles), second=0.02, third=0.02))
    for order, level_db in ((2, -34.0), (3, -34.0)):
        if order * hz > 29_400:
            alias = abs((order * cycles + FRAMES // 2) % FRAMES - FRAMES // 2)  # folded at the sample rate
            assert found[alias] < level_db - 70


def test_without_oversampling_the_same_alias_would_stand_at_its_full_level():
    cycles = round(14_600 / RATE * FRAMES)
    bent = tone(cycles)
    found = spectrum_db(bent + np.float32(0.04) * bent**2)
    assert found[FRAMES - 2 * cycles] == pytest.approx(-34, abs=0.1)


def test_coupling_takes_3_db_at_5_hz_and_all_of_a_constant():
    cycles = round(5 * FRAMES / RATE)
    exact_hz = cycles * RATE / FRAMES
    found = spectrum_db(coloured(tone(cycles), coupling_hz=exact_hz))
    assert found[cycles] == pytest.approx(-3.01, abs=0.02)
    assert np.abs(coloured(np.ones((1, RATE), np.float32), coupling_hz=5)[0, -1]) < 1e-6
    assert spectrum_db(coloured(tone(1501), coupling_hz=5))[1501] == pytest.approx(0, abs=2e-4)


def test_an_ideal_specimen_has_no_colour_and_a_wire_is_only_as_late():
    audio = tone(1501)
    assert Colour(Specimen(), RATE, 1).delay == 0
    assert np.array_equal(coloured(audio), audio)
    colour = Colour(Specimen.of_seed(3), RATE, 1)
    wired = colour.through(audio, wire=True)
    assert np.array_equal(wired[:, colour.delay :], audio[:, : -colour.delay])


@given(st.lists(st.integers(0, 5000), max_size=4), st.floats(80, 900))
def test_streams_cut_anywhere_are_equal_to_the_whole(cuts, latency_samples):
    audio = np.random.default_rng(0).uniform(-1, 1, (2, 5000)).astype(np.float32)

    def path(pieces: list[np.ndarray]) -> np.ndarray:
        colour, latency, frame, done = Colour(Specimen.of_seed(1), RATE, 2), Latency(latency_samples, 2), 77, []
        for piece in pieces:
            late = latency.through(colour.through(np.ascontiguousarray(piece)))
            out = np.empty_like(late)
            for channel in range(2):
                convert(late[channel], np.float32(1e-3), noise_key(1, channel), frame, out[channel])
            frame += piece.shape[1]
            done.append(out)
        return np.concatenate(done, axis=1)

    assert np.abs(path(np.split(audio, sorted(cuts), axis=1)) - path([audio])).max() <= 2**-23


@given(st.floats(65, 5000))
def test_latency_is_what_a_noiseless_probe_measures_within_2e_6_samples(samples):
    probe = make_probe(RATE)
    late = Latency(samples, 1).through(np.concatenate([probe, np.zeros(6000, np.float32)])[None])
    found = measure_latency(late[0], probe, 5500, RATE)
    assert found is not None
    assert found.samples == pytest.approx(samples, abs=2e-6)


def test_a_latency_shorter_than_the_filter_is_refused():
    assert Latency(65, 1).through(np.eye(1, 100, dtype=np.float32)).argmax() == 65
    with pytest.raises(ValueError, match="is less than 65"):
        Latency(10.5, 1)


def converted(audio: np.ndarray, noise: float = 0.0, seed: int = 1, column: int = 0, frame: int = 0) -> np.ndarray:
    out = np.empty(len(audio), np.float32)
    convert(np.asarray(audio, np.float32), np.float32(noise), noise_key(seed, column), frame, out)
    return out


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return converted(np.zeros(1 << 22), 0.1) / 0.1


def test_noise_is_gaussian_in_4_million_samples(noise):
    sigma = len(noise) ** -0.5
    assert abs(noise.mean()) < 4 * sigma
    assert noise.std() == pytest.approx(1, abs=4 * sigma / np.sqrt(2))
    assert abs(stats.skew(noise)) < 4 * np.sqrt(6) * sigma
    assert abs(stats.kurtosis(noise)) < 4 * np.sqrt(24) * sigma
    assert stats.kstest(noise[::4], "norm").pvalue > 1e-3
    tail = np.count_nonzero(np.abs(noise) > 4)
    assert tail == pytest.approx(2 * stats.norm.sf(4) * len(noise), rel=0.25)


def test_noise_is_white_within_blocks_and_between_them(noise):
    sigma = len(noise) ** -0.5
    for lag in (1, 2, 3, 7, 64, 511, 512, 513, 1023, 1024, 1025, 4096):
        assert abs(np.mean(noise[lag:] * noise[:-lag])) < 4.5 * sigma, lag
        assert abs(np.mean(noise[lag:] ** 2 * noise[:-lag] ** 2) - 1) < 4.5 * np.sqrt(8) * sigma, lag
    power = (np.abs(np.fft.rfft(noise)) ** 2 / len(noise))[1:-1].reshape(-1, (len(noise) // 2 - 1) // 127).mean(axis=1)
    assert np.abs(power - 1).max() < 5 / np.sqrt(len(noise) / 2 / 127)


def test_noise_belongs_to_its_seed_column_and_frame(noise):
    again = converted(np.zeros(5000), 0.1, frame=12_345)
    assert np.array_equal(again, converted(np.zeros(20_000), 0.1)[12_345:17_345])
    others = [converted(np.zeros(1 << 16), 0.1, seed=2), converted(np.zeros(1 << 16), 0.1, column=1)]
    for other in others:
        assert abs(np.corrcoef(other, noise[: 1 << 16])[0, 1]) < 4 / 256


def test_converters_round_to_24_bits_and_hold_at_full_scale():
    audio = np.linspace(-1.2, 1.2, 100_001).astype(np.float32)
    codes = converted(audio) * 2.0**23
    assert np.array_equal(codes, np.rint(codes))
    assert (codes.min(), codes.max()) == (-(2**23), 2**23 - 1)
    inside = np.abs(audio) < 0.999
    assert np.abs(codes[inside] - audio[inside].astype(float) * 2**23).max() <= 0.5


@pytest.mark.parametrize("ppm", [100.0, -100.0])
def test_a_clock_that_runs_slow_by_100_ppm_is_100_samples_late_after_a_million(ppm):
    n = np.arange(200_000)
    sine = np.sin(0.5 * n)[:, None].astype(np.float32)
    late = read_late(sine, ppm * 1e-6)[:, 0]
    assert np.abs(late - np.sin(0.5 * n * (1 - ppm * 1e-6)))[100:-100].max() < 1e-5

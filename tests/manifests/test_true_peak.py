"""True peak against the standard's own filter, against sixteen-fold oversampling and against known waves."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.manifests.levels import db
from buscomp.manifests.true_peak import BLOCK, STANDARD, STEPS, interpolator, peaks_of_blocks, true_peak

RATE = 44_100


def standard_peak(audio: np.ndarray) -> float:
    """The largest output of the 48-tap filter of BS.1770-5, annex 2, at every sample and phase."""
    phases = [STANDARD[0], STANDARD[1], STANDARD[1][::-1], STANDARD[0][::-1]]
    return max(float(np.abs(np.convolve(channel, taps)).max()) for channel in audio.T for taps in phases)


def sixteenfold_peak(audio: np.ndarray) -> float:
    """The largest value at sixteen times the rate, by an exact interpolation: more zeros in the spectrum."""
    padded = np.concatenate([np.zeros((2048, audio.shape[1])), audio, np.zeros((2048, audio.shape[1]))])
    spectrum = scipy.fft.rfft(padded, axis=0)
    return float(16 * np.abs(scipy.fft.irfft(spectrum, 16 * len(padded), axis=0)).max())


def band_limited_noise(seed: int, seconds: float, highest_hz: float, drive: float) -> np.ndarray:
    """Stereo noise below `highest_hz`; `drive` makes it dense near its peak, as a limiter does."""
    noise = np.tanh(drive * np.random.default_rng(seed).standard_normal((round(seconds * RATE), 2)))
    spectrum = scipy.fft.rfft(noise, axis=0)
    spectrum[int(highest_hz * seconds) :] = 0
    fade = np.minimum(1, np.minimum(np.arange(len(noise)), np.arange(len(noise))[::-1]) / 500)[:, np.newaxis]
    audio = scipy.fft.irfft(spectrum, len(noise), axis=0) * fade
    return np.asarray(0.5 * audio / np.abs(audio).max(), np.float32)


@pytest.mark.parametrize("hz", [997, 5_512.5, 11_025, 14_700, 17_640, 19_900])
@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.8])
def test_a_faded_sine_of_minus_6_db_reads_minus_6_db_or_what_the_standard_reads_too_high(
    hz: float, phase: float
) -> None:
    time = np.arange(8192)
    fade = np.sin(np.pi * (time + 0.5) / len(time)) ** 2
    tone = (0.5 * np.sin(2 * np.pi * hz * time / RATE + phase) * fade)[:, np.newaxis]
    found, standard = db(true_peak(tone)), db(standard_peak(tone))
    assert -6.05 <= found <= max(-6.0, standard + 1e-4)
    assert standard <= -6.02 + 0.22  # its filter passes a quarter of the rate with so much too much


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.05, 0.5),
    st.sampled_from([2_000.0, 8_000.0, 16_000.0, 20_000.0]),
    st.sampled_from([0.1, 1.0, 20.0]),
)
def test_it_is_within_a_twentieth_of_a_db_of_sixteenfold_oversampling(seed, seconds, highest_hz, drive) -> None:
    audio = band_limited_noise(seed, seconds, highest_hz, drive)
    finer = db(sixteenfold_peak(audio))
    assert finer - 0.05 <= db(true_peak(audio)) <= max(finer + 0.05, db(standard_peak(audio)) + 1e-4)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3000), st.integers(1, 3), st.sampled_from([0.1, 1.0, 20.0]))
def test_it_is_never_under_the_samples_or_the_filter_of_the_standard(seed, frames, channels, drive) -> None:
    random = np.random.default_rng(seed)
    audio = np.tanh(drive * random.standard_normal((frames, channels))) * random.uniform(0, 1, (frames, 1)) ** 3
    audio = audio.astype(np.float32)
    assert true_peak(audio) >= np.abs(audio).max()
    assert true_peak(audio) >= standard_peak(audio) * (1 - 1e-6)  # the rounding of single precision


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 20.0]))
def test_what_is_skipped_changes_nothing(seed: int, drive: float) -> None:
    audio = band_limited_noise(seed, 0.2, 19_000, drive) * np.random.default_rng(seed).uniform(0.2, 1)
    audio = audio.astype(np.float32)
    rows = interpolator()
    everywhere = max(float(np.abs(np.convolve(channel, row[::-1])).max()) for channel in audio.T for row in rows)
    assert true_peak(audio) == pytest.approx(max(everywhere, standard_peak(audio)), rel=1e-5)


@pytest.mark.parametrize("frame", [0, 5, BLOCK - 1, BLOCK, 999])
def test_a_peak_between_two_samples_is_found_at_every_place_of_a_block_and_at_both_ends(frame: int) -> None:
    audio = np.zeros((1000, 2), np.float32)
    audio[frame : frame + 2, 1] = 0.5
    expected = 0.5 * (interpolator()[STEPS // 2, [23, 24]].sum() if frame < 999 else 1)
    assert true_peak(audio) == pytest.approx(max(expected, standard_peak(audio)), rel=1e-5)


def test_the_interpolator_passes_samples_and_steady_levels_unchanged() -> None:
    rows = interpolator()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(rows[0], np.eye(1, rows.shape[1], rows.shape[1] // 2 - 1)[0], atol=1e-12)


def test_peaks_of_blocks_are_the_largest_of_256_frames_and_the_last_may_be_shorter() -> None:
    audio = np.random.default_rng(1).standard_normal((2 * BLOCK + 7, 2)).astype(np.float32)
    expected = [np.abs(audio[begin : begin + BLOCK]).max() for begin in (0, BLOCK, 2 * BLOCK)]
    np.testing.assert_array_equal(peaks_of_blocks(audio), np.array(expected, np.float32))


@pytest.mark.parametrize("frames", [0, 1, 100, 1000])
def test_silence_of_any_length_has_no_peak(frames: int) -> None:
    assert true_peak(np.zeros((frames, 2), np.float32)) == 0.0

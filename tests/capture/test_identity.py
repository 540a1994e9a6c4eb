"""Other songs, exchanged and summed channels, signs, and a unit that is not there."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.capture.identity import channel_order, polarity, side_over_mid, song_correlation, untouched
from buscomp.capture.reasons import Reason
from buscomp.capture.windows import windows_of
from buscomp.tests.capture_music import song

RATE = 44_100
NOISE_RMS = 1e-5


def noisy(audio: np.ndarray) -> np.ndarray:
    noise = NOISE_RMS * np.random.default_rng(0).standard_normal(audio.shape)
    return np.asarray(audio + noise, np.float32)


def windows(dry: np.ndarray, wet: np.ndarray, gains: np.ndarray | None = None):
    return windows_of(dry, noisy(wet), RATE, gains)


def summed(dry: np.ndarray) -> np.ndarray:
    return np.repeat(dry.mean(axis=1, keepdims=True), 2, axis=1)


def test_correlation_is_1_for_the_song_however_its_channels_are_mixed():
    dry = song(1, 5.0)
    for wet in (0.1 * dry, dry[:, ::-1], -dry, summed(dry), dry * np.array([1, -1]), dry * np.array([1, 0])):
        assert song_correlation(windows(dry, wet)) == pytest.approx(1, abs=2e-3)


def test_correlation_of_a_heavily_pumping_gain_stays_above_three_quarters():
    dry = song(1, 5.0)
    gain = 10 ** (-6 * (1 + np.sin(2 * np.pi * 4 * np.arange(len(dry)) / RATE)) / 20)
    assert song_correlation(windows(dry, dry * gain[:, None])) == pytest.approx(0.9, abs=0.15)


def test_56_pairs_of_different_songs_correlate_below_0_25():
    found = [song_correlation(windows(song(a, 5.0), song(b, 5.0))) for a in range(8) for b in range(8) if a != b]
    assert max(np.array(found, float)) < 0.25


def test_a_silent_song_has_no_correlation_and_no_sides():
    dry = np.zeros((RATE, 2), np.float32)
    assert song_correlation(windows(dry, dry)) is None
    assert side_over_mid(windows(dry, dry)) is None


@pytest.mark.parametrize("width", [1.0, 0.3, 0.05])
def test_side_over_mid_is_1_right_minus_1_exchanged_and_0_summed(width):
    dry = song(3, 4.0, width=width)
    for wet, ratio in ((dry, 1), (dry[:, ::-1], -1), (summed(dry), 0)):
        assert side_over_mid(windows(dry, wet), NOISE_RMS) == pytest.approx(ratio, abs=0.01)
        assert side_over_mid(windows(dry, 0.3 * wet), NOISE_RMS) == pytest.approx(ratio, abs=0.02)


def test_half_a_db_of_imbalance_does_not_enter_the_side_of_a_nearly_mono_song():
    dry = song(3, 4.0, width=0.05)
    assert side_over_mid(windows(dry, dry * np.array([1, 0.944]))) == pytest.approx(1, abs=0.05)


def test_channel_order_names_exchanged_and_summed_channels():
    dry = song(2, 4.0)
    assert channel_order(windows(dry, dry), NOISE_RMS) is None
    assert channel_order(windows(dry, dry[:, ::-1]), NOISE_RMS) is Reason.CHANNEL_SWAP
    assert channel_order(windows(dry, summed(dry)), NOISE_RMS) is Reason.MONO_RETURN


def test_a_song_on_the_left_alone_is_seen_to_be_exchanged_or_summed():
    dry = song(2, 4.0) * np.array([1, 0], np.float32)
    assert channel_order(windows(dry, dry), NOISE_RMS) is None
    assert channel_order(windows(dry, dry[:, ::-1]), NOISE_RMS) is Reason.CHANNEL_SWAP
    assert channel_order(windows(dry, summed(dry)), NOISE_RMS) is Reason.MONO_RETURN


def test_a_mono_song_says_nothing_about_its_channels():
    dry = song(2, 4.0, width=0.0)
    for wet in (dry, dry[:, ::-1], summed(dry), dry * np.array([1, 0.97])):
        assert channel_order(windows(dry, wet), NOISE_RMS) is None


def test_gains_and_signs_of_the_probe_are_taken_out_before_channels_are_compared():
    dry, gains = song(1, 4.0, width=0.5), np.array([-0.5, 0.6])
    assert side_over_mid(windows(dry, dry * gains, gains), NOISE_RMS) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("signs", "reason"),
    [
        ((1, 1), None),
        ((-1, 1), Reason.POLARITY_LEFT),
        ((1, -1), Reason.POLARITY_RIGHT),
        ((-1, -1), Reason.POLARITY),
        ((-1, 0), Reason.POLARITY_LEFT),
        ((0, 1), None),
        ((-1,), Reason.POLARITY),
    ],
)
def test_inverted_probes_name_their_channel(signs, reason):
    assert polarity(np.array(signs, float)) is reason


def test_an_uncompressed_song_is_a_bypass_only_where_more_than_1_db_is_expected():
    dry = song(1, 4.0)
    assert untouched(windows(dry, dry), None) is None
    assert untouched(windows(dry, dry), 1.0) is None
    assert "where 3.0 dB is expected" in str(untouched(windows(dry, dry), 3.0))
    assert untouched(windows(dry, 0.8 * dry), 3.0) is None  # 1.9 dB less, whatever did it
    moving = 1 - 0.1 * (np.arange(len(dry)) > len(dry) // 2)
    assert untouched(windows(dry, dry * moving[:, None]), 3.0) is None

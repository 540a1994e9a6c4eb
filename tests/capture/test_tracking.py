from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.latency import delay_by_fraction
from buscomp.capture.simulator import compress
from buscomp.capture.tracking import drift_ppm, slips, track_delay
from buscomp.tests.capture_music import song

RATE = 44_100
SECONDS = 8.0


def take(seed: int, fraction: float, seconds: float = SECONDS) -> tuple[np.ndarray, np.ndarray]:
    """A song as it is sent, and as it returns at a hard setting over -90 dBFS of noise."""
    sent = np.ascontiguousarray(song(seed, seconds) * np.float32(10 ** (5 / 20)))
    wet, _ = compress(sent, RATE, threshold_db=-28, ratio=10, attack_ms=0.1, release_s=0.1)
    noise = 10 ** (-90 / 20) * np.random.default_rng(seed).standard_normal(wet.shape)
    return sent, np.asarray(delay_by_fraction(wet, fraction) + noise, np.float32)


def slipped(audio: np.ndarray, at: int, samples: int) -> np.ndarray:
    """`samples` inserted (the last ones again) or, negative, lost at `at`; as many frames."""
    moved = np.concatenate([audio[:at], audio[at - samples :], np.zeros((max(0, -samples), 2), np.float32)])
    return np.ascontiguousarray(moved[: len(audio)])


TAKES = [(*take(seed, fraction), fraction) for seed, fraction in ((1, 0.31), (4, -0.44))]


@pytest.mark.parametrize(("sent", "returned", "fraction"), TAKES)
def test_delay_of_a_heavily_compressed_song_stays_within_a_fifth_of_a_sample_in_every_window(sent, returned, fraction):
    track = track_delay(sent, returned, RATE, fraction)
    assert track.valid.mean() > 0.9
    assert np.abs(track.delay_samples[track.valid] - fraction).max() < 0.2
    assert slips(track) == ()
    assert abs(drift_ppm(track) or 0) < 0.1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1), st.integers(1, 400), st.booleans(), st.floats(0.1, 0.9))
def test_any_number_of_samples_lost_or_inserted_anywhere_in_the_middle_is_found_and_located(which, count, lost, where):
    sent, returned, fraction = TAKES[which]
    samples, at = -count if lost else count, round(where * len(sent))
    found = slips(track_delay(sent, slipped(returned, at, samples), RATE, fraction))
    assert [slip.samples for slip in found] == [samples]
    assert found[0].at_s == pytest.approx(at / RATE, abs=0.5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1), st.integers(1, 64), st.floats(0.1, 0.5), st.floats(0.6, 2.5))
def test_a_loss_and_an_equal_insertion_that_cancel_are_two_slips(which, count, where, apart_s):
    sent, returned, fraction = TAKES[which]
    first, second = round(where * len(sent)), round(where * len(sent) + apart_s * RATE)
    found = slips(track_delay(sent, slipped(slipped(returned, first, -count), second, count), RATE, fraction))
    assert [slip.samples for slip in found] == [-count, count]
    assert [slip.at_s for slip in found] == pytest.approx([first / RATE, second / RATE], abs=0.5)


@pytest.mark.parametrize("ppm", [-20.0, 2.0, 50.0])
def test_a_clock_that_is_not_shared_is_a_drift_of_so_many_ppm_and_no_slip(ppm):
    sent, returned, fraction = TAKES[0]
    frames = np.arange(len(sent))
    slow = np.stack([np.interp(frames * (1 - ppm * 1e-6), frames, channel) for channel in returned.T], axis=1)
    track = track_delay(sent, slow.astype(np.float32), RATE, fraction)
    assert slips(track) == ()
    assert drift_ppm(track) == pytest.approx(ppm, abs=0.5)


def test_drift_is_that_of_the_clock_also_where_samples_were_lost():
    sent, returned, fraction = TAKES[1]
    track = track_delay(sent, slipped(returned, len(sent) // 2, -3), RATE, fraction)
    assert abs(drift_ppm(track) or 0) < 0.1


def test_a_loopback_gives_the_delay_of_every_window_to_a_thousandth():
    sent = np.ascontiguousarray(TAKES[0][0][:, :1])
    track = track_delay(sent, delay_by_fraction(np.asarray(0.5 * sent, np.float32), 0.25), RATE, 0.25)
    assert np.abs(track.delay_samples[track.valid] - 0.25).max() < 1e-3
    assert track.coherence[track.valid].min() > 0.99


def test_a_song_with_opposite_channels_is_tracked_by_its_side():
    mono = song(2, SECONDS, width=0.0)[:, :1]
    sent = np.concatenate([mono, -mono], axis=1)
    track = track_delay(sent, slipped(0.5 * sent, 4 * RATE, 1), RATE)
    assert [slip.samples for slip in slips(track)] == [1]


def test_silence_and_another_song_have_no_delay_to_believe():
    sent = TAKES[0][0]
    silent, other = np.zeros_like(sent), np.asarray(song(9, SECONDS), np.float32)
    for track in (track_delay(sent, silent, RATE), track_delay(silent, sent, RATE), track_delay(sent, other, RATE)):
        assert track.valid.mean() < 0.1
        assert slips(track) == ()
        assert drift_ppm(track) is None

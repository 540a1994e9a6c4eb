"""The compiled measures equal the plain ones, and mean what their columns say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.curation.song_measures import clipped_runs, first_look, measure_song, silent_ends
from buscomp.manifests import levels
from buscomp.tests.small_dataset import music

RATE = 44_100


def rough(seed: int, frames: int, channels: int, flat: bool) -> np.ndarray:
    """Noise of wandering level, with DC; `flat`: its tops cut."""
    random = np.random.default_rng(seed)
    audio = random.standard_normal((frames, channels)) * random.uniform(0, 0.3, (1, channels)) + random.uniform(
        -0.1, 0.1
    )
    if flat:
        audio = np.clip(np.repeat(audio, 3, axis=0)[:frames], -0.2, 0.1)
    return audio.astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2000), st.integers(1, 2), st.booleans())
def test_every_measure_equals_its_plain_one_in_numpy(seed: int, frames: int, channels: int, flat: bool) -> None:
    audio = rough(seed, frames, channels, flat)
    look = first_look(audio)
    assert look.peak == np.abs(audio).max()
    assert levels.db(look.rms) == pytest.approx(levels.rms_dbfs(audio), abs=1e-9)
    assert look.dc_offset == pytest.approx(np.abs(audio.mean(axis=0, dtype=np.float64)).max(), abs=1e-12)
    assert clipped_runs(audio, look) == levels.clipped_runs(audio)
    if frames > 2 and look.stereo_correlation is not None:
        correlation = np.corrcoef(audio[:, 0].astype(np.float64), audio[:, -1].astype(np.float64))[0, 1]
        assert look.stereo_correlation == pytest.approx(correlation, abs=1e-6)
    loud = np.flatnonzero(np.abs(audio).max(axis=1) >= look.peak / 1000)
    assert silent_ends(audio, look) == (loud[0], frames - 1 - loud[-1])


def test_the_columns_of_a_song_equal_those_of_levels() -> None:
    song = music(4.0)
    measured = measure_song(song, RATE)
    assert measured["peak_dbfs"] == levels.peak_dbfs(song)
    assert measured["true_peak_dbtp"] == levels.true_peak_dbtp(song, RATE)
    assert measured["loudness_lufs"] == levels.loudness_lufs(song, RATE)
    assert measured["crest_db"] == measured["peak_dbfs"] - measured["rms_dbfs"]
    assert 0 < measured["loudness_range_lu"] < 5


@pytest.mark.parametrize(("begin", "end"), [(0, 0), (1, 2), (255, 256), (44_100, 12_345)])
def test_silence_before_and_after_is_counted_to_the_sample(begin: int, end: int) -> None:
    song = np.full((1000, 2), 0.5, np.float32)
    hiss = 0.0004  # 62 dB below
    audio = np.concatenate([np.full((begin, 2), hiss), song, np.full((end, 2), hiss)]).astype(np.float32)
    measured = measure_song(audio, RATE)
    assert measured["leading_silence_s"] == begin / RATE
    assert measured["trailing_silence_s"] == end / RATE


def test_digital_silence_is_all_silence_and_nothing_else() -> None:
    measured = measure_song(np.zeros((RATE, 2), np.float32), RATE)
    assert (measured["leading_silence_s"], measured["trailing_silence_s"]) == (1, 1)
    assert (measured["peak_dbfs"], measured["rms_dbfs"], measured["true_peak_dbtp"]) == (-200, -200, -200)
    assert measured["stereo_correlation"] is measured["loudness_lufs"] is None


@pytest.mark.parametrize(("right", "correlation"), [(1.0, 1.0), (-0.5, -1.0), (0.0, None)])
def test_mono_correlates_by_1_inverted_by_minus_1_and_a_silent_side_not_at_all(right: float, correlation) -> None:
    wave = np.sin(np.arange(RATE) / 20)
    audio = np.stack([wave, right * wave], axis=1).astype(np.float32)
    expected = correlation if correlation is None else pytest.approx(correlation, abs=1e-6)
    assert measure_song(audio, RATE)["stereo_correlation"] == expected


def test_a_tone_is_always_at_its_ceiling_and_a_decay_only_once() -> None:
    tone = np.sin(np.arange(10 * RATE) / 20)[:, np.newaxis].astype(np.float32)
    fade = np.exp(-np.arange(len(tone)) / RATE)[:, np.newaxis].astype(np.float32)
    assert measure_song(tone, RATE)["ceiling_share"] == 1
    assert measure_song(tone * fade, RATE)["ceiling_share"] == pytest.approx(1 / 21)

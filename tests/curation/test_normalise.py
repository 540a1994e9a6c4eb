"""What is sent has one level, one rate and two channels."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.curation.normalise import headroom_note, make_dry
from buscomp.manifests.decode import Decoded, SongRefusedError
from buscomp.manifests.levels import from_db, loudness_lufs, peak_dbfs, rms_dbfs
from buscomp.manifests.pcm import to_float
from buscomp.tests.small_dataset import music

SONG = music(1.5)


@pytest.mark.parametrize(
    ("mode", "target_db", "level"),
    [("peak", -12.0, peak_dbfs), ("rms", -30.0, rms_dbfs), ("lufs", -33.0, lambda audio: loudness_lufs(audio, 44_100))],
)
@pytest.mark.parametrize("gain_db", [-30.0, 0.0, 14.0])
def test_every_song_comes_out_at_the_target_whatever_its_level(mode, target_db, level, gain_db) -> None:
    dry = make_dry(Decoded(SONG * np.float32(from_db(gain_db)), 44_100, ""), mode, target_db)
    assert level(to_float(dry.pcm)) == pytest.approx(target_db, abs=0.001)
    unscaled = make_dry(Decoded(SONG, 44_100, ""), mode, target_db)
    assert dry.measured["dry_gain_db"] == pytest.approx(unscaled.measured["dry_gain_db"] - gain_db, abs=1e-4)


def test_a_source_above_full_scale_is_scaled_down_not_clipped() -> None:
    loud = SONG * np.float32(1.6 / np.abs(SONG).max())
    dry = make_dry(Decoded(loud, 44_100, ""))
    expected = loud.astype(np.float64) / np.abs(loud).max() * from_db(-12)
    assert np.abs(to_float(dry.pcm) - expected).max() <= 0.51 * 2.0**-23
    assert dry.measured["clipped_runs"] == 0


@pytest.mark.parametrize("rate", [32_000, 48_000, 96_000])
def test_a_1_khz_tone_at_another_rate_is_the_same_tone_at_44100_hz(rate: int) -> None:
    def tone(at: int) -> np.ndarray:
        wave = np.sin(2 * np.pi * 1000 * np.arange(2 * at) / at)
        return np.stack([wave, wave], axis=1).astype(np.float32)

    dry = make_dry(Decoded(tone(rate), rate, ""))
    assert dry.measured["frames"] == 88_200
    found, expected = to_float(dry.pcm)[2000:-2000, 0], tone(44_100)[2000:-2000, 0]
    gain = np.dot(found, expected) / np.dot(expected, expected)
    assert np.abs(found / gain - expected).max() < 1e-5


def test_the_columns_describe_the_quantised_dry() -> None:
    measured = make_dry(Decoded(SONG + np.float32(0.01), 44_100, "WAV PCM_24")).measured
    assert measured["peak_dbfs"] == pytest.approx(-12, abs=1e-4)
    assert measured["true_peak_dbtp"] >= measured["peak_dbfs"]
    assert measured["crest_db"] == pytest.approx(measured["peak_dbfs"] - measured["rms_dbfs"])
    assert measured["duration_s"] == 1.5
    gain = from_db(measured["dry_gain_db"])
    assert measured["dc_offset"] == pytest.approx(gain * np.abs((SONG + 0.01).mean(axis=0)).max(), rel=1e-3)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_the_decoded_samples_stay_as_they_are_unless_they_may_be_overwritten(rate: int) -> None:
    before = SONG.copy()
    dry = make_dry(Decoded(before, rate, ""))
    np.testing.assert_array_equal(before, SONG)
    again = make_dry(Decoded(before, rate, ""), overwrite=True)
    np.testing.assert_array_equal(dry.pcm, again.pcm)
    assert dry.measured == again.measured


def test_flat_tops_of_the_source_are_counted_before_resampling() -> None:
    clipped = np.clip(SONG, -0.1, 0.1)
    assert make_dry(Decoded(clipped, 48_000, "")).measured["clipped_runs"] > 3


def test_mono_is_refused_or_doubled() -> None:
    mono = SONG[:, :1]
    with pytest.raises(SongRefusedError, match="mono"):
        make_dry(Decoded(mono, 44_100, ""))
    pcm = make_dry(Decoded(mono, 44_100, ""), mono="double").pcm
    np.testing.assert_array_equal(pcm[:, 0], pcm[:, 1])


@pytest.mark.parametrize(
    ("audio", "rate", "mode", "target_db", "reason"),
    [
        (SONG[:44_099], 44_100, "peak", -12, r"too_short: 1\.00 s|too_short: 0\.\d\d s"),
        (SONG, 22_050, "peak", -12, "sample_rate: 22050 Hz leaves no music bandwidth"),
        (SONG, 8_000, "peak", -12, "sample_rate: 8000 Hz leaves no music bandwidth"),
        (np.zeros_like(SONG), 44_100, "peak", -12, "silent: its peak is -inf dBFS"),
        (SONG * np.float32(1e-4), 44_100, "lufs", -20, "silent"),
        (SONG, 44_100, "rms", -6, r"over: its peak would be \+\d"),
        (SONG, 44_100, "lufs", -3, r"over: its peak would be \+\d"),
    ],
)
def test_what_cannot_become_a_song_is_refused_with_a_figure(audio, rate, mode, target_db, reason) -> None:
    with pytest.raises(SongRefusedError, match=reason):
        make_dry(Decoded(audio, rate, ""), mode, target_db)


def test_the_headroom_note_comes_exactly_when_5_db_more_would_pass_full_scale() -> None:
    assert headroom_note({"true_peak_dbtp": -5.01}) is None
    assert headroom_note({"true_peak_dbtp": -4.0}) == "true peak would be +1.0 dBTP after the +5 dB of the send"

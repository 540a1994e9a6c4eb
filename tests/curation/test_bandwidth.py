"""What lossy coders and filters leave of a spectrum."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.signal
import soundfile

from buscomp.curation.bandwidth import band_levels_db, bandwidth
from buscomp.tests.small_dataset import music

RATE = 44_100


def coded(audio: np.ndarray, kind: str, subtype: str, compression: float) -> np.ndarray:
    """`audio` through a lossy coder; `compression` 0 is its best, 1 its smallest."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 2, subtype, format=kind, compression_level=compression) as writer:
        for begin in range(0, len(audio), 1 << 16):  # a Vorbis encoder given all at once overflows its stack
            writer.write(audio[begin : begin + (1 << 16)])
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])


@pytest.mark.parametrize(
    ("kind", "subtype", "compression", "wall_hz"),
    [
        ("MP3", "MPEG_LAYER_III", 0.5, 16_500),  # about 130 kbit/s
        ("OGG", "VORBIS", 0.9, 16_700),
        ("OGG", "VORBIS", 0.6, 19_200),
    ],
)
@pytest.mark.parametrize("bits", [24, 16])
def test_a_lossy_coder_leaves_a_wall_where_it_cuts_even_under_16_bit_dither(
    kind: str, subtype: str, compression: float, wall_hz: float, bits: int
) -> None:
    found = coded(music(12.0), kind, subtype, compression)
    if bits == 16:
        found = np.round(found * 32768 + np.random.default_rng(0).triangular(-1, 0, 1, found.shape)) / 32768
    measured = bandwidth(found.astype(np.float32), RATE)
    assert measured.wall_hz == pytest.approx(wall_hz, abs=400)
    assert measured.bandwidth_hz == measured.wall_hz


@pytest.mark.parametrize("bits", [24, 16])
def test_music_that_was_never_coded_has_none(bits: int) -> None:
    song = music(12.0)
    if bits == 16:
        song = (np.round(song * 32768) / 32768).astype(np.float32)
    assert bandwidth(song, RATE).wall_hz is None
    assert bandwidth(song, RATE).bandwidth_hz > 21_000


@pytest.mark.parametrize("cut_hz", [3_000, 9_000, 15_000])
def test_a_gentle_filter_is_no_wall_but_narrows_the_band(cut_hz: float) -> None:
    dull = scipy.signal.sosfilt(scipy.signal.butter(4, cut_hz, fs=RATE, output="sos"), music(8.0), axis=0)
    measured = bandwidth(dull.astype(np.float32), RATE)
    assert measured.wall_hz is None
    assert measured.bandwidth_hz > cut_hz


def test_a_96_khz_file_made_from_44100_hz_ends_at_22_khz_without_a_wall() -> None:
    import soxr

    measured = bandwidth(soxr.resample(music(8.0), RATE, 96_000, "VHQ"), 96_000)
    assert measured.wall_hz is None
    assert measured.bandwidth_hz == pytest.approx(22_000, abs=800)


def test_noise_reaches_half_the_rate_and_a_tone_only_its_own_band() -> None:
    noise = np.random.default_rng(1).standard_normal((RATE * 2, 2)).astype(np.float32) * 0.1
    assert bandwidth(noise, RATE).bandwidth_hz == RATE / 2
    tone = np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)[:, np.newaxis].astype(np.float32)
    assert bandwidth(tone, RATE).bandwidth_hz < 2_500


def test_the_brighter_channel_counts_and_short_audio_is_padded() -> None:
    one_side = music(3.0) * np.array([1, 0], np.float32)
    assert bandwidth(one_side, RATE) == bandwidth(one_side[:, ::-1], RATE)
    assert band_levels_db(np.zeros((10, 2), np.float32)).tolist() == [-200.0] * 128

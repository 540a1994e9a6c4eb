"""`manifests.pcm`: samples that survive, and hashes that anyone can repeat."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from buscomp.manifests.errors import DatasetError
from buscomp.manifests.pcm import pcm_sha256, quantise, read_audio, read_pcm, to_float, write_flac, write_wav

STEP = 2.0**-23


@given(st.lists(st.integers(-(1 << 23), (1 << 23) - 1), min_size=1, max_size=50))
def test_every_24_bit_value_k_over_2_to_the_23_survives_exactly(values: list[int]) -> None:
    audio = np.array(values, np.float64)[:, np.newaxis] * STEP
    pcm = quantise(audio)
    np.testing.assert_array_equal(pcm[:, 0] >> 8, values)
    np.testing.assert_array_equal(to_float(pcm), audio)
    np.testing.assert_array_equal(quantise(to_float(pcm)), pcm)


@given(st.floats(-4, 4))
def test_rounding_is_to_the_nearest_step_and_held_at_full_scale(value: float) -> None:
    back = float(to_float(quantise(np.array([[value]])))[0, 0])
    assert abs(back - min(max(value, -1.0), 1 - STEP)) <= STEP / 2


def test_halves_go_to_even() -> None:
    assert (quantise(np.array([[0.5, 1.5, 2.5, -0.5]]) * STEP) >> 8).tolist() == [[0, 2, 2, 0]]


def test_infinity_is_held_at_full_scale_and_nan_is_refused() -> None:
    assert (quantise(np.array([[np.inf, -np.inf]])) >> 8).tolist() == [[(1 << 23) - 1, -(1 << 23)]]
    with pytest.raises(ValueError, match="NaN"):
        quantise(np.array([[0.0, np.nan]]))


def test_wav_and_flac_hold_the_same_samples_and_the_hash_of_the_docstring(tmp_path: Path) -> None:
    pcm = quantise(np.random.default_rng(1).uniform(-1.1, 1.1, (5000, 2)))
    write_wav(tmp_path / "a.wav", pcm, 44_100)
    write_flac(tmp_path / "a.flac", pcm, 44_100)
    for path in (tmp_path / "a.wav", tmp_path / "a.flac"):
        read, sample_rate = read_pcm(path)
        np.testing.assert_array_equal(read, pcm)
        assert sample_rate == 44_100
        recipe = hashlib.sha256(soundfile.read(path, dtype="int32")[0].tobytes()).hexdigest()
        assert recipe == pcm_sha256(pcm) == pcm_sha256(read)
        assert soundfile.info(path).subtype == "PCM_24"


def test_the_hash_sees_one_step_in_one_sample_and_not_the_memory_layout() -> None:
    pcm = quantise(np.random.default_rng(2).uniform(-1, 1, (100, 2)))
    assert pcm_sha256(np.asfortranarray(pcm)) == pcm_sha256(pcm)
    other = pcm.copy()
    other[50, 1] ^= 256
    assert pcm_sha256(other) != pcm_sha256(pcm)


def test_mono_is_read_as_one_column_and_audio_as_float32(tmp_path: Path) -> None:
    write_flac(tmp_path / "a.flac", quantise(np.full((10, 1), 0.25)), 48_000)
    audio, sample_rate = read_audio(tmp_path / "a.flac")
    assert (audio.shape, sample_rate) == ((10, 1), 48_000)
    assert audio.dtype == np.float32
    assert (audio == 0.25).all()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_flac_is_a_dataset_error(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.flac"
    write_flac(path, quantise(np.random.default_rng(3).uniform(-1, 1, (50_000, 2))), 44_100)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DatasetError, match=r"a\.flac"):
        read_pcm(path)


def test_a_flac_that_was_never_closed_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_flac(path, quantise(np.zeros((100, 2))), 44_100)
    raw = bytearray(path.read_bytes())
    raw[21] |= 0x0F  # STREAMINFO: the 36 bits of the number of samples
    raw[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match=r"claims an impossible length|ends early"):
        read_pcm(path)


def test_a_flac_that_claims_more_frames_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_flac(path, quantise(np.zeros((100, 2))), 44_100)
    raw = bytearray(path.read_bytes())
    raw[25] += 100
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match=r"a\.flac"):
        read_pcm(path)


def test_a_text_file_and_a_missing_one_are_dataset_errors_that_name_them(tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_text("this is no audio\n" * 100)
    with pytest.raises(DatasetError, match=r"song\.wav cannot be decoded"):
        read_pcm(tmp_path / "song.wav")
    with pytest.raises(DatasetError, match=r"gone\.flac does not exist"):
        read_pcm(tmp_path / "gone.flac")

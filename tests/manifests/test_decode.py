"""Files as people have them, and files as nobody wants them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buscomp.manifests.decode import SongRefusedError, decode, decode_in_child
from buscomp.manifests.pcm import quantise
from buscomp.tests.small_dataset import music

SAMPLES = quantise(music(0.5))


def written(
    path: Path, samples: np.ndarray = SAMPLES, rate: int = 44_100, subtype: str = "PCM_24", kind: str = "WAV"
) -> Path:
    soundfile.write(path, samples, rate, subtype, format=kind)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SongRefusedError) as caught:
        decode(path)
    return caught.value.reason


@pytest.mark.parametrize(("kind", "suffix"), [("WAV", "wav"), ("FLAC", "flac"), ("AIFF", "aiff"), ("FLAC", "wav")])
def test_lossless_files_decode_to_the_last_bit_whatever_their_name(tmp_path: Path, kind: str, suffix: str) -> None:
    audio, rate, told = decode(written(tmp_path / f"song.{suffix}", kind=kind))
    assert (rate, told) == (44_100, f"{kind} PCM_24")
    np.testing.assert_array_equal(audio * 2.0**31, SAMPLES)


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"), [("OGG", "VORBIS", 44_100), ("OGG", "OPUS", 48_000), ("MP3", "MPEG_LAYER_III", 44_100)]
)
def test_lossy_files_decode_to_their_length_and_sound(tmp_path: Path, kind: str, subtype: str, rate: int) -> None:
    sent = music(0.5, rate)
    audio, found, _ = decode(written(tmp_path / "song", sent, rate, subtype, kind))
    assert found == rate
    assert audio.shape == sent.shape
    assert np.corrcoef(audio[:, 0], sent[:, 0])[0, 1] > 0.95


def test_the_child_returns_the_same_samples_as_this_process(tmp_path: Path) -> None:
    path = written(tmp_path / "song.flac", kind="FLAC")
    audio, rate, told = decode_in_child(path)
    assert (rate, told) == (44_100, "FLAC PCM_24")
    np.testing.assert_array_equal(audio, decode(path).audio)


def test_lossy_audio_above_full_scale_is_not_clipped(tmp_path: Path) -> None:
    noise = np.sign(np.random.default_rng(2).normal(size=(44_100, 2))).astype(np.float32)
    audio = decode(written(tmp_path / "loud.ogg", noise, subtype="VORBIS", kind="OGG")).audio
    assert np.abs(audio).max() > 1.2


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"just a text\n", "not_audio: it starts with b'just'"),
        (b"", "not_audio: it is empty"),
        (b"RIFF\x00\x00\x00\x00WAVEnothing follows", "undecodable"),
        (b"\xff\xfb\x90\x64" + b"\x00" * 400, "undecodable"),
    ],
)
def test_what_is_no_audio_is_refused_by_its_contents(tmp_path: Path, contents: bytes, reason: str) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(contents)
    assert refusal(path).startswith(reason)


@pytest.mark.parametrize(("kind", "suffix"), [("WAV", "wav"), ("AIFF", "aiff"), ("W64", "w64"), ("FLAC", "flac")])
def test_a_file_that_lost_its_second_half_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    path = written(tmp_path / f"song.{suffix}", kind=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path).startswith(("truncated", "undecodable"))


def test_a_header_that_claims_68_thousand_million_frames_is_refused_before_decoding(tmp_path: Path) -> None:
    path = written(tmp_path / "song.flac", kind="FLAC")
    contents = bytearray(path.read_bytes())
    contents[21] |= 0x0F  # total samples: the last 36 bits before the MD5 sum of STREAMINFO
    contents[22:26] = b"\xff" * 4
    path.write_bytes(contents)
    assert refusal(path) == f"impossible_header: it claims {2**36 - 1} frames"


def test_a_flac_that_was_never_closed_claims_2_to_the_63_frames_and_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "song.flac", kind="FLAC")
    contents = bytearray(path.read_bytes())
    contents[21] &= 0xF0
    contents[22:26] = bytes(4)  # 0: unknown, which libsndfile reads as 2^63 - 1
    path.write_bytes(contents)
    assert refusal(path) == f"impossible_header: it claims {2**63 - 1} frames"


def test_a_header_that_claims_more_memory_than_the_child_has_is_refused_before_decoding(tmp_path: Path) -> None:
    path = written(tmp_path / "song.flac", kind="FLAC")
    contents = bytearray(path.read_bytes())
    contents[22:26] = ((1 << 30) + 1).to_bytes(4, "big")  # of 2 channels and 4 bytes: 8 GB and 8 bytes
    path.write_bytes(contents)
    with pytest.raises(SongRefusedError, match="too_large: its samples need more than 8 GB of memory"):
        decode_in_child(path)


@pytest.mark.parametrize(("kind", "place"), [("W64", b"data"), ("RF64", b"ds64")])
@pytest.mark.parametrize("claimed", [2**63 - 1, 2**63, 2**64 - 1, 2**40])
def test_64_bit_sizes_that_lie_are_refused_or_leave_the_samples_that_are_there(
    tmp_path: Path, kind: str, place: bytes, claimed: int
) -> None:
    path = written(tmp_path / "song", kind=kind)
    contents = bytearray(path.read_bytes())
    where = contents.index(place) + 16  # a W64 names a chunk by 16 bytes; ds64: riff, data
    contents[where : where + 8] = claimed.to_bytes(8, "little")
    path.write_bytes(contents)
    reason, audio = "", (SAMPLES / 2.0**31).astype(np.float32)
    try:
        audio = decode_in_child(path).audio
    except SongRefusedError as refused:
        reason = refused.reason
    assert reason.partition(":")[0] in ("", "truncated", "undecodable", "impossible_header", "too_large")
    np.testing.assert_array_equal(audio * 2.0**31, SAMPLES)


def test_a_header_that_claims_an_hour_more_than_there_is_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "song.flac", kind="FLAC")
    contents = bytearray(path.read_bytes())
    contents[22:26] = (3600 * 44_100).to_bytes(4, "big")
    path.write_bytes(contents)
    assert refusal(path).startswith(("truncated", "undecodable"))


def test_three_channels_an_impossible_rate_and_nan_are_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path / "a.wav", np.zeros((100, 3)))) == "channels: 3 (allowed: 1 or 2)"
    assert refusal(written(tmp_path / "b.wav", SAMPLES, 4000)).startswith("sample_rate: 4000 Hz")
    assert refusal(written(tmp_path / "c.wav", np.full((9, 2), np.nan), subtype="FLOAT")).startswith("not_finite")


def test_a_decoder_that_hangs_is_ended_after_the_time_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "song.wav"
    os.mkfifo(pipe)  # opening it waits for a writer that never comes
    with pytest.raises(SongRefusedError, match=r"not done after 0\.5 s"):
        decode_in_child(pipe, wall_s=0.5)


def test_the_child_may_use_8_gb_of_memory_and_5_minutes_of_cpu() -> None:
    asked = "import resource as r; from buscomp.manifests import decode; decode._limit_this_process(); "
    asked += "print(r.getrlimit(r.RLIMIT_AS)[0] >> 30, r.getrlimit(r.RLIMIT_CPU)[0])"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["8", "300"]


def test_a_file_of_the_current_folder_is_not_imported_by_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported from the song folder')")
    monkeypatch.chdir(tmp_path)
    assert len(decode_in_child(written(tmp_path / "song.wav"))[0]) == len(SAMPLES)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["WAV", "FLAC", "OGG", "MP3"]),
    place=st.integers(0, 4000),
    value=st.binary(min_size=1, max_size=8),
)
def test_a_damaged_file_is_decoded_or_refused_but_harms_nothing(
    tmp_path: Path, kind: str, place: int, value: bytes
) -> None:
    subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(kind, "PCM_24")
    path = written(tmp_path / "song", subtype=subtype, kind=kind)
    contents = bytearray(path.read_bytes())
    place = min(place, len(contents) - len(value))
    contents[place : place + len(value)] = value
    path.write_bytes(contents)
    reason: str | None = None
    try:
        audio, rate, _ = decode_in_child(path)
    except SongRefusedError as refused:
        reason = refused.reason
    else:
        assert np.isfinite(audio).all()
        assert 8_000 <= rate <= 384_000
    assert reason is None or re.fullmatch(r"[a-z_]+: [^\n]+", reason)

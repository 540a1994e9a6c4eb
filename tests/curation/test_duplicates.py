"""Recordings that sound the same, found by Chromaprint; comparing them needs no Chromaprint."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from buscomp.curation import duplicates as module
from buscomp.curation.duplicates import Alike, alike, chromaprint_is_there, compare, decoded, encoded, fingerprint
from buscomp.manifests.pcm import quantise
from buscomp.tests.small_dataset import music

RATE = 44_100
needs_chromaprint = pytest.mark.skipif(not chromaprint_is_there(), reason="Chromaprint is not installed")


def words(seed: int, count: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << 32, count, dtype=np.uint32)


def spoiled(of: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Words of which that share of the bits is turned."""
    turned = np.random.default_rng(seed).random((len(of), 32)) < share
    bits = turned.astype(np.uint32) << np.arange(32, dtype=np.uint32)
    return np.asarray(of ^ bits.sum(axis=1, dtype=np.uint32))


@given(st.integers(0, 2**32 - 1), st.integers(-150, 150), st.floats(0, 0.1))
def test_a_shifted_and_spoiled_copy_is_found_at_its_shift(seed: int, shift: int, share: float) -> None:
    whole = words(seed, 600)
    first, second = whole[150:450], spoiled(whole[150 - shift : 450 - shift], share)
    difference, offset = compare(first, second)
    assert offset == shift
    assert difference == pytest.approx(share, abs=0.02)
    assert [(pair.first, pair.second) for pair in alike({"a": encoded(first), "b": encoded(second)})] == [("a", "b")]


def test_forty_different_songs_are_all_different() -> None:
    assert alike({f"song-{seed}": encoded(words(seed)) for seed in range(40)}) == []


def test_songs_without_a_fingerprint_and_a_word_that_all_share_make_no_pair() -> None:
    silence = {f"song-{n}": encoded(np.concatenate([np.full(30, 7), words(n)]).astype(np.uint32)) for n in range(60)}
    assert alike(silence | {"short": "", "none": None}) == []


def test_the_reason_names_the_other_song_the_share_and_where_it_begins() -> None:
    pair = Alike("a", "b", 0.031, -3.96)
    assert pair.reason_for("b") == "duplicate_of:a (sounds the same: 3 % of fingerprint bits differ, 4.0 s earlier)"
    assert pair.reason_for("a") == "duplicate_of:b (sounds the same: 3 % of fingerprint bits differ, 4.0 s later)"
    assert Alike("a", "b", 0.0, 0.0).reason_for("b").endswith("bits differ)")


@given(st.lists(st.integers(0, 2**32 - 1), max_size=30))
def test_words_survive_as_text(some: list[int]) -> None:
    assert decoded(encoded(np.array(some, np.uint32))).tolist() == some


@needs_chromaprint
def test_a_quiet_lossy_and_a_cut_copy_match_and_another_song_does_not() -> None:
    song = np.concatenate([music(6.0, tempo_bpm=90 + 7 * n, tonic_hz=110 * 2 ** (5 * n / 12)) for n in range(5)])
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 2, "VORBIS", format="OGG", compression_level=0.9) as writer:
        for begin in range(0, len(song), 1 << 16):
            writer.write(0.05 * song[begin : begin + (1 << 16)])
    file.seek(0)
    heard = {
        "song": song,
        "quiet": soundfile.read(file)[0],
        "cut": song[5 * RATE + 1234 :],
        "other": music(30.0, tempo_bpm=93.0, tonic_hz=98.0),
    }
    found = alike({name: fingerprint(quantise(audio), RATE) for name, audio in heard.items()})
    assert {(pair.first, pair.second) for pair in found} == {("cut", "quiet"), ("cut", "song"), ("quiet", "song")}
    cut = next(pair for pair in found if (pair.first, pair.second) == ("cut", "song"))
    assert cut.offset_s == pytest.approx(5, abs=0.2)


@needs_chromaprint
def test_the_library_and_the_program_make_the_same_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("fpcalc") is None or module._library() is None:
        pytest.skip("only one of the library and fpcalc is installed")
    song = quantise(music(6.0))
    by_library = fingerprint(song, RATE)
    monkeypatch.setattr(module, "_library", lambda: None)
    assert fingerprint(song, RATE) == by_library


@needs_chromaprint
@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_what_is_too_short_has_an_empty_fingerprint(seconds: float) -> None:
    assert fingerprint(quantise(music(seconds)), RATE) == ""


def test_without_chromaprint_there_is_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_library", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not chromaprint_is_there()
    assert fingerprint(quantise(music(3.0)), RATE) is None

"""Songs that sound the same: other codecs, levels, masters or cuts of one recording, found by Chromaprint.

A fingerprint is a 32-bit word for every eighth of a second. Two are laid over each other at every offset at which at
least half of the shorter one overlaps; of one recording a few percent of the bits differ, of two songs nearly half.
Chromaprint is used where it is installed (`pip install pyacoustid` and the library, or its program `fpcalc`), and is
given samples that were decoded here, never the user's file.
"""

from __future__ import annotations

import base64
import importlib
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import soxr

from ..manifests.pcm import Float32, Int32

LISTENED_S = 120  # from the beginning, as the makers of Chromaprint do
RATE_HZ = 11_025  # of Chromaprint's own analysis
WORD_S = 1365 / RATE_HZ  # from one word to the next
SAME_BELOW = (
    0.25  # of the bits differ; measured: codecs and cuts up to 0.06, hard limiting 0.15, other songs 0.40 and more
)
SHORTEST_WORDS = 16  # 2 s
SHARED_WORDS = 3  # before two fingerprints are compared at all
COMMON_FROM = 50  # songs: a word that so many share (silence, for one) tells nothing

Words = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Alike:
    """Two songs that sound the same."""

    first: str
    second: str
    difference: float  # share of fingerprint bits that differ
    offset_s: float  # how much later the common part begins in the second

    def reason_for(self, song: str) -> str:
        """Why one of the two is a duplicate: `duplicate_of:other (sounds the same: ...)`."""
        other, offset_s = (self.first, self.offset_s) if song == self.second else (self.second, -self.offset_s)
        where = f", {abs(offset_s):.1f} s {'later' if offset_s > 0 else 'earlier'}" if offset_s else ""
        return (
            f"duplicate_of:{other} (sounds the same: {100 * self.difference:.0f} % of fingerprint bits differ{where})"
        )


def chromaprint_is_there() -> bool:
    """Whether fingerprints can be made here."""
    return _library() is not None or shutil.which("fpcalc") is not None


def fingerprint(pcm: Int32, sample_rate: int) -> str | None:
    """The fingerprint of the first 120 s of `pcm` (frames, channels), as base64 of little-endian 32-bit words; empty
    for what is too short to have one, None without Chromaprint."""
    if not chromaprint_is_there():
        return None
    heard = pcm[: LISTENED_S * sample_rate]
    mono = ((heard[:, 0] >> 1) + (heard[:, -1] >> 1)).astype(np.float32)
    return encoded(_words(_louder(soxr.resample(mono, sample_rate, RATE_HZ, "LQ"))))


def alike(fingerprints: Mapping[str, str | None]) -> list[Alike]:
    """All pairs, by id, whose fingerprints match at some offset."""
    words = {song: decoded(text) for song, text in fingerprints.items() if text}
    words = {song: its for song, its in words.items() if len(its) >= SHORTEST_WORDS}
    found = []
    for first, second in _worth_comparing(words):
        difference, offset = compare(words[first], words[second])
        if difference < SAME_BELOW:
            found.append(Alike(first, second, difference, offset * WORD_S))
    return found


def compare(first: Words, second: Words) -> tuple[float, int]:
    """The smallest share of differing bits over all offsets with enough overlap, and that offset in words: how much
    later the common part begins in the second."""
    least = max(SHORTEST_WORDS, min(len(first), len(second)) // 2)
    difference, offset = _best_offset(first, second, least)
    return float(difference), int(offset)


def encoded(words: Words) -> str:
    """Words as text for a table."""
    return base64.b64encode(np.asarray(words, "<u4").tobytes()).decode()


def decoded(text: str) -> Words:
    """Words from that text."""
    return np.frombuffer(base64.b64decode(text), "<u4").astype(np.uint32)


def _worth_comparing(words: Mapping[str, Words]) -> list[tuple[str, str]]:
    """Pairs that share some words exactly, as a fifth of them do at 5 % of differing bits, and one in 200 at 15 %."""
    songs_of: defaultdict[int, list[str]] = defaultdict(list)
    for song in sorted(words):
        for word in np.unique(words[song]).tolist():
            songs_of[word].append(song)
    shared: Counter[tuple[str, str]] = Counter()
    for songs in songs_of.values():
        if 1 < len(songs) < COMMON_FROM:
            shared.update(combinations(songs, 2))
    least = {song: min(SHARED_WORDS, len(np.unique(its)) // 4) for song, its in words.items()}
    return sorted(pair for pair, count in shared.items() if count >= min(least[pair[0]], least[pair[1]]))


@numba.njit(cache=True)
def _best_offset(first, second, least):  # type: ignore[no-untyped-def]
    best, best_offset = 1.0, 0
    for offset in range(least - len(first), len(second) - least + 1):
        begin, end = max(0, -offset), min(len(first), len(second) - offset)
        bits = np.int64(0)
        for n in range(begin, end):
            x = first[n] ^ second[n + offset]
            x = x - ((x >> np.uint32(1)) & np.uint32(0x55555555))
            x = (x & np.uint32(0x33333333)) + ((x >> np.uint32(2)) & np.uint32(0x33333333))
            x = (x + (x >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
            bits += np.int64((x * np.uint32(0x01010101)) >> np.uint32(24)) & 0xFF
        difference = bits / (32 * (end - begin))
        if difference < best:
            best, best_offset = difference, offset
    return best, best_offset


def _library() -> Any:
    """The module `chromaprint` of pyacoustid, which needs the library; None without them."""
    try:
        return importlib.import_module("chromaprint")
    except ImportError:
        return None


def _louder(mono: Float32) -> npt.NDArray[np.int16]:
    """16-bit samples at full level, so that a quiet song is not coarse."""
    peak = float(np.abs(mono).max(initial=0.0))
    return np.asarray(np.rint(mono * (32_000 / peak if peak else 0.0)), np.int16)


def _words(mono: npt.NDArray[np.int16]) -> Words:
    """Chromaprint's words for 16-bit samples at 11,025 Hz."""
    library = _library()
    if library is None:
        asked = ["fpcalc", "-raw", "-plain", "-length", str(LISTENED_S), "-format", "s16le", "-rate", str(RATE_HZ)]
        told = subprocess.run([*asked, "-channels", "1", "-"], input=mono.tobytes(), capture_output=True, check=False)
        # it calls too short a song an error
        return np.array([int(word) for word in told.stdout.split(b",") if word.strip()], np.uint32)
    maker = library.Fingerprinter()
    maker.start(RATE_HZ, 1)
    maker.feed(mono.tobytes())
    made = library.decode_fingerprint(maker.finish())[0]
    return np.array([word & 0xFFFFFFFF for word in made], np.uint32)

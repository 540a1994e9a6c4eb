"""Tunes without any accompaniment, for their keys: fiddle tunes from the corpus of music21, as their books name them.

Development: Ryan's Mammoth Collection. Test: O'Neill's Music of Ireland, one tune of each file. Only tunes whose key
field says major or minor; the book's word is taken, though some end elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from buscomp.tests.benchmarks.chorales import corpus, write_midi
from buscomp.tests.benchmarks.rendering import FLUID, OPL, Song
from buscomp.tests.benchmarks.scripted_songs import TONICS

PLAYERS = (40, 73, 21, 0, 78, 105, 24, 71, 22, 66)
MOST_OF_A_MODE = 25  # in the development part
LEAST_NOTES = 24


def development_melodies(folder: Path) -> list[Song]:
    """Tunes of Ryan's collection, as many major as minor ones, written into `folder`."""
    random = np.random.default_rng(11)
    files = sorted((corpus() / "ryansMammoth").glob("*.abc"))
    songs: list[Song] = []
    for place in random.permutation(len(files)):
        text = files[place].read_text(errors="replace")
        key = _key(text)
        if key is None or sum(song.key is not None and song.key[-5:] == key[-5:] for song in songs) >= MOST_OF_A_MODE:
            continue
        songs += _write(folder, text, key, random, FLUID if random.random() < 0.75 else OPL)
        if len(songs) == 2 * MOST_OF_A_MODE:
            break
    return songs


def test_melodies(folder: Path) -> list[Song]:
    """A tune of each file of O'Neill's collection, written into `folder`."""
    random = np.random.default_rng(12)
    songs: list[Song] = []
    for file in sorted((corpus() / "oneills1850").glob("*.abc")):
        tunes = re.split(r"\n(?=X:)", file.read_text(errors="replace"))
        for place in random.permutation(len(tunes)):
            key = _key(tunes[place])
            written = _write(folder, tunes[place], key, random, FLUID) if key else []
            songs += written
            if written:
                break
    return songs


def _key(tune: str) -> str | None:
    found = re.search(r"^K:\s*([A-G])([#b]?)\s*(major|maj|minor|min|m|)\s*(?:%.*)?$", tune, re.M)
    if found is None:
        return None
    tonic = (0, 2, 4, 5, 7, 9, 11)["CDEFGAB".index(found.group(1))] + {"": 0, "#": 1, "b": -1}[found.group(2)]
    return f"{TONICS[tonic % 12]} {'minor' if found.group(3) in ('m', 'min', 'minor') else 'major'}"


def _write(folder: Path, tune: str, key: str, random: np.random.Generator, soundfont: str) -> list[Song]:
    """The tune as a song; none if music21 cannot read or play it, or it is a fragment."""
    import music21

    program, bpm, number = int(random.choice(PLAYERS)), int(random.integers(84, 132)), _number(folder.iterdir())
    path = folder / f"melody-{number:03d}.mid"
    try:
        score: Any = music21.converter.parse(tune, format="abc")
        if not score.parts or len(score.recurse().notes) < LEAST_NOTES:
            return []
        write_midi(path, score, (program,), bpm)
    except music21.exceptions21.Music21Exception:
        return []
    return [Song(path.stem, path, None, key, soundfont)]


def _number(files: Iterable[Path]) -> int:
    return sum(file.suffix == ".mid" for file in files)

"""Bach's chorales from the corpus of music21, for their keys.

Test: the 20 whose harmony was analysed by a person (Roman numerals, `choraleAnalyses`); the key that the analysis
begins with is the truth. Played by four winds.

Development: others. Their key is that of the last note of the bass, in the mode that the key signature tells; where the
two do not agree a chorale is left out, and so is one that sings a tune of the test part. Played by flutes and reeds,
strings, organ, piano, brass or voices. The corpus stays where it is: nothing of it is kept here.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from buscomp.tests.benchmarks.rendering import FLUID, OPL, MissingSourceError, Song
from buscomp.tests.benchmarks.scripted_songs import TONICS

WINDS = (68, 71, 69, 70)  # oboe, clarinet, English horn, bassoon
ENSEMBLES = ((73, 68, 71, 70), (40, 40, 41, 42), (19,) * 4, (0,) * 4, (56, 56, 57, 58), (52,) * 4, (48,) * 4)
TEMPI = (72, 80, 88, 96, 104)
TUNE_NOTES = 12  # that two chorales must share at their beginning to count as one tune
TUNE_TRIES = 90  # chorales that are looked at for the development part


def corpus() -> Path:
    """The corpus folder of music21. `MissingSourceError` where it is not installed."""
    spec = find_spec("music21")
    if spec is None or spec.origin is None:
        raise MissingSourceError("music21 is missing (pip install music21)")
    return Path(spec.origin).parent / "corpus"


@cache
def analysed() -> dict[int, str]:
    """The keys of the analysed chorales, by their number in Riemenschneider's edition."""
    keys = {}
    for file in sorted((corpus() / "bach" / "choraleAnalyses").glob("*.rntxt")):
        found = re.search(r"^m\d+\s+(?:b\d+\s+)?([A-Ga-g][#b-]?):", file.read_text(), re.M)
        if found is None:
            raise ValueError(f"{file.name} names no key")
        letter = found.group(1)
        pitch = "CDEFGAB".index(letter[0].upper())
        tonic = (0, 2, 4, 5, 7, 9, 11)[pitch] + {"": 0, "#": 1, "b": -1, "-": -1}[letter[1:]]
        keys[int(file.stem[-3:])] = f"{TONICS[tonic % 12]} {'minor' if letter[0].islower() else 'major'}"
    return keys


def test_chorales(folder: Path) -> list[Song]:
    """The analysed chorales, written into `folder`."""
    random = np.random.default_rng(3)
    keys, catalogue = analysed(), _catalogue()
    return [
        _write(folder, number, _parse(catalogue[number]), WINDS, int(random.choice(TEMPI)), keys[number])
        for number in keys
    ]


def development_chorales(folder: Path) -> list[Song]:
    """Chorales of other tunes, written into `folder`."""
    random = np.random.default_rng(4)
    catalogue = _catalogue()
    heard = {_tune(_parse(catalogue[number])) for number in analysed()}
    tested = {catalogue[number] for number in analysed()}
    songs = []
    for number in random.permutation(sorted(catalogue))[:TUNE_TRIES].tolist():
        if catalogue[number] in tested:
            continue
        score = _parse(catalogue[number])
        key, tune = _key(score), _tune(score)
        if key is None or tune in heard:
            continue
        ensemble = ENSEMBLES[int(random.integers(len(ENSEMBLES)))]
        soundfont = FLUID if random.random() < 0.75 else OPL
        songs.append(_write(folder, number, score, ensemble, int(random.choice(TEMPI)), key, soundfont))
    return songs


def _catalogue() -> dict[int, str]:
    """Work numbers (BWV) by Riemenschneider's numbers."""
    from music21.corpus.chorales import ChoraleListRKBWV

    return {int(n): str(row["bwv"]) for n, row in ChoraleListRKBWV().byRiemenschneider.items() if n}


def _parse(bwv: str) -> Any:
    import music21

    return music21.corpus.parse(f"bwv{bwv}")


def _key(score: Any) -> str | None:
    signatures = list(score.parts[0].recurse().getElementsByClass("KeySignature"))
    bass = score.parts[-1].recurse().notes.last()
    if not signatures or bass is None:
        return None
    last, major = bass.pitches[0].pitchClass, 7 * signatures[0].sharps % 12
    if last == major:
        return f"{TONICS[last]} major"
    if last in ((major + 9) % 12, (major + 2) % 12):  # the second: written with one flat less, as was usual
        return f"{TONICS[last]} minor"
    return None


def _tune(score: Any) -> tuple[int, ...]:
    """The first steps of the soprano, in semitones."""
    notes = [note.pitches[-1].midi for note in score.parts[0].recurse().notes][: TUNE_NOTES + 1]
    return tuple(np.diff(notes).tolist())


def _write(
    folder: Path, number: int, score: Any, programs: tuple[int, ...], bpm: int, key: str, soundfont: str = FLUID
) -> Song:
    path = folder / f"chorale-{number:03d}.mid"
    write_midi(path, score, programs, bpm)
    return Song(path.stem, path, None, key, soundfont)


def write_midi(path: Path, score: Any, programs: tuple[int, ...], bpm: int) -> None:
    """Write a score of music21 as MIDI, its parts on these `programs`, without repeats and tempi of its own."""
    from music21 import instrument, tempo

    for kind in ("MetronomeMark", "Instrument", "RepeatMark", "Repeat"):
        for mark in list(score.recurse().getElementsByClass(kind)):
            mark.activeSite.remove(mark)
    for measure in score.recurse().getElementsByClass("Measure"):
        measure.leftBarline = measure.rightBarline = None
    for place, part in enumerate(score.parts):
        player = instrument.Instrument()
        player.midiProgram = programs[min(place, len(programs) - 1)]
        part.insert(0, player)
    score.insert(0, tempo.MetronomeMark(number=bpm))
    score.write("midi", fp=str(path))

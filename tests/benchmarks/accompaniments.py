"""Songs of known key and tempo in hundreds of styles: MMA, the Musical MIDI Accompaniment Generator, plays our chords.

MMA's own library of grooves gives drums, bass and chords; key, tempo and chords are drawn by chance, and so is a melody
for two of three songs. The tempi of a style lie about what is usual for its name. Grooves in three or four, no others:
in six or twelve eighths, what a beat is would be a matter of opinion.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np

from buscomp.tests.benchmarks.rendering import FLUID, OPL, MissingSourceError, Song, Sources
from buscomp.tests.benchmarks.scripted_songs import SCALES, TONICS

USUAL_TEMPI = (  # words in a style's name; middle in BPM and spread (lognormal). The first that fits counts
    ("dnb", 170, 0.04), ("trance|techno|rave", 136, 0.06), ("house|dance|disco", 124, 0.05),
    ("hip|trip|thr", 90, 0.09), ("bebop|fast", 190, 0.12), ("vienese", 180, 0.08),
    ("slow|ballad|lullaby|serenade|bald", 74, 0.14), ("16beat|beat16", 88, 0.13), ("waltz|34", 118, 0.2),
    ("bigband|swing|jazz|western", 138, 0.22), ("charleston|dixie|ragtime|quickstep|boggie|boogie", 180, 0.15),
    ("metal|punk|mtl|hrk", 144, 0.16), ("funk|strut|rb|r.b|soul|motown", 100, 0.13), ("reggae", 76, 0.1),
    ("ska", 130, 0.1), ("samba|merengue|salsa|mambo|son|calypso|zydeco", 106, 0.15),
    ("bossa|rhumba|beguine|bolero|chacha|tango", 116, 0.15), ("march|polka|foxtrot", 116, 0.1),
    ("rock|twist|jive", 124, 0.15), ("blues", 96, 0.25), ("hymn|spiritual|ambient", 84, 0.15),
    ("country|blueg|folk|hill", 108, 0.18), ("", 112, 0.2),
)  # fmt: skip
LEFT_OUT = "metronome|none|68|128|count|ending|intro|mide|desert|-54"  # no song, or no beat to agree on
DOUBLED = "polka|quick|goes|dixie|march"  # of these some are written in double time
PROGRESSIONS = {
    "major": ("I V vi IV", "I vi IV V", "I IV V I", "I IV vi V", "vi IV I V", "I ii V I", "ii V I I", "I iii IV V",
              "I V IV I", "I vi ii V", "I IV I V"),
    "minor": ("i VI III VII", "i iv V i", "i VI VII i", "i iv VI V", "i VII VI V", "i iv i V", "i v VI iv",
              "i III VII VI", "i VI iv V", "i ii V i"),
}  # fmt: skip
DEGREES = {  # semitones above the tonic, and MMA's name for the chord
    "major": {"I": (0, ""), "ii": (2, "m"), "iii": (4, "m"), "IV": (5, ""), "V": (7, ""), "vi": (9, "m")},
    "minor": {"i": (0, "m"), "ii": (2, "dim"), "III": (3, ""), "iv": (5, "m"), "v": (7, "m"), "V": (7, ""),
              "VI": (8, ""), "VII": (10, "")},
}  # fmt: skip
LEADS = (0, 11, 22, 24, 26, 40, 56, 60, 65, 66, 68, 71, 73, 75, 80, 81)
RHYTHMS = ((1, 1, 2), (0.5, 0.5, 1, 1, 2), (0.5, 1), (0.25, 0.5, 0.5, 1))  # lengths in beats
LEAD_CHANNEL = 14
SECONDS = 46.0


@dataclass(frozen=True)
class Groove:
    """A groove of MMA's library: `call` names it in a song, `style` is the name of its file."""

    style: str
    call: str
    beats: int


def grooves(library: Path) -> list[Groove]:
    """At most three grooves of every file of the library, in the order of their names."""
    found = []
    for file in sorted(library.glob("*/*.mma")):
        style, text = file.stem.lower(), file.read_text(errors="replace")
        doubled = file.parent.name == "stdlib" and re.search("double", text, re.I) and re.search(DOUBLED, style)
        time = re.search(r"^\s*Time\s+(\d+)", text, re.M)
        beats = int(time.group(1)) if time else 4
        if re.search(LEFT_OUT, style) or doubled or beats not in (3, 4):
            continue
        names = re.findall(r"^\s*DefGroove\s+(\S+)", text, re.M)
        whole = [name for name in names if not re.search("intro|end|fill", name, re.I)]
        found += [Groove(style, f"{file.parent.name}/{file.stem}:{name}", beats) for name in whole[:3]]
    return found


def write_songs(folder: Path, sources: Sources, numbers: range) -> list[Song]:
    """Write the songs of these `numbers` as MIDI into `folder`. A number gives the same song every time.

    `MissingSourceError` where MMA is not installed. A groove that MMA itself refuses is passed over."""
    library = sources.find("mma/lib", "mma")
    program = shutil.which("mma") or next((str(f / "usr/bin/mma") for f in sources.folders), None)
    if program is None:
        raise MissingSourceError("the program mma is missing (Debian package mma)")
    known = grooves(library)
    order = np.random.default_rng(52).permutation(len(known))
    songs = [_write(folder, number, known[order[number % len(known)]], program, library.parent) for number in numbers]
    return [song for song in songs if song is not None]


def _write(folder: Path, number: int, groove: Groove, program: str, home: Path) -> Song | None:
    random = np.random.default_rng([7013, number])
    middle, spread = next((bpm, spread) for words, bpm, spread in USUAL_TEMPI if re.search(words, groove.style))
    bpm = round(float(np.clip(middle * np.exp(spread * random.standard_normal()), 50, 210)), 2)
    mode, tonic = str(random.choice(["major", "minor"])), int(random.integers(12))
    bars = max(8, 4 * round(SECONDS * bpm / 60 / groove.beats / 4 + 0.5))
    chords, roots = _chords(random, mode, tonic, bars)
    text, midi = folder / f"accompaniment-{number:04d}.mma", folder / f"accompaniment-{number:04d}.mid"
    lines = [f"RndSeed {number}", f"Tempo {bpm}", f"Groove {groove.call}"]
    text.write_text("\n".join(lines + [f"{bar} {chord}" for bar, chord in enumerate(chords, 1)]) + "\n")
    played = subprocess.run(
        [program, "-w", "-0", "-f", str(midi), str(text)],
        env={"MMA_HOME": str(home), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
    )
    if played.returncode or not midi.exists():
        return None
    if random.random() < 0.65:
        song = mido.MidiFile(midi)
        song.tracks.append(_melody(random, mode, tonic, roots, groove.beats, song.ticks_per_beat))
        song.save(midi)
    soundfont = FLUID if random.random() < 0.75 else OPL
    return Song(midi.stem, midi, bpm, f"{TONICS[tonic]} {mode}", soundfont, bool(random.random() < 0.5))


def _chords(random: np.random.Generator, mode: str, tonic: int, bars: int) -> tuple[list[str], list[int]]:
    """Names of the chords for MMA, a bar each, and the pitch classes of their roots. The last is the tonic's."""
    first, second = (str(random.choice(PROGRESSIONS[mode])).split() for _ in range(2))
    chords, roots = [], []
    for bar in range(bars):
        section = second if bar // 8 % 3 == 2 else first
        degree = section[bar % len(section)] if bar < bars - 1 else {"major": "I", "minor": "i"}[mode]
        semitones, kind = DEGREES[mode][degree]
        if degree == "V" and random.random() < 0.4:
            kind = "7"
        elif kind != "dim" and random.random() < 0.15:
            kind = "m7" if kind == "m" else "7" if degree in ("V", "VII") else "M7"
        roots.append((tonic + semitones) % 12)
        chords.append(TONICS[roots[-1]] + kind)
    return chords, roots


def _melody(
    random: np.random.Generator, mode: str, tonic: int, roots: list[int], beats: int, ticks: int
) -> mido.MidiTrack:
    """A line over the chords: chord tones where bars begin and now and then, tones of the scale between."""
    scale = {(tonic + step) % 12 for step in SCALES[mode]}
    lowest, lengths = int(random.choice([60, 67, 72])), RHYTHMS[int(random.integers(len(RHYTHMS)))]
    program, velocity = int(random.choice(LEADS)), int(random.integers(65, 110))
    events: list[tuple[int, int, int]] = []  # tick, velocity (0: off), note
    for bar, root in enumerate(roots):
        beat = 0.0
        while beat < beats and (beat > 0 or random.random() > 0.2):
            length = float(random.choice(lengths))
            third = 3 if (root + 3) % 12 in scale else 4
            chordal = beat == 0 or random.random() < 0.3
            tone = root + int(random.choice([0, 0, 7, third])) if chordal else int(random.choice(sorted(scale)))
            if random.random() < 0.85:
                start = max(0, round((bar * beats + beat + random.normal(0, 0.01)) * ticks))
                note = lowest + (tone - lowest) % 12
                events += [(start, velocity, note), (start + max(10, round(0.85 * length * ticks)), 0, note)]
            beat += length
    track = mido.MidiTrack([mido.Message("program_change", channel=LEAD_CHANNEL, program=program)])
    now = 0
    for tick, loud, note in sorted(events):
        track.append(mido.Message("note_on", channel=LEAD_CHANNEL, note=note, velocity=loud, time=tick - now))
        now = tick
    return track

"""Songs as data: chord charts, patterns and melodies, as a musician writes them, turned into notes.

chords      `Em | C | G D`         a bar each; chords in one bar share it equally; `C/E` puts E in the bass
pattern     `x... x.o. x... x..x`  a bar in as many steps as there are signs (spaces do not count); `|` begins the
                                   next bar; a section repeats the pattern until it is over
            x X o    the chord, or a drum stroke: plain, accented, soft         .  silence, ends what sounded
            p        root, fifth and octave                                     -  what sounds is held
            1 3 5 6 7 8 9 0   one tone of the chord (1 its bass, 0 the tenth)   a  a semitone below the next chord
melody      `5:1.5 6:.5 1':2`      degrees of the key with their beats (1 unless said); `'` and `,` move an octave,
                                   `#` and `b` before a degree a semitone; `-` rests; `|` must fall on bars
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ..manifests.ids import id_from_name
from ..manifests.yaml_file import Strict
from .drum_kit import DRUMS
from .synthesis import VOICES

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
QUALITIES = {  # semitones above the root of degree 3, 5 and whatever the name adds
    "": {3: 4, 5: 7},
    "m": {3: 3, 5: 7},
    "7": {3: 4, 5: 7, 7: 10},
    "m7": {3: 3, 5: 7, 7: 10},
    "maj7": {3: 4, 5: 7, 7: 11},
    "m9": {3: 3, 5: 7, 7: 10, 9: 14},
    "maj9": {3: 4, 5: 7, 7: 11, 9: 14},
    "add9": {3: 4, 5: 7, 9: 14},
    "6": {3: 4, 5: 7, 6: 9},
    "sus4": {3: 5, 5: 7},
}
FIRST_BEAT_S = 0.02  # room for a player who comes in early
ACCENTS = {"x": 0.8, "X": 1.0, "o": 0.4}
TAIL_S = 1.2  # what rings after the last bar


@dataclass(frozen=True)
class Note:
    """One tone or stroke. Beats count from the start of the song, before swing."""

    beat: float
    beats: float
    midi: int | None  # None: a drum
    velocity: float  # 0..1
    rank: int = 0  # position in a strummed chord, lowest first


@dataclass(frozen=True)
class Chord:
    """A chord from `beat` to `end_beat`, as pitch classes and semitones above its root."""

    beat: float
    end_beat: float
    root: int
    bass: int
    tones: dict[int, int]

    def tone(self, sign: str, low: int) -> int:
        """MIDI note of the chord tone a pattern names; the root lies in the octave above `low`."""
        if sign == "1":
            return _above(self.bass, low)
        semitones = {"8": 12, "0": 12 + self.tones[3]}.get(sign) or self.tones.get(int(sign))
        if semitones is None:
            raise ValueError(f"this chord has no degree {sign}")
        return _above(self.root, low) + semitones

    def voicing(self, low: int) -> list[int]:
        """All its tones inside one octave from `low`: neighbouring chords then move by small steps."""
        return sorted(_above(self.root + semitones, low) for semitones in (0, *self.tones.values()))


class Part(Strict):
    """One player: what it sounds like, where it stands, how loud it is."""

    sound: str
    level_db: float  # RMS while it sounds, before the whole is scaled
    plays: Literal["pattern", "melody"] = "pattern"
    low: str = "C3"  # chords and tones are placed in the octave from here up; degree 1 of a melody too
    pan: tuple[float, ...] = (0.0,)  # -1 left .. 1 right; two numbers: played twice, once on each side
    room: float = Field(default=0.2, ge=0, le=1)  # how much goes into the room
    strum_ms: float = 0.0  # delay from one tone of a chord to the next
    ring: bool = False  # tones ring until the chord changes, whatever the pattern says
    drive_db: float | None = None  # gain into an amplifier that gives way
    low_cut_hz: float = Field(default=20.0, gt=0)  # at least what keeps a swept drum from shifting the zero line

    @property
    def is_drum(self) -> bool:
        return self.sound in DRUMS

    @field_validator("sound")
    @classmethod
    def _sound_exists(cls, text: str) -> str:
        if text not in DRUMS and text not in VOICES:
            raise ValueError(f"must be one of {', '.join([*DRUMS, *VOICES])}")
        return text

    @field_validator("low")
    @classmethod
    def _low_is_a_note(cls, text: str) -> str:
        midi_of(text)
        return text


class Section(Strict):
    """A stretch of the song: its chords, and what each part plays over them."""

    section: str
    chords: str
    play: dict[str, str]


class Song(Strict):
    """A song with its truth: tempo, key and genre are what was written, not what somebody measured."""

    title: str
    genre: str
    tempo_bpm: float = Field(gt=30, lt=300)
    key: str  # `C# minor`
    beats_per_bar: int = 4
    swing: float = Field(
        default=0.5, ge=0.5, le=0.7
    )  # where the off-beat lies in its pair: 0.5 straight, 0.67 triplets
    swing_beats: float = Field(default=1.0, gt=0)  # length of that pair: 1 swings eighths, 0.5 sixteenths
    room_s: float = Field(gt=0.1, lt=4)
    peak_dbfs: float = Field(lt=0)
    band: dict[str, Part]
    form: tuple[Section, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _can_be_played(self) -> Song:
        for section in self.form:
            if unknown := set(section.play) - set(self.band):
                raise ValueError(f"{section.section}: nobody in the band is called {', '.join(sorted(unknown))}")
        for part in self.band:
            self.notes(part)
        return self

    @property
    def name(self) -> str:
        """The song's id and file name."""
        return id_from_name(self.title)

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the key, tonic first."""
        tonic, mode = self.key.split()
        return tuple((pitch_class(tonic) + step) % 12 for step in SCALES[mode])

    @property
    def bars(self) -> int:
        return sum(section.chords.count("|") + 1 for section in self.form)

    @property
    def duration_s(self) -> float:
        """Length of the whole song, its tail included."""
        return self.seconds_at(self.bars * self.beats_per_bar) + TAIL_S

    def seconds_at(self, beat: float) -> float:
        """When a written beat is played: the tempo and the swing, nothing human."""
        pairs, within = divmod(beat / self.swing_beats, 1.0)
        swung = 2 * within * self.swing if within < 0.5 else self.swing + (2 * within - 1) * (1 - self.swing)
        return FIRST_BEAT_S + float(pairs + swung) * self.swing_beats * 60 / self.tempo_bpm

    def chords(self) -> list[Chord]:
        """The chord chart from the first bar to the last."""
        found, bar = [], 0
        for section in self.form:
            for names in section.chords.split("|"):
                each = self.beats_per_bar / len(names.split())
                for place, name in enumerate(names.split()):
                    beat = bar * self.beats_per_bar + place * each
                    found.append(Chord(beat, beat + each, *parse_chord(name)))
                bar += 1
        return found

    def notes(self, part_name: str) -> list[Note]:
        """Everything a part plays, as written. `ValueError` says which section cannot be read."""
        part, chords, bar, notes = self.band[part_name], self.chords(), 0, []
        for section in self.form:
            bars = section.chords.count("|") + 1
            text = section.play.get(part_name)
            try:
                if text and part.plays == "melody":
                    notes += list(self._melody(text, midi_of(part.low), bar, bars))
                elif text:
                    notes += list(self._pattern(text, part, chords, bar, bars))
            except (ValueError, KeyError) as error:
                raise ValueError(f"{section.section}, {part_name}: {error}") from error
            bar += bars
        return notes

    def _pattern(self, text: str, part: Part, chords: list[Chord], first_bar: int, bars: int) -> Iterator[Note]:
        measures = [measure.replace(" ", "") for measure in text.split("|")]
        starts = [chord.beat for chord in chords] + [chords[-1].end_beat]
        low = midi_of(part.low)
        for bar in range(bars):
            measure = measures[bar % len(measures)]
            step = self.beats_per_bar / len(measure)
            for place, sign in enumerate(measure):
                if sign in ".-":
                    continue
                beat = (first_bar + bar) * self.beats_per_bar + place * step
                at = max(index for index, start in enumerate(starts[:-1]) if start <= beat + 1e-9)
                held = len(measure[place + 1 :]) - len(measure[place + 1 :].lstrip("-")) + 1
                beats = starts[at + 1] - beat if part.ring else held * step
                velocity = ACCENTS.get(sign, 0.8) * (1.0 if beat % 1 < 1e-9 else 0.9 if beat % 0.5 < 1e-9 else 0.8)
                if part.is_drum:
                    yield Note(beat, step, None, velocity)
                    continue
                for rank, midi in enumerate(_tones(sign, chords[at], chords[min(at + 1, len(chords) - 1)], low)):
                    yield Note(beat, beats, midi, velocity, rank)

    def _melody(self, text: str, low: int, first_bar: int, bars: int) -> Iterator[Note]:
        tonic, mode = self.key.split()
        home, beat = _above(pitch_class(tonic), low), float(first_bar * self.beats_per_bar)
        for bar, measure in enumerate(text.split("|"), first_bar + 1):
            for word in measure.split():
                match = re.fullmatch(r"(?:([#b]?)([1-7])([',]*)|-)(?::([0-9.]+))?", word)
                if not match:
                    raise ValueError(f"not a note: {word}")
                beats = float(match[4] or 1)
                if match[2]:
                    octave = match[3].count("'") - match[3].count(",")
                    midi = home + SCALES[mode][int(match[2]) - 1] + 12 * octave
                    midi += {"#": 1, "b": -1}.get(match[1], 0)
                    # a singer leans on the beat and into the height of a phrase
                    velocity = 0.68 + 0.012 * max(0, midi - home) + (0.1 if beat % 1 == 0 else 0.0)
                    yield Note(beat, beats * 0.95, midi, min(1.0, velocity))
                beat += beats
            if abs(beat - bar * self.beats_per_bar) > 1e-9:
                raise ValueError(f"bar {bar - first_bar} of the melody does not hold {self.beats_per_bar} beats")
        if beat != (first_bar + bars) * self.beats_per_bar:
            raise ValueError(f"the melody does not last the {bars} bars of the section")


def _tones(sign: str, chord: Chord, following: Chord, low: int) -> list[int]:
    """MIDI notes of one sign of a pattern, lowest first."""
    if sign in ACCENTS:
        return chord.voicing(low)
    if sign == "p":
        root = _above(chord.root, low)
        return [root, root + 7, root + 12]
    if sign == "a":
        return [_above(following.bass, low + 1) - 1]
    return [chord.tone(sign, low)]


def _above(pitch: int, low: int) -> int:
    """The lowest MIDI note of a pitch class that is not below `low`."""
    return low + (pitch - low) % 12


def pitch_class(name: str) -> int:
    """0 (C) .. 11 (B) of a note name with `#` or `b`."""
    if not re.fullmatch(r"[A-G][#b]?", name):
        raise ValueError(f"not a note name: {name}")
    return (LETTERS[name[0]] + name.count("#") - name.count("b")) % 12


def midi_of(note: str) -> int:
    """MIDI number of a note: `A4` gives 69."""
    return pitch_class(note[:-1]) + 12 * (int(note[-1]) + 1)


def parse_chord(name: str) -> tuple[int, int, dict[int, int]]:
    """Root, bass and tones of a chord symbol: `Em7/D`."""
    match = re.fullmatch(r"([A-G][#b]?)([a-z0-9]*)(?:/([A-G][#b]?))?", name)
    if not match or match[2] not in QUALITIES:
        raise ValueError(f"not a chord: {name}")
    return pitch_class(match[1]), pitch_class(match[3] or match[1]), QUALITIES[match[2]]

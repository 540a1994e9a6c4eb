"""Songs of known key and tempo, written as General MIDI by chance: twelve styles, any key, fractional tempi.

A song is a four- or eight-bar progression repeated with bass, chords, a melody with chord tones on strong beats and
(in ten styles) drums. Timing and velocity jitter as with players. The same seed gives the same file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import mido
import numpy as np

T = TypeVar("T")
TICKS = 480
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROGRESSIONS = {  # degrees of the scale, from 1
    "major": ("1564", "1645", "1451", "1465", "6415", "1251", "1414", "1354", "2511", "1615", "14511445", "16251645"),
    "minor": ("1637", "1451", "1671", "1465", "1765", "1414", "1251", "1376", "1655", "1375", "14511455", "16371645"),
}
KICK, SNARE, HAT, OPEN_HAT, RIDE, TOM, SHAKER, RIM = 36, 38, 42, 46, 51, 45, 70, 37


@dataclass(frozen=True)
class Style:
    """Sixteen places a bar; `x` is a stroke, `X` an accent. `bpm`: middle and spread (lognormal) of its tempi."""

    name: str
    bpm: tuple[float, float]
    bass: tuple[int, ...]
    chords: tuple[int, ...]
    lead: tuple[int, ...]
    drums: tuple[dict[int, str], ...]
    bass_lines: tuple[str, ...]  # 1 root, 5 fifth, 8 octave, 3 third, - nothing
    comping: tuple[str, ...]
    swing: float = 0.5  # where the second eighth stands within the beat
    sevenths: bool = False


STYLES = (
    Style("rock", (122, 0.14), (33, 34), (29, 30, 27), (30, 29), (
        {KICK: "X-----x-X-------", SNARE: "----X-------X---", HAT: "x-x-x-x-x-x-x-x-"},
        {KICK: "X-x---x-X-x-----", SNARE: "----X-------X--x", OPEN_HAT: "x---x---x---x---"},
    ), ("1-1-1-1-1-1-1-1-", "1---1-1-1---5-1-"), ("x-x-x-x-x-x-x-x-", "X-----x-x-------")),
    Style("pop", (112, 0.16), (33, 39), (0, 4, 25), (80, 0, 73), (
        {KICK: "X-------X-x-----", SNARE: "----X-------X---", HAT: "x-x-x-x-x-x-x-x-"},
        {KICK: "X--x--x---x-----", SNARE: "----X-------X---", HAT: "xxxxxxxxxxxxxxxx"},
        {KICK: "X---X---X---X---", SNARE: "----X-------X---", SHAKER: "xxxxxxxxxxxxxxxx"},
    ), ("1-----1-1-------", "1--1--1-1-----5-"), ("X---x---x---x---", "X-----x---x-----", "X---------------")),
    Style("electronic", (126, 0.07), (38, 39), (81, 89, 90), (80, 81, 87), (
        {KICK: "X---X---X---X---", OPEN_HAT: "--x---x---x---x-", SNARE: "----x-------x---"},
        {KICK: "X---X---X---X---", HAT: "x-xxx-xxx-xxx-xx"},
    ), ("--1---1---1---1-", "1-11--1-1-11--18", "1111111111111111"), ("X---------------", "--x--x--x--x--x-")),
    Style("folk", (102, 0.18), (32,), (24, 25), (73, 40, 22), ({},), ("1-------5-------", "1---5---1---5---"),
          ("x-x-x-x-x-x-x-x-", "x---x-x---x-x-x-", "----x-------x---")),
    Style("jazz", (146, 0.22), (32,), (0, 26), (66, 56, 65), (
        {RIDE: "x---x-x-x---x-x-", HAT: "----x-------x---", KICK: "x---------------"},
        {RIDE: "x---x-x-x---x-x-", HAT: "----x-------x---", SNARE: "------x---------"},
    ), ("1---3---5---3---", "1---5---8---5---"), ("X-----x---------", "----x-----x-----"), 0.64, True),
    Style("hip hop", (90, 0.09), (38, 33), (4, 5, 48), (11, 80), (
        {KICK: "X--x------x-----", SNARE: "----X-------X---", HAT: "x-x-x-x-x-x-x-xx"},
        {KICK: "X------x--x---x-", SNARE: "----X-------X---", HAT: "x-x-x-x-x-x-x-x-"},
    ), ("1--1------5-----", "1-----------1-1-"), ("X---------------", "X-----x---------"), 0.56),
    Style("metal", (140, 0.18), (34,), (30,), (30,), (
        {KICK: "X-xxX-xxX-xxX-xx", SNARE: "----X-------X---", RIDE: "x---x---x---x---"},
        {KICK: "X-x-X-x-X-x-X-x-", SNARE: "--x---x---x---x-", HAT: "x---x---x---x---"},
    ), ("1-111-111-111-11", "1-1-1-1-1-1-1-1-"), ("x-xxx-xxx-xxx-xx", "X-------x-------")),
    Style("reggae", (76, 0.09), (33, 32), (16, 27), (56, 22), (
        {KICK: "--------X-------", RIM: "--------x-------", HAT: "x-x-x-x-x-x-x-x-"},
        {KICK: "X---X---X---X---", RIM: "--------x-------", HAT: "x--xx--xx--xx--x"},
    ), ("1---3-5---5-3---", "1-1-----1-5-----"), ("----x-------x---", "--x---x---x---x-")),
    Style("latin", (104, 0.18), (32, 33), (0, 24), (56, 73), (
        {KICK: "X--xX--xX--xX--x", RIM: "x--x---x--x-x---", SHAKER: "xxxxxxxxxxxxxxxx"},
        {KICK: "X-----x-X-----x-", RIM: "x--x--x---x--x--", HAT: "x-x-x-x-x-x-x-x-"},
    ), ("1--5--1-1--5--1-", "1-----5-----1---"), ("x--x--x---x-x---", "x-xx-xx-x-xx-xx-")),
    Style("ambient", (82, 0.16), (39, 89), (89, 91, 95), (88, 98), ({},), ("1---------------", "1-------5-------"),
          ("X---------------", "x-x-x-x-x-x-x-x-")),
    Style("funk", (106, 0.09), (36, 37), (4, 28, 7), (61, 65), (
        {KICK: "X-x----x--x-----", SNARE: "----X--x-x--X---", HAT: "xxxxxxxxxxxxxxxx"},
        {KICK: "X--x--x---x--x--", SNARE: "----X-------X--x", HAT: "x-x-x-x-x-x-x-x-"},
    ), ("1--1--8-1-1--5-8", "1-------1-81-5--"), ("--x--x----x--x--", "x-xx--x-x-xx--x-"), 0.5, True),
    Style("country", (116, 0.2), (33, 32), (25, 24), (105, 40, 22), (
        {KICK: "X-------X-------", SNARE: "----X-------X---", HAT: "x-x-x-x-x-x-x-x-"},
        {KICK: "X-------X-------", SNARE: "--x-X-x---x-X-x-"},
    ), ("1-------5-------", "1---5---1---5---"), ("----x-------x---", "x---x-x-x---x-x-")),
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A MIDI file and its truth."""

    path: Path
    style: str
    bpm: float
    key: str


def write_song(path: Path, seed: int, seconds: float = 45.0) -> Written:
    """Write song number `seed` as MIDI to `path`: style and mode go round, the rest is by chance."""
    random = np.random.default_rng([4417, seed])
    style = STYLES[seed % len(STYLES)]
    mode = ("major", "minor")[(seed // len(STYLES)) % 2]
    tonic = int(random.integers(12))
    middle, spread = style.bpm
    bpm = round(float(np.clip(middle * np.exp(spread * random.standard_normal()), 55, 200)), 2)
    bars = max(4, 4 * round(seconds * bpm / 60 / 16))
    scale = SCALES[mode]
    degrees = [int(d) for d in random.choice(PROGRESSIONS[mode])]
    other = [int(d) for d in random.choice(PROGRESSIONS[mode])]

    def pick(choices: Sequence[T]) -> T:
        return choices[int(random.integers(len(choices)))]

    drums, bass_line, comping = pick(style.drums), pick(style.bass_lines), pick(style.comping)
    programs = [pick(style.bass), pick(style.chords), pick(style.lead)]
    level = random.integers(70, 105, 4)
    notes: list[tuple[float, float, int, int, int]] = []  # start and length in beats, channel, pitch, velocity

    def place(step: int) -> float:
        beat, rest = divmod(step, 4)
        return beat + {0: 0.0, 1: style.swing / 2, 2: style.swing, 3: (1 + style.swing) / 2}[rest]

    for bar in range(bars):
        section = degrees if (bar // 8) % 3 != 2 else other
        degree = 1 if bar == bars - 1 else section[bar % len(section)]
        chord = [scale[(degree - 1 + third) % 7] + 12 * ((degree - 1 + third) // 7) for third in (0, 2, 4, 6)]
        if mode == "minor" and degree == 5 and random.random() < 0.8:
            chord[1] += chord[1] % 12 == 10
        tones = chord if style.sevenths else chord[:3]
        for step, mark in enumerate(bass_line):
            if mark != "-":
                pitch = (
                    28
                    + (tonic + chord[0] - 28) % 12
                    + {"1": 0, "8": 12, "5": chord[2] - chord[0], "3": chord[1] - chord[0]}[mark]
                )
                notes.append((4 * bar + place(step), 0.4 if "1111" in bass_line else 0.9, 0, pitch, level[0]))
        for step, mark in enumerate(comping):
            if mark != "-":
                length = 3.8 if comping.count("-") > 14 else 0.7
                notes += [(4 * bar + place(step), length, 1, 52 + (tonic + t - 52) % 12, level[1] - 12) for t in tones]
        if random.random() < 0.8:
            step = 0
            while step < 16:
                length = int(random.choice([2, 2, 4, 4, 6, 8]))
                strong = step % 8 == 0
                tone = int(random.choice(chord[:3])) if strong else scale[int(random.integers(7))]
                if mode == "minor" and degree == 5 and tone % 12 == 10:
                    tone += 1
                if random.random() < 0.85:
                    notes.append((4 * bar + place(step), length / 4.5, 2, 64 + (tonic + tone - 64) % 12, level[2]))
                step += length
        fill = drums and bar % 8 == 7
        for sound, line in drums.items():
            for step, mark in enumerate(line):
                if mark != "-" and not (fill and step >= 12):
                    notes.append((4 * bar + place(step), 0.2, 9, sound, level[3] + (12 if mark == "X" else -8)))
        if fill:
            notes += [(4 * bar + place(step), 0.2, 9, TOM, level[3]) for step in range(12, 16)]
    messages = []
    for start, length, channel, pitch, velocity in notes:
        start += random.normal(0, 0.004) * bpm / 60
        velocity = int(np.clip(velocity + random.normal(0, 6), 20, 127))
        start_tick = max(0, round(start * TICKS))
        messages.append((start_tick, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
        end_tick = start_tick + max(20, round(length * TICKS))
        messages.append((end_tick, mido.Message("note_off", channel=channel, note=pitch)))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60e6 / bpm))])
    track += [mido.Message("program_change", channel=c, program=p) for c, p in enumerate(programs)]
    now = 0
    for tick, message in sorted(messages, key=lambda one: (one[0], one[1].type == "note_on")):
        track.append(message.copy(time=tick - now))
        now = tick
    mido.MidiFile(ticks_per_beat=TICKS, tracks=[track]).save(path)
    return Written(path, style.name, bpm, f"{TONICS[tonic]} {mode}")

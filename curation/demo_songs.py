"""Eight original songs, rendered: what `buscomp demo` feeds to the rest when nobody has brought music.

The scores stand beside this file, one `song-*.yaml` each. Rendering is deterministic: same machine, same numpy and
scipy, same bytes. The mixes are what a mixing engineer hands over before mastering: balanced, panned, in a room, with
nothing on the master bus, so 13 to 19 dB from RMS to peak. They carry their truth (tempo, key), which tests of
annotation use.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from ..manifests.levels import from_db
from ..manifests.pcm import quantise, write_wav
from ..manifests.storage import write_text
from ..manifests.yaml_file import load_yaml
from .drum_kit import DRUMS
from .score import Note, Part, Song
from .synthesis import SAMPLE_RATE, VOICES, Random, Sound, band, frequency_of, room

STROKES = 5  # different recordings of each drum, played in turn
FADE_S = 1.5
DRUM_JITTER_S, JITTER_S = 0.002, 0.005  # standard deviations; nobody is further off than twice that


DEMO_SONGS = tuple(load_yaml(path, Song) for path in sorted(Path(__file__).parent.glob("song-*.yaml")))


def render_demo_songs(folder: Path, seconds: float | None = None) -> list[Path]:
    """Render the songs into `folder` as 44.1 kHz, 24-bit stereo WAV with `songs.csv` beside them; gives their paths.

    A song that is there already at the right length is left as it is. `seconds` keeps only the beginning of each.
    """
    paths = []
    for song in DEMO_SONGS:
        path = folder / f"{song.name}.wav"
        if not _is_rendered(path, _frames(song, seconds)):
            write_wav(path, quantise(render_song(song, seconds)), SAMPLE_RATE)
        paths.append(path)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["file", "title", "artist", "source", "license"])
    rows.writerows([f"{song.name}.wav", song.title, "buscomp", "rendered by buscomp", "CC0-1.0"] for song in DEMO_SONGS)
    listing = folder / "songs.csv"
    if not listing.exists() or listing.read_text(encoding="utf-8") != table.getvalue():
        write_text(listing, table.getvalue())
    return paths


def render_song(song: Song, seconds: float | None = None) -> Sound:
    """The mix `(frames, 2)`, its peak at the song's `peak_dbfs`, its last second and a half faded."""
    mix = mix_song(song, seconds)
    fade = round(min(FADE_S, len(mix) / SAMPLE_RATE / 4) * SAMPLE_RATE)
    mix[len(mix) - fade :] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fade))[:, None]
    return mix * (from_db(song.peak_dbfs) / max(float(np.abs(mix).max(initial=0)), 1e-9))


def mix_song(song: Song, seconds: float | None = None, only: Collection[str] | None = None) -> Sound:
    """The band before the master fader, `(frames, 2)`. `only` lets just those parts be heard."""
    frames = _frames(song, seconds)
    dry, sent = np.zeros((2, frames)), np.zeros((2, frames))
    for name, part in song.band.items():
        if only is not None and name not in only:
            continue
        notes = [note for note in song.notes(name) if song.seconds_at(note.beat) < frames / SAMPLE_RATE]
        for take, pan in enumerate(part.pan):
            random = np.random.default_rng(zlib.crc32(f"{song.name}/{name}/{take}".encode()))
            track = _amplified(_played(song, part, notes, frames, random), part) / np.sqrt(len(part.pan))
            angle = (pan + 1) * np.pi / 4
            for side, gain in enumerate((np.cos(angle), np.sin(angle))):  # equal power
                dry[side] += gain * track
                sent[side] += gain * part.room * track
    response = room(song.room_s, np.random.default_rng(zlib.crc32(song.name.encode())))
    return np.ascontiguousarray((dry + signal.oaconvolve(sent, response.T, axes=1)[:, :frames]).T)


def _frames(song: Song, seconds: float | None) -> int:
    whole = round(song.duration_s * SAMPLE_RATE)
    return whole if seconds is None else min(whole, round(seconds * SAMPLE_RATE))


def _is_rendered(path: Path, frames: int) -> bool:
    if not path.exists():
        return False
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError:
        return False
    found = (info.frames, info.samplerate, info.channels, info.subtype)
    return bool(found == (frames, SAMPLE_RATE, 2, "PCM_24"))


def _played(song: Song, part: Part, notes: list[Note], frames: int, random: Random) -> Sound:
    """One take of a part, mono: every note a little early or late, a little softer or harder."""
    track = np.zeros(frames)
    strokes = [DRUMS[part.sound](random) for _ in range(STROKES)] if part.is_drum else []
    deviation = DRUM_JITTER_S if part.is_drum else JITTER_S
    late = 0.0
    for count, note in enumerate(notes):
        if note.rank == 0:
            late = float(np.clip(random.normal(0, deviation), -2 * deviation, 2 * deviation))
        start_s = song.seconds_at(note.beat) + late + note.rank * part.strum_ms / 1000
        velocity = float(np.clip(note.velocity * (1 + random.normal(0, 0.05)), 0.05, 1))
        if note.midi is None:
            sound = strokes[count % STROKES] * velocity**1.5
        else:
            held_s = song.seconds_at(note.beat + note.beats) - song.seconds_at(note.beat)
            sound = VOICES[part.sound](frequency_of(note.midi), held_s, velocity, random)
        start = max(0, round(start_s * SAMPLE_RATE))
        sound = sound[: max(0, frames - start)]
        track[start : start + len(sound)] += sound
    return track


def _amplified(track: Sound, part: Part) -> Sound:
    """A take at the part's level, through its low cut and its amplifier."""
    track = band(track, part.low_cut_hz, None)
    if part.drive_db is not None:
        driven = band(track / _playing_rms(track), None, 3000) * from_db(part.drive_db)
        track = band(np.tanh(driven), 90, 4500)
    return track * (from_db(part.level_db) / _playing_rms(track))


def _playing_rms(track: Sound) -> float:
    """RMS over the 50 ms blocks within 30 dB of the loudest: of the playing, not of the rests."""
    block = SAMPLE_RATE // 20
    power = np.square(np.pad(track, (0, -len(track) % block))).reshape(-1, block).mean(axis=1)
    playing = power[power >= power.max() * 1e-3]
    return max(float(np.sqrt(playing.mean())), 1e-9)

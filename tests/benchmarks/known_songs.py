"""The songs of known key and tempo by which annotation is trained (development) and judged (test).

| part        | group          | source                                                        | tempo | key |
|-------------|----------------|---------------------------------------------------------------|-------|-----|
| development | scripted       | `scripted_songs`, numbers 0 to 119                            | yes   | yes |
|             | accompaniments | MMA's styles under our chords, numbers 0 to 259               | yes   | yes |
|             | freedoom       | MIDI by people (package freedoom)                             | yes   |     |
|             | chorales       | Bach's, not those of the test part nor their tunes            |       | yes |
|             | melodies       | fiddle tunes alone (Ryan)                                     |       | yes |
| test        | scripted       | `scripted_songs`, numbers 1000 and more, half with TimGM6mb   | yes   | yes |
|             | openmsx        | MIDI by people (package openttd-openmsx)                      | yes   |     |
|             | chorales       | the 20 of Bach's that a person analysed                       |       | yes |
|             | demo           | the demo songs, made by buscomp's own instruments             | yes   | yes |
|             | melodies       | fiddle tunes alone (O'Neill): hard, and told apart            |       | yes |

**Nothing is chosen by the test part**: not a feature, not a weight, not a threshold. `train_annotation.py` reads the
development part only. Of the test groups, openmsx, chorales, demo and melodies come from elsewhere than anything that
was trained on; scripted comes from the same hand as a development group, with other numbers, so it flatters whatever
was trained here. The SoundFont TimGM6mb and the instruments of the demo songs are heard in the test part only.

A group whose source is not on this machine is left out, and said to be.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from buscomp.annotation.mono import ANALYSIS_RATE
from buscomp.curation.demo_songs import DEMO_SONGS, render_song
from buscomp.manifests.pcm import Float32
from buscomp.manifests.storage import write_text, write_whole
from buscomp.tests.benchmarks import accompaniments, chorales, game_music, melodies, scripted_songs
from buscomp.tests.benchmarks.rendering import (
    FLUID,
    OPL,
    TIM,
    Clip,
    MissingSourceError,
    Song,
    Sources,
    fluidsynth_version,
    render,
    write_clip,
)

RATE, SECONDS = 44_100, 45.0  # of the test part
DEVELOPMENT_RATE, DEVELOPMENT_SECONDS = ANALYSIS_RATE, 34.0  # no estimator of ours hears more, and it is half the work
ALONE = "melodies"  # a test group that is told apart: no mix sounds like it


@dataclass(frozen=True)
class Part:
    """The clips that could be made, and why others could not: a line a group."""

    clips: list[Clip]
    missing: list[str]


def development_part(cache: Path, sources: Sources, jobs: int = 1) -> Part:
    """What may be looked at, trained on, chosen by."""
    return _part(
        cache,
        sources,
        jobs,
        {
            "scripted": lambda folder: _scripted(folder, range(120), (FLUID, FLUID, FLUID, OPL)),
            "accompaniments": lambda folder: accompaniments.write_songs(folder, sources, range(260)),
            "freedoom": lambda folder: game_music.freedoom(folder, sources),
            "chorales": chorales.development_chorales,
            "melodies": melodies.development_melodies,
        },
        "development",
        DEVELOPMENT_RATE,
        DEVELOPMENT_SECONDS,
    )


def untouched_part(cache: Path, sources: Sources, jobs: int = 1) -> Part:
    """What only the final table may hear."""
    part = _part(
        cache,
        sources,
        jobs,
        {
            "scripted": lambda folder: _scripted(folder, range(1000, 1280, 7), (FLUID, TIM)),
            "openmsx": lambda folder: game_music.openmsx(folder, sources),
            "chorales": chorales.test_chorales,
            "melodies": melodies.test_melodies,
        },
        "test",
        RATE,
        SECONDS,
    )
    return Part(part.clips + _demo(cache), part.missing)


def _part(
    cache: Path,
    sources: Sources,
    jobs: int,
    groups: dict[str, Callable[[Path], list[Song]]],
    name: str,
    rate: int,
    seconds: float,
) -> Part:
    clips: list[Clip] = []
    missing: list[str] = []
    for group, write in groups.items():
        try:
            fluidsynth_version()
            songs = _written(cache / "midi" / f"{name}-{group}-{_made_by(write)}", write)
            for font in {song.soundfont for song in songs}:
                sources.soundfont(font)
        except MissingSourceError as error:
            missing.append(f"{name} {group}: {error}")
            continue
        with ThreadPoolExecutor(jobs) as pool:  # fluidsynth is a process of its own
            rendered = pool.map(lambda song, group=group: render(song, group, cache, sources, rate, seconds), songs)
            clips += tqdm(rendered, f"{name} {group}", len(songs), disable=None, leave=False)
    return Part(clips, missing)


def _made_by(write: Callable[[Path], list[Song]]) -> str:
    """Changes with the code that writes these songs."""
    code: tuple[Any, ...] = (write, _scripted, accompaniments, chorales, game_music, melodies, scripted_songs)
    return hashlib.sha256("".join(inspect.getsource(each) for each in code).encode()).hexdigest()[:12]


def _written(folder: Path, write: Callable[[Path], list[Song]]) -> list[Song]:
    """The songs that `write` puts into `folder`, or has put there before."""
    listing = folder / "songs.json"
    if not listing.exists():
        folder.mkdir(parents=True, exist_ok=True)
        songs = write(folder)
        write_text(listing, json.dumps([asdict(song) | {"midi": str(song.midi)} for song in songs], indent=1))
    return [Song(**row | {"midi": Path(row["midi"])}) for row in json.loads(listing.read_text())]


def _scripted(folder: Path, numbers: range, soundfonts: tuple[str, ...]) -> list[Song]:
    songs = []
    for place, number in enumerate(numbers):
        written = scripted_songs.write_song(folder / f"scripted-{number:04d}.mid", number, SECONDS)
        effects = bool(np.random.default_rng(number).random() < 0.5)
        soundfont = soundfonts[place % len(soundfonts)]
        songs.append(Song(written.path.stem, written.path, written.bpm, written.key, soundfont, effects))
    return songs


def _demo(cache: Path) -> list[Clip]:
    """The demo songs, which need no source: buscomp makes their sound."""
    clips = []
    for song in DEMO_SONGS:
        path = cache / "audio" / f"demo-{song.name}.flac"

        def write(temporary: Path, song=song) -> None:
            audio: Float32 = render_song(song, SECONDS).astype(np.float32)
            write_clip(temporary, audio, RATE)

        if not path.exists():
            write_whole(path, write)
        clips.append(Clip(song.name, "demo", path, song.tempo_bpm, song.key))
    return clips

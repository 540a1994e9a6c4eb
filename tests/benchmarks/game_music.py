"""MIDI music of two free games, for its tempo: arrangements by people, of many styles.

`freedoom` (development): inside the WAD files of the package freedoom. `openmsx` (test): openttd-openmsx. The tempo is
the one that the file holds for at least 90 % of its time; files without such a one are left out.
"""

from __future__ import annotations

import struct
from pathlib import Path

import mido

from buscomp.tests.benchmarks.rendering import FLUID, OPL, Song, Sources, dominant_tempo

HELD = 0.9


def freedoom(folder: Path, sources: Sources) -> list[Song]:
    """The songs of freedoom, written into `folder`. Every fourth is to be rendered with another SoundFont."""
    songs = []
    for wad in ("freedoom1", "freedoom2"):
        data = sources.find(f"games/doom/{wad}.wad", "freedoom").read_bytes()
        count, directory = struct.unpack_from("<ii", data, 4)
        for entry in range(count):  # the directory: where a lump begins, its size, its name
            place, size, name = struct.unpack_from("<ii8s", data, directory + 16 * entry)
            if data[place : place + 4] == b"MThd":
                path = folder / f"{wad}-{name.rstrip(bytes(1)).decode('latin1').lower()}.mid"
                path.write_bytes(data[place : place + size])
                songs.append(path)
    return _held(songs, (FLUID, FLUID, FLUID, OPL))


def openmsx(folder: Path, sources: Sources) -> list[Song]:
    """The songs of OpenMSX, where they were found."""
    return _held(sorted(sources.find("games/openttd/baseset/openmsx", "openttd-openmsx").glob("*.mid")), (FLUID,))


def _held(paths: list[Path], soundfonts: tuple[str, ...]) -> list[Song]:
    songs = []
    for place, path in enumerate(paths):
        bpm, share = dominant_tempo(mido.MidiFile(path))
        if share >= HELD:
            songs.append(Song(path.stem, path, bpm, None, soundfonts[place % len(soundfonts)]))
    return songs

"""A few songs at a few settings, some seconds each: small enough to publish beside a paper, and still a dataset.

The choice is the same every time: songs from each side of the split in turn and settings from the grid and from the
random ones in turn, evenly spaced in their order; of each song the loudest window, where a compressor has most to do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..manifests.pcm import Int32, read_pcm
from .export_selection import Selection
from .export_tree import Window, write_tree

HOP_S = 0.1


def choose(selection: Selection, number: int) -> Selection:
    """At most `number` songs at `number` settings of `selection`."""
    side_of = {
        song: split.partition("_")[0]
        for song, split in zip(*(selection.takes[name].to_pylist() for name in ("song_id", "split")), strict=True)
        if split != "unused"
    }
    sides: dict[str, list[str]] = {}
    for song_id in selection.songs:
        sides.setdefault(side_of.get(song_id, "unused"), []).append(song_id)
    songs = spread([sorted(group) for _, group in sorted(sides.items())], number)
    takes = selection.takes.filter(pc.is_in(selection.takes["song_id"], pa.array(songs)))
    origins: dict[str, list[str]] = {}
    captured = set(takes["setting_id"].to_pylist())
    for setting_id, row in sorted(selection.settings.items(), key=lambda item: item[1]["visit_order"]):
        if setting_id in captured:
            origins.setdefault(row["origin"], []).append(setting_id)
    settings = spread([group for _, group in sorted(origins.items())], number)
    takes = takes.filter(pc.is_in(takes["setting_id"], pa.array(settings)))
    heard = set(takes["song_id"].to_pylist())
    return dataclasses.replace(
        selection,
        takes=takes,
        songs={song_id: row for song_id, row in selection.songs.items() if song_id in heard},
        settings={setting_id: row for setting_id, row in selection.settings.items() if setting_id in settings},
        annotations={song_id: row for song_id, row in selection.annotations.items() if song_id in heard},
    )


def spread(groups: Sequence[Sequence[str]], number: int) -> list[str]:
    """`number` of all members, as evenly from each group as they allow, and evenly spaced within each."""
    counts = [0] * len(groups)
    wanted = min(number, sum(map(len, groups)))
    while sum(counts) < wanted:
        for place, group in enumerate(groups):
            if counts[place] < len(group) and sum(counts) < wanted:
                counts[place] += 1
    places = [np.linspace(0, len(group) - 1, count).round() for group, count in zip(groups, counts, strict=True)]
    return [group[int(place)] for group, its in zip(groups, places, strict=True) for place in its]


def loudest_window(pcm: Int32, sample_rate: int, window_s: float) -> Window:
    """The window `(frames, channels)` of `window_s` with the most energy, begun at a multiple of 0.1 s; a shorter song
    is taken whole."""
    frames = round(window_s * sample_rate)
    if frames >= len(pcm):
        return Window(0, len(pcm))
    energy = np.concatenate([[0.0], np.cumsum(np.square(pcm, dtype=np.float64).sum(axis=1))])
    starts = np.arange(0, len(pcm) - frames + 1, round(HOP_S * sample_rate))
    return Window(int(starts[np.argmax(energy[starts + frames] - energy[starts])]), frames)


def write_excerpt(selection: Selection, folder: Path, window_s: float) -> dict[str, Window]:
    """Write the dataset of `selection` into `folder`, one window of every song; the windows by song_id."""
    windows = {}
    for song_id, song in selection.songs.items():
        pcm, sample_rate = read_pcm(selection.dataset.file(song["dry_path"]))
        windows[song_id] = loudest_window(pcm, sample_rate, window_s)
    write_tree(selection, folder, lambda: None, windows)
    return windows

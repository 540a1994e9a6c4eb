"""Renders the songs of known key and tempo once, so that training and judging find them:

    apt-get install fluidsynth fluid-soundfont-gm opl3-soundfont timgm6mb-soundfont mma
    apt-get download openttd-openmsx freedoom; for each: dpkg -x PACKAGE.deb UNPACKED
    pip install music21
    python tests/benchmarks/render_songs.py [--cache FOLDER] [--sources UNPACKED] [--jobs 2] [--only test]

A source that is missing leaves its group out. What they are and how the parts differ: `known_songs.py`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from buscomp.tests.benchmarks.known_songs import development_part, untouched_part
from buscomp.tests.benchmarks.rendering import Sources, cache_folder

PARTS = {"development": development_part, "test": untouched_part}


def add_places(parser: argparse.ArgumentParser) -> None:
    """The options by which a script finds songs."""
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where MIDI and audio are kept")
    parser.add_argument("--sources", type=Path, action="append", default=[], help="where packages were unpacked")
    parser.add_argument("--jobs", type=int, default=1, help="songs that are rendered at once")


def main() -> None:
    """Render, and print a line per group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_places(parser)
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    for name in [given.only] if given.only else PARTS:
        part = PARTS[name](given.cache, Sources(tuple(given.sources)), given.jobs)
        for group, count in Counter(clip.group for clip in part.clips).items():
            these = [clip for clip in part.clips if clip.group == group]
            tempi, keys = sum(clip.bpm is not None for clip in these), sum(clip.key is not None for clip in these)
            print(f"{name} {group}: {count} songs, {tempi} of known tempo, {keys} of known key")
        for line in part.missing:
            print(f"left out: {line}")


if __name__ == "__main__":
    main()

"""Songs that must not straddle: what was learned of one would be known of the other.

Equal samples, an acoustic duplicate, or equal title and artist make two songs one group, and so does a chain of such
likenesses. Grouping by artist is a choice: then all songs of an artist are one group, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def same_content(songs: Iterable[Mapping[str, Any]], by_artist: bool = False) -> list[list[str]]:
    """song_ids in sorted groups, sorted by their first: every song is in one of them.

    `songs` are rows of the table; of the columns dry_sha256, duplicate_of, title and artist those that are there count.
    Two duplicates of a third song are alike even where that one is not among `songs`. A song without an artist is
    nobody's.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = sorted(songs, key=lambda song: str(song["song_id"]))
    if not rows:
        return []
    number: dict[tuple[str, ...], int] = {}
    edges = [
        (place, number.setdefault(mark, len(rows) + len(number)))
        for place, song in enumerate(rows)
        for mark in _marks(song, by_artist)
    ]
    ends = tuple(zip(*edges, strict=True))
    nodes = len(rows) + len(number)
    graph = coo_array(([True] * len(edges), ends), shape=(nodes, nodes))
    _, components = connected_components(graph, directed=False)
    groups: dict[int, list[str]] = {}
    for song, component in zip(rows, components, strict=False):  # the nodes after the songs are marks
        groups.setdefault(int(component), []).append(song["song_id"])
    return list(groups.values())


def _marks(song: Mapping[str, Any], by_artist: bool) -> list[tuple[str, ...]]:
    """Songs that share a mark are alike."""
    title, artist = _folded(song.get("title")), _folded(song.get("artist"))
    marks: list[tuple[str, ...]] = [("duplicate", song["song_id"])]
    if song.get("duplicate_of"):
        marks.append(("duplicate", song["duplicate_of"]))
    if song.get("dry_sha256"):
        marks.append(("samples", song["dry_sha256"]))
    if title:
        marks.append(("name", title, artist))
    if by_artist and artist:
        marks.append(("artist", artist))
    return marks


def _folded(text: str | None) -> str:
    return " ".join((text or "").casefold().split())

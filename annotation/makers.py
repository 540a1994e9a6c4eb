"""Who fills which field: the backends that were asked for by name, then the defaults for what is left.

A field of a song is made by one backend, the first that gives it. Segments are made by every backend that gives them,
each its own. A value is made anew when it is missing, of other samples, or of another version of its maker. The values
of a backend that was asked for once, in an earlier run, are left alone by defaults: only asking for another displaces
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .backend import BACKENDS, DEFAULT, RETIRED, SEGMENTS, Choice, create, installed

Row = dict[str, Any]
PREFIXES = {
    "tempo_bpm": "tempo",
    "key": "key",
    "genres": "genres",
    "instruments": "instruments",
    "embedding": "embedding",
}
SEGMENT_PREFIXES = ("caption", "tags", "embedding")


@dataclass(frozen=True)
class Maker:
    """A backend in use, and the fields that it fills. `asked`: by name, not by default."""

    choice: Choice
    name: str
    version: str
    fields: tuple[str, ...]
    asked: bool


def makers(asked: Sequence[Choice]) -> list[Maker]:
    """The backends in use, when those of `asked` are named. A default whose package is not installed is left out."""
    named = {choice.name for choice in asked}
    defaults = [Choice(name) for name in DEFAULT if name not in named and installed(BACKENDS[name])]
    taken: set[str] = set()
    found = []
    for choice in dict.fromkeys([*asked, *defaults]):
        backend = create(choice)
        fields = tuple(field for field in backend.gives if field == SEGMENTS or field not in taken)
        taken.update(fields)
        if choice in asked or set(fields) - {SEGMENTS}:
            found.append(Maker(choice, backend.name, backend.version, fields, choice in asked))
    return found


def missing_defaults() -> list[str]:
    """Defaults that cannot run, because their package is not installed."""
    return [name for name in DEFAULT if not installed(BACKENDS[name])]


def to_make(
    maker: Maker, song: Row, row: Row | None, segments: Iterable[Row], corrected: Mapping[str, Any]
) -> tuple[str, ...]:
    """Of the maker's fields those that it must make for `song`. `row` and `segments` are what stands in the tables,
    `corrected` what a person says."""
    return tuple(
        field
        for field in maker.fields
        if not (
            _has_segments(maker, song, segments)
            if field == SEGMENTS
            else field in corrected or (row is not None and _stands(maker, song, row, PREFIXES[field]))
        )
    )


def _stands(maker: Maker, song: Row, row: Row, prefix: str) -> bool:
    name = row.get(f"{prefix}_backend")
    if name is None or row.get("dry_sha256") != song["dry_sha256"]:
        return False
    if name == maker.name:
        return bool(row.get(f"{prefix}_version") == maker.version)
    return not maker.asked and name not in RETIRED


def _has_segments(maker: Maker, song: Row, segments: Iterable[Row]) -> bool:
    wanted = (maker.name, maker.version, song["dry_sha256"])
    return any((*made_by(segment), segment.get("dry_sha256")) == wanted for segment in segments)


def made_by(segment: Row) -> tuple[str | None, str | None]:
    """Backend and version of a row of `segments`: each row is of one backend."""
    prefix = next((prefix for prefix in SEGMENT_PREFIXES if segment.get(f"{prefix}_backend")), SEGMENT_PREFIXES[0])
    return segment.get(f"{prefix}_backend"), segment.get(f"{prefix}_version")

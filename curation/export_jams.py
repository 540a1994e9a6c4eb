"""What was heard in each song, as JAMS (JSON Annotated Music Specification, Humphrey et al., ISMIR 2014).

One file per song: tempo, key_mode, and open tags for genres and instruments; those that a controlled list knows stand
in that list as well. Every annotation names the program that made it, and its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..manifests.errors import DatasetError
from .export_selection import Row, Selection

if TYPE_CHECKING:
    import jams

LISTS = {"genres": ("genre", "tag_gtzan"), "instruments": ("instrument", "tag_medleydb_instruments")}


def write_jams(selection: Selection, folder: Path, corpus: str, count: Callable[[], None]) -> None:
    """`folder`/<song_id>.jams for every song that has annotations. Each file is validated as it is written.

    `DatasetError` when no song has any.
    """
    if not selection.annotations:
        raise DatasetError("no song has annotations", mend="type `buscomp annotate` first")
    segments: dict[str, list[Row]] = {}
    if selection.dataset.table_path("segments").exists():
        for segment in selection.dataset.rows("segments"):
            segments.setdefault(segment["song_id"], []).append(segment)
    for song_id, heard in selection.annotations.items():
        song = selection.songs[song_id]
        jam = song_jams(song, heard, segments.get(song_id, []), corpus)
        jam.save(str(folder / f"{song_id}.jams"), strict=True)
        count()


def song_jams(song: Row, heard: Row, segments: Iterable[Row], corpus: str) -> jams.JAMS:
    """One song's annotations. Keys are written as JAMS wants them: `C# major` becomes `C#:major`."""
    import jams

    duration_s = song["duration_s"]
    jam = jams.JAMS()
    jam.file_metadata.duration = duration_s
    jam.file_metadata.title = song["title"] or ""
    jam.file_metadata.artist = song["artist"] or ""
    jam.file_metadata.identifiers = jams.Sandbox(song_id=song["song_id"], dry_sha256=heard["dry_sha256"])
    jam.sandbox = jams.Sandbox(license=song["license"] or "", source=song["source"] or "")

    def annotation(namespace: str, backend: str) -> jams.Annotation:
        metadata = jams.AnnotationMetadata(
            corpus=corpus,
            version=heard.get(f"{backend}_version") or "",
            annotation_tools=heard.get(f"{backend}_backend") or "",
            data_source="program",
        )
        added = jams.Annotation(namespace=namespace, time=0.0, duration=duration_s, annotation_metadata=metadata)
        jam.annotations.append(added)
        return added

    def whole(into: jams.Annotation, value: Any, confidence: float | None = None) -> None:
        into.append(time=0.0, duration=duration_s, value=value, confidence=confidence)

    if heard["tempo_bpm"] is not None:
        whole(annotation("tempo", "tempo"), heard["tempo_bpm"], heard["tempo_confidence"])
    if heard["key"] is not None:
        whole(annotation("key_mode", "key"), heard["key"].replace(" ", ":"), heard["key_confidence"])
    for column, (noun, controlled) in LISTS.items():
        names = heard[column] or []
        if names:
            tags = annotation("tag_open", column)
            for name in names:
                whole(tags, f"{noun}:{name}")
        if known := [name.lower() for name in names if name.lower() in jams.schema.values(controlled)]:
            tags = annotation(controlled, column)
            for name in known:
                whole(tags, name)
    pieces = sorted(segments, key=lambda segment: segment["start_s"])
    if any(segment["caption"] for segment in pieces):
        captions = annotation("segment_open", "captions")
        for segment in pieces:
            if segment["caption"]:
                length_s = segment["end_s"] - segment["start_s"]
                captions.append(time=segment["start_s"], duration=length_s, value=segment["caption"], confidence=None)
    return jam

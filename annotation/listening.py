"""One song heard by the backends that have something to say about it: the part that runs in worker processes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..manifests.errors import DatasetError
from ..manifests.pcm import read_audio
from .backend import SEGMENTS, Backend, Choice, Segment, Value, create
from .makers import PREFIXES

Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A song, its dry audio, and who is to make which fields of it."""

    song_id: str
    dry_sha256: str
    path: Path
    wanted: tuple[tuple[Choice, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Heard:
    """Columns of `annotations` and rows of `segments` for a song; `error`: why there is nothing (more)."""

    columns: Row = field(default_factory=dict)
    segments: list[Row] = field(default_factory=list)
    error: str | None = None


def listen(task: Task) -> Heard:
    """Everything that is wanted of a song. A file that is missing or damaged, or a backend that fails on it, is told as
    `error`, beside what was heard before: one bad song must not end a long run."""
    columns: Row = {}
    rows: list[Row] = []
    try:
        audio, sample_rate = read_audio(task.path)
        for choice, wanted in task.wanted:
            backend = backend_of(choice)
            values = backend.annotate(audio, sample_rate)
            for name in wanted:
                if name == SEGMENTS:
                    rows += segment_rows(task, backend, values[name].value, len(audio) / sample_rate)
                else:
                    columns |= song_columns(backend, name, values[name])
    except DatasetError as error:
        return Heard(columns, rows, f"{task.song_id}: {error}")
    return Heard(columns, rows)


def died(task: Task) -> Heard:
    """For a song on which the worker process crashed."""
    return Heard(error=f"{task.song_id}: the process that listened to it died")


@lru_cache(maxsize=16)
def backend_of(choice: Choice) -> Backend:
    """The backend of `choice`, made once in each process, so that its model is loaded once."""
    return create(choice)


def song_columns(backend: Backend, name: str, value: Value) -> Row:
    """`value` of the field `name` with its confidence, backend, version and candidates, as columns of `annotations`."""
    prefix = PREFIXES[name]
    if name == "embedding" and value.value is not None and not all(map(math.isfinite, value.value)):
        raise DatasetError(f"{backend.name} gave an embedding with numbers that are not finite")
    columns = {
        name: value.value,
        f"{prefix}_confidence": value.confidence,
        f"{prefix}_backend": backend.name,
        f"{prefix}_version": backend.version,
    }
    if name != "embedding":
        columns[f"{prefix}_candidates"] = [f"{_told(one)}={score:.4g}" for one, score in value.candidates] or None
    return columns


def _told(candidate: Any) -> str:
    return f"{candidate:.3f}" if isinstance(candidate, float) else str(candidate)


def segment_rows(task: Task, backend: Backend, heard: Iterable[Segment] | None, duration_s: float) -> list[Row]:
    """Rows of `segments`. Where nothing was heard there is one row without content, so that it is not tried again."""
    rows = []
    for place, segment in enumerate(heard or (Segment(0.0, duration_s),)):
        row: Row = {
            "song_id": task.song_id,
            "dry_sha256": task.dry_sha256,
            "segment": place,
            "start_s": segment.start_s,
            "end_s": segment.end_s,
        }
        who = {"backend": backend.name, "version": backend.version}
        if segment.caption is not None or segment.answer is not None:
            row |= {"caption": segment.caption, "caption_confidence": segment.confidence}
            row |= {"caption_prompt": segment.prompt, "caption_answer": segment.answer}
            row |= {f"caption_{name}": told for name, told in who.items()}
        if segment.embedding is not None:
            row |= {"embedding": list(segment.embedding), "embedding_confidence": segment.confidence}
            row |= {f"embedding_{name}": told for name, told in who.items()}
        if segment.tags or len(row) == 5:
            row |= {"tags": [tag for tag, _ in segment.tags], "tags_confidence": [score for _, score in segment.tags]}
            row |= {f"tags_{name}": told for name, told in who.items()}
        rows.append(row)
    return rows

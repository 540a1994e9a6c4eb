"""songs.parquet -> annotations.parquet: what was heard in the dry audio of every accepted song."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.pcm import read_audio
from ..manifests.schema import ACCEPTED
from ..manifests.tables import read_rows, write_table
from . import key, tempo

Row = dict[str, Any]


@dataclass(frozen=True)
class Annotated:
    """The rows of `annotations` as they now stand, in the order of `songs`, and how many of them are new."""

    rows: list[Row]
    new: int

    @property
    def kept(self) -> int:
        """Rows of an earlier run that are still right."""
        return len(self.rows) - self.new


def annotate(
    dataset: Dataset,
    *,
    again: bool = False,
    executor: Executor | None = None,
    progress: Callable[[list[Row]], Iterable[Row]] = iter,
) -> Annotated:
    """Measure key and tempo of every accepted song of `dataset` that has none yet, and write annotations.parquet.

    A row is kept when the audio, the methods and their versions are the same; `again` keeps none. The table is
    written after every song, so that an interrupted run loses one song at most. Songs are shared out to `executor`
    if there is one. Capturing may go on meanwhile: nothing but this table is written.
    """
    songs = [row for row in dataset.rows("songs") if row["status"] == ACCEPTED]
    path = dataset.table_path("annotations")
    kept = {} if again or not path.exists() else {row["song_id"]: row for row in read_rows(path, "annotations")}
    done = {song["song_id"]: kept[song["song_id"]] for song in songs if _still_right(kept.get(song["song_id"]), song)}
    todo = [song for song in songs if song["song_id"] not in done]
    files = [dataset.file(song["dry_path"]) for song in todo]
    heard = executor.map(listen, files) if executor else map(listen, files)

    def write() -> None:
        write_table(path, "annotations", [done[song["song_id"]] for song in songs if song["song_id"] in done])

    for song, found in zip(progress(todo), heard, strict=True):
        done[song["song_id"]] = {"song_id": song["song_id"], "dry_sha256": song["dry_sha256"]} | versions() | found
        write()
    if len(kept) != len(done) or not path.exists():  # songs were taken away, or there are none at all
        write()
    return Annotated([done[song["song_id"]] for song in songs], len(todo))


def listen(path: Path) -> Row:
    """Key and tempo of the audio at `path`, as columns of `annotations`."""
    audio, sample_rate = read_audio(path)
    heard_key, heard_tempo = key.estimate_key(audio, sample_rate), tempo.estimate_tempo(audio, sample_rate)
    return {
        "key": heard_key.name,
        "key_confidence": heard_key.confidence,
        "tempo_bpm": heard_tempo.bpm,
        "tempo_confidence": heard_tempo.confidence,
    }


def versions() -> dict[str, str]:
    """Who measures, and in which version: ours, then librosa's, whose changes can change the answer."""
    librosa = version("librosa")
    return {
        "key_backend": key.BACKEND,
        "key_version": f"{key.BACKEND_VERSION}+librosa-{librosa}",
        "tempo_backend": tempo.BACKEND,
        "tempo_version": f"{tempo.BACKEND_VERSION}+librosa-{librosa}",
    }


def _still_right(row: Row | None, song: Row) -> bool:
    expected = versions() | {"dry_sha256": song["dry_sha256"]}
    return row is not None and all(row.get(name) == value for name, value in expected.items())

"""songs.parquet -> annotations.parquet and segments.parquet: what was heard in the dry audio of every accepted song.

Only what is missing is made: see `makers` for what that means. A person's corrections in annotations.csv win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.schema import ACCEPTED, column_names
from ..manifests.tables import write_table
from .backend import HUMAN, Choice
from .corrections import FILE, read_corrections
from .hearing import Start, hear_all, rows_before
from .listening import Heard, Task, died, listen
from .makers import PREFIXES, Maker, made_by, makers, to_make

Row = dict[str, Any]


@dataclass(frozen=True)
class Annotated:
    """The rows of `annotations` as they now stand, in the order of `songs`; how many songs were listened to, and how
    many carry a correction."""

    rows: list[Row]
    new: int
    corrected: int

    @property
    def kept(self) -> int:
        """Songs of which nothing was missing."""
        return len(self.rows) - self.new


def annotate(
    dataset: Dataset,
    *,
    backends: Sequence[Choice] = (),
    again: bool = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    start: Start = lambda total: lambda: None,
) -> Annotated:
    """Make what is missing for every accepted song of `dataset`, by `backends` and the defaults, and write the tables.

    `again` keeps nothing of an earlier run. `jobs`: local processes, by default one per core, fewer for little audio;
    `scheduler`: a Dask scheduler, see `parallel.each`. The tables are written every few seconds and at the end, however
    that comes about: Ctrl-C keeps what is done. Capturing may go on meanwhile: nothing but these tables is written.

    `UsageError` while another process annotates this dataset, and for a backend or correction that cannot be meant,
    before anything is heard. `DatasetError` at the very end for songs that could not be annotated, when all others have
    been.
    """
    with dataset.lock("annotations"):
        songs = [row for row in dataset.rows("songs") if row["status"] == ACCEPTED]
        corrections = read_corrections(dataset.root / FILE, {song["song_id"] for song in songs})
        chosen = makers(backends)
        tables = _Tables(dataset, songs, corrections, again)
        tasks, audio_s = [], 0.0
        for song in songs:
            if wanted := _wanted(chosen, song, tables, corrections.get(song["song_id"], {})):
                path = dataset.file(song["dry_path"]).absolute()
                tasks.append(Task(song["song_id"], song["dry_sha256"], path, wanted))
                audio_s += song["duration_s"]
        errors = hear_all(
            listen, tasks, tables.take, tables.write, audio_s=audio_s, died=died, jobs=jobs, scheduler=scheduler,
            start=start,
        )  # fmt: skip
        if errors:
            more = f" (and {len(errors) - 1} more songs)" if len(errors) > 1 else ""
            raise DatasetError(f"could not annotate {errors[0]}{more}", mend="all other songs are annotated")
        return Annotated(tables.song_rows(), len(tasks), len(corrections))


def _wanted(
    chosen: Sequence[Maker], song: Row, tables: _Tables, corrected: Mapping[str, Any]
) -> tuple[tuple[Choice, tuple[str, ...]], ...]:
    row, segments = tables.standing(song["song_id"])
    wanted = ((maker.choice, to_make(maker, song, row, segments, corrected)) for maker in chosen)
    return tuple((choice, fields) for choice, fields in wanted if fields)


class _Tables:
    """Both tables in memory, by song, and on disk. `again`: what stands there counts for nothing, but it goes only when
    something new comes in its place: a wrong address or an early Ctrl-C must not cost what took days to hear."""

    def __init__(self, dataset: Dataset, songs: list[Row], corrections: Mapping[str, Mapping[str, Any]], again: bool):
        self.corrections = corrections
        self.songs = {song["song_id"]: song for song in songs}
        self.again = again
        self.paths = {table: dataset.table_path(table) for table in ("annotations", "segments")}
        before = {table: rows_before(path, table, again) for table, path in self.paths.items()}
        self.rows: dict[str, Row] = {}
        self.segments: dict[str, list[Row]] = {}
        for row in before["annotations"]:
            if self._is_of_its_audio(row):
                known = {name: row.get(name) for name in column_names("annotations")}
                self.rows[row["song_id"]] = without_corrections(known)
        for row in before["segments"]:
            if self._is_of_its_audio(row):
                known = {name: row.get(name) for name in column_names("segments")}
                self.segments.setdefault(row["song_id"], []).append(known)

    def _is_of_its_audio(self, row: Row) -> bool:
        song = self.songs.get(row["song_id"])
        return song is not None and song["dry_sha256"] == row.get("dry_sha256")

    def standing(self, song_id: str) -> tuple[Row | None, list[Row]]:
        """The song's row of `annotations` and its rows of `segments`, as far as they count."""
        return (None, []) if self.again else (self.rows.get(song_id), self.segments.get(song_id, []))

    def take(self, task: Task, heard: Heard) -> None:
        """Put what was heard in the place of what stood there."""
        if self.again and not heard.error:
            self.rows.pop(task.song_id, None)
            self.segments.pop(task.song_id, None)
        if heard.columns:
            row = self.rows.setdefault(task.song_id, {"song_id": task.song_id, "dry_sha256": task.dry_sha256})
            row |= heard.columns
        if heard.segments:
            renewed = {made_by(row)[0] for row in heard.segments}
            others = [row for row in self.segments.get(task.song_id, []) if made_by(row)[0] not in renewed]
            self.segments[task.song_id] = others + heard.segments

    def song_rows(self) -> list[Row]:
        """Rows of `annotations` in the order of `songs`, corrected."""
        return [
            corrected(self.rows.get(song_id, {"song_id": song_id, "dry_sha256": song["dry_sha256"]}), told)
            for song_id, song in self.songs.items()
            if (told := self.corrections.get(song_id, {})) or song_id in self.rows
        ]

    def write(self) -> None:
        write_table(self.paths["annotations"], "annotations", self.song_rows())
        rows = [row for song_id in self.songs for row in self.segments.get(song_id, [])]
        if rows or self.paths["segments"].exists():
            write_table(self.paths["segments"], "segments", rows)


def corrected(row: Row, told: Mapping[str, Any]) -> Row:
    """`row` of `annotations` with what a person says of the song in the place of what was measured."""
    for name, value in told.items():
        prefix = PREFIXES[name]
        row = row | {
            name: value,
            f"{prefix}_confidence": 1.0,
            f"{prefix}_backend": HUMAN,
            f"{prefix}_version": FILE,
            f"{prefix}_candidates": None,
        }
    return row


def without_corrections(row: Row) -> Row:
    """`row` with nothing where a person's word stood: annotations.csv may have changed since."""
    human = [prefix for prefix in PREFIXES.values() if row[f"{prefix}_backend"] == HUMAN]
    gone = {name for name, prefix in PREFIXES.items() if prefix in human}
    gone |= {f"{prefix}_{noun}" for prefix in human for noun in ("confidence", "backend", "version", "candidates")}
    return {name: None if name in gone else value for name, value in row.items()}

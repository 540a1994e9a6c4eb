"""A folder of song files -> `songs.parquet` and `dry/`.

A file that cannot become a song is quarantined: its row stays, with the reasons. All work lands in a staging folder
first and is moved into place in the end, so that a full disk or Ctrl-C leaves the dataset as it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.pcm import pcm_sha256, read_pcm
from ..manifests.schema import ACCEPTED
from ..manifests.storage import full_disk_named, sync_folder
from ..manifests.tables import read_made_with, write_table
from .duplicates import alike, chromaprint_is_there
from .normalise import MODES, MONO_RULES, headroom_note
from .song_columns import MEASURES
from .song_folder import described_by, read_songs_csv, song_files, text_of
from .song_row import QUARANTINED, Job, Row, song_row

TARGETS_DB = (-60.0, 0.0)
QUARANTINE, GROUP = DUPLICATE_RULES = ("quarantine", "group")


@dataclass(frozen=True)
class Catalogued:
    """What a catalog run found."""

    songs: list[Row]  # rows of `songs`, by song_id
    kept: int  # how many were there already, unchanged
    notes: list[str]  # what a person should know, none of it an error

    @property
    def quarantined(self) -> list[Row]:
        return [row for row in self.songs if row["status"] == QUARANTINED]


def catalog(
    dataset: Dataset,
    folder: Path | None = None,
    *,
    normalise: str = "peak",
    target_db: float = -12.0,
    mono: str = "refuse",
    duplicates: str = QUARANTINE,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Catalogued:
    """Make `songs.parquet` and `dry/*.flac` describe `folder` [default: the dataset's `songs`].

    Songs whose file, options and dry audio are unchanged are kept as they are. Of songs that sound the same all but one
    are quarantined, or, if `duplicates` is group, kept and named in `duplicate_of`. Files are worked on in `executor`
    (by default `jobs` threads; each decodes in a limited child process). `UsageError` for an empty folder, two
    files that fold to one id, or a malformed songs.csv; `DatasetError` when no file is usable, or when a song with
    takes would change or vanish; `DiskFullError` for a full disk. After an error the dataset is as it was.
    """
    lowest, highest = TARGETS_DB
    known = normalise in MODES and mono in MONO_RULES and duplicates in DUPLICATE_RULES
    if not known or not lowest <= target_db <= highest:
        raise UsageError(
            "no such normalisation",
            got=f"{normalise} at {target_db:g} dB, mono {mono}, duplicates {duplicates}",
            allowed=f"{', '.join(MODES)}; {lowest:g} to {highest:g} dB; mono {', '.join(MONO_RULES)}; "
            f"duplicates {', '.join(DUPLICATE_RULES)}",
        )
    folder = folder or dataset.songs_folder
    sources, notes = song_files(folder)
    described = read_songs_csv(folder)
    notes += [f"songs.csv describes {name}, which is not there" for name in described if name not in sources.values()]
    options: dict[str, Any] = {"normalise": normalise, "target_db": target_db, "mono": mono}
    staging = dataset.root / ".catalog"
    with dataset.lock(), full_disk_named(staging):
        old_rows, old_options = _last_catalog(dataset)
        measured_again = old_options.pop("measures", 1) != MEASURES
        planned = _planned(dataset)
        shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
        staging.mkdir()
        try:
            work = [
                Job(
                    song_id,
                    folder / name,
                    old := old_rows.get(song_id) if options == old_options else None,
                    dataset.file(old["dry_path"]) if old and old["dry_path"] else None,
                    measured_again,
                    staging / f"{song_id}.flac",
                    **options,
                )
                for song_id, name in sources.items()
            ]
            results = _in_parallel(executor, jobs or min(8, os.cpu_count() or 1), work, progress)
            rows = [
                {**row, **described_by(name, described), "source_path": _source_path(dataset, folder / name)}
                for (row, _), name in zip(results, sources.values(), strict=True)
            ]
            kept = {row["song_id"] for row, was_kept in results if was_kept}
            notes += _mark_duplicates(rows, kept, planned, duplicates)
            _require_usable(folder, rows)
            _require_planned_songs_unchanged(dataset, planned, old_rows, rows)
            write_table(staging / "songs.parquet", "songs", rows, made_with=options | {"measures": MEASURES})
            _move_into_place(dataset, staging, old_rows, rows)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    for row in rows:
        if row["status"] == ACCEPTED and (note := headroom_note(row)):
            notes.append(f"{row['song_id']}: {note}")
    if len(rows) > 1 and not chromaprint_is_there():
        notes.append("songs were not compared by ear: pip install pyacoustid, and the Chromaprint library or fpcalc")
    return Catalogued(rows, len(kept), notes)


def _in_parallel(
    executor: Executor | None, jobs: int, work: list[Job], progress: Callable[[Iterable[Any]], Iterable[Any]]
) -> list[tuple[Row, bool]]:
    """The results of `song_row`, in order. On an error nothing is running any more when it is raised."""
    own = ThreadPoolExecutor(jobs) if executor is None else None
    futures = [(executor or own).submit(song_row, job) for job in work]  # type: ignore[union-attr]
    try:
        return [future.result() for future in progress(futures)]
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
        if own is not None:
            own.shutdown()


def _last_catalog(dataset: Dataset) -> tuple[dict[str, Row], dict[str, Any]]:
    """Rows by song_id and options of the catalog on disk; empty when there is none that can be read."""
    try:
        rows = dataset.rows("songs")
        return {row["song_id"]: row for row in rows}, read_made_with(dataset.table_path("songs"), "songs")
    except DatasetError:
        return {}, {}


def _source_path(dataset: Dataset, source: Path) -> str:
    """Relative to the dataset when it lies inside, else the bare name: manifests travel, machine paths do not."""
    path, root = source.absolute(), dataset.root.absolute()
    path = path.parent.resolve() / path.name
    root = root.resolve()
    return text_of(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name)


def _mark_duplicates(rows: list[Row], kept: set[str], planned: set[str], how: str) -> list[str]:
    """Of songs with the same samples, or that sound the same, the first stays; notes about what may stay beside it.

    First are songs in a plan, then those of the last catalog, then those whose spectrum ends at no wall, then by id.
    Planned songs are never quarantined for their sound: they are grouped, as all are if `how` is group."""
    rank = {
        row["song_id"]: (
            row["song_id"] not in planned,
            row["song_id"] not in kept,
            row["spectral_wall_hz"] is not None,
            row["song_id"],
        )
        for row in rows
    }
    by_id = {row["song_id"]: row for row in sorted(rows, key=lambda row: rank[row["song_id"]])}
    first: dict[str, str] = {}
    for song_id, row in by_id.items():
        row["duplicate_of"] = None
        if row["status"] == ACCEPTED and (original := first.setdefault(row["dry_sha256"], song_id)) != song_id:
            _quarantine(row, original, f"duplicate_of:{original}")
    heard = {song_id: row["acoustic_fingerprint"] for song_id, row in by_id.items() if row["status"] == ACCEPTED}
    notes = []
    for pair in sorted(alike(heard), key=lambda pair: max(rank[pair.first], rank[pair.second])):
        stays, goes = sorted((pair.first, pair.second), key=lambda song_id: rank[song_id])
        row = by_id[goes]
        if row["status"] != ACCEPTED or row["duplicate_of"] is not None:
            continue
        original = by_id[stays]["duplicate_of"] or stays
        if how == GROUP or goes in planned:
            row["duplicate_of"] = original
            notes.append(f"{goes} stays in the group of {original}: {pair.reason_for(goes)}")
        else:
            _quarantine(row, original, pair.reason_for(goes))
    return notes


def _quarantine(row: Row, original: str, reason: str) -> None:
    row |= {"status": QUARANTINED, "reasons": [reason], "dry_path": None, "duplicate_of": original}


def _require_usable(folder: Path, rows: list[Row]) -> None:
    if any(row["status"] == ACCEPTED for row in rows):
        return
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    raise DatasetError(
        f"none of {len(rows)} files in {folder} can be used: "
        f"{Path(rows[0]['source_path']).name} is {rows[0]['reasons'][0]}{more}"
    )


def _planned(dataset: Dataset) -> set[str]:
    """The songs that the capture has takes of, or is to make."""
    if not dataset.journal_path.exists():
        return set()
    with dataset.journal() as journal:
        return {take["song_id"] for take in journal.takes()}


def _require_planned_songs_unchanged(
    dataset: Dataset, planned: set[str], old: Mapping[str, Row], rows: list[Row]
) -> None:
    """Takes belong to the samples that were played: what lies under them may not change."""
    new = {row["song_id"]: row["dry_sha256"] for row in rows if row["status"] == ACCEPTED}
    for song_id in sorted(planned):
        before = old[song_id]["dry_sha256"] if song_id in old else _sha256_on_disk(dataset, song_id)
        if before is not None and new.get(song_id) != before:
            raise DatasetError(
                f"song {song_id} is in the plan of the capture, and its dry audio would "
                f"{'change' if song_id in new else 'vanish'}",
                mend="bring back its file and the options of the last catalog, or begin a new dataset",
            )


def _sha256_on_disk(dataset: Dataset, song_id: str) -> str | None:
    path = dataset.file(Dataset.dry_path(song_id))
    return pcm_sha256(read_pcm(path)[0]) if path.exists() else None


def _move_into_place(dataset: Dataset, staging: Path, old: Mapping[str, Row], rows: list[Row]) -> None:
    """Renames only: everything is durable in `staging` already. Dry audio first, then the table that names it."""
    dry = dataset.root / "dry"
    dry.mkdir(exist_ok=True)
    listed = {row["dry_path"] for row in rows if row["dry_path"]}
    for path in staging.glob("*.flac"):
        if f"dry/{path.name}" in listed:
            os.replace(path, dry / path.name)
    sync_folder(dry)
    table = dataset.table_path("songs")
    table.parent.mkdir(exist_ok=True)
    os.replace(staging / table.name, table)
    sync_folder(table.parent)
    for row in old.values():
        if row["dry_path"] and row["dry_path"] not in listed:
            dataset.file(row["dry_path"]).unlink(missing_ok=True)

"""Does every file say what the tables say? Missing, corrupt, misaligned, unlisted and stale are told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from .audio_check import Expected, check_audio
from .dataset import Dataset
from .errors import DatasetError
from .finding import CORRUPT, MISALIGNED, MISSING, STALE, UNLISTED, Finding
from .journal_arrow import table_of
from .parallel import cores, each
from .schema import ACCEPTED, TABLES, TAKES
from .tables import read_arrow
from .verified import Verified

BYTES_PER_PROCESS = 50_000_000  # a process takes as long to begin as this takes to check
TAKE_COLUMNS = ("take_id", "song_id", "status", "wet_path", "wet_sha256", "cv_path", "cv_sha256")
TIME_COLUMNS = ("latency_samples", "integer_shift_samples", "loopback_latency_samples")
LEVEL_COLUMNS = ("sample_rate", "frames", "channels", "peak_dbfs", "loudness_lufs")
MOST_FRACTION_SAMPLES = 0.5  # of a sample that no shift by whole ones can take away
Row = dict[str, Any]


def verify(
    dataset: Dataset,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    known: Verified | None = None,
    count: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
) -> tuple[list[Finding], int]:
    """What is wrong with `dataset`, and how many audio files were decoded and hashed.

    - missing: a table lists it, the disk has not got it.
    - corrupt: it cannot be decoded whole, or its samples have another hash, length or rate than the table says.
    - misaligned: a take lags its dry audio, follows it nowhere, or was not moved by the latency that was recorded.
    - level: its peak or loudness is not what the table says.
    - unlisted: it lies in one of these folders and nothing speaks of it. Never deleted here.
    - stale: a derived table differs from the journal; `buscomp verify --rebuild` writes it again.

    Works in `jobs` local processes [default: one per core, fewer for a small dataset], or on the Dask `scheduler`.
    `known` remembers what was found right, so that an interrupted run goes on; without it everything is checked and
    nothing is written. `count(total)` gives what is called after every file.
    """
    findings, tables = _check_tables(dataset)
    takes = _takes(dataset, tables, findings)
    expected = list(_expected(tables, takes, findings))
    listed = {one.path: place for place, one in enumerate(expected)}
    work = [one for one in expected if known is None or not known.knows(one)]
    done = count(len(work))
    checked = 0
    for one, wrong in each(
        partial(check_audio, str(dataset.root)),
        work,
        jobs=1 if scheduler else _processes(dataset, work, jobs),
        scheduler=scheduler,
        died=_decoder_died,
    ):
        checked += 1
        findings += wrong
        if known is not None and not wrong:
            known.right(one)
        done()
    if known is not None:
        known.finish()
    findings.sort(key=lambda finding: listed.get(finding.path, -1))  # they come in the order in which they were done
    return findings + _unlisted(dataset, set(listed), _not_accepted(takes)), checked


def plan_again(dataset: Dataset, findings: Iterable[Finding]) -> list[str]:
    """Supersede every accepted take whose file is missing, corrupt or misaligned and plan it anew; the new take_ids."""
    again = (MISSING, CORRUPT, MISALIGNED)
    reasons = {finding.path: f"{finding.kind}_file" for finding in findings if finding.kind in again}
    with dataset.journal() as journal:
        lost = [
            (take["take_id"], reasons[path])
            for take in journal.each_take()
            if take["status"] == ACCEPTED
            for path in [next((path for path in (take["wet_path"], take["cv_path"]) if path in reasons), None)]
            if path is not None
        ]
        planned = [journal.supersede(take_id, reason) for take_id, reason in lost]
        dataset.snapshot(journal)
    return planned


def _check_tables(dataset: Dataset) -> tuple[list[Finding], dict[str, pa.Table]]:
    findings, tables = [], {}
    for table in TABLES:
        path = dataset.table_path(table)
        if path.exists():
            try:
                tables[table] = read_arrow(path, table)
            except DatasetError as error:
                findings.append(Finding(CORRUPT, f"manifests/{path.name}", str(error)))
    return findings, tables


def _takes(dataset: Dataset, tables: dict[str, pa.Table], findings: list[Finding]) -> pa.Table | None:
    """Takes from the journal; from the manifest where a dataset travels without one."""
    if not dataset.journal_path.exists():
        return tables.get("takes")
    with dataset.journal() as journal:
        journal.check()
        takes = table_of(journal, "takes")
    if not dataset.table_path("takes").exists():
        findings.append(Finding(MISSING, "manifests/takes.parquet", "type `buscomp verify --rebuild`"))
    elif "takes" in tables and not _same(tables["takes"], takes):
        findings.append(
            Finding(STALE, "manifests/takes.parquet", "the journal is newer: type `buscomp verify --rebuild`")
        )
    return takes


def _same(manifest: pa.Table, journal: pa.Table) -> bool:
    names = [column.name for column in TAKES if column.type != "float"]
    return set(names) <= set(manifest.column_names) and bool(manifest.select(names).equals(journal.select(names)))


def _rows(table: pa.Table | None, columns: Iterable[str]) -> Iterator[Row]:
    """Rows of some columns, by batches: a table of any length costs little memory."""
    if table is not None:
        for batch in table.select(list(columns)).to_batches(max_chunksize=4096):
            yield from batch.to_pylist()


def _expected(tables: dict[str, pa.Table], takes: pa.Table | None, findings: list[Finding]) -> Iterator[Expected]:
    """Every audio file that the tables name, with all that they say of it."""
    levels = LEVEL_COLUMNS
    of_songs = _rows(tables.get("songs"), ("song_id", "dry_path", "dry_sha256", *levels))
    songs = {row["song_id"]: row for row in of_songs}
    for song in songs.values():
        if song["dry_path"]:
            yield Expected(song["dry_path"], song["dry_sha256"], **{name: song[name] for name in levels})
    for take in _rows(takes, (*TAKE_COLUMNS, *TIME_COLUMNS, *levels)):
        if take["status"] != ACCEPTED:
            continue
        its = songs.get(take["song_id"])
        dry_path = its["dry_path"] if its else None
        if its and dry_path and take["frames"] != its["frames"]:
            told = f"{take['frames']} frames, its dry audio has {its['frames']}"
            findings.append(Finding(CORRUPT, take["wet_path"], told))
        lag = _fraction(take, findings)
        measured = {name: take[name] for name in levels}
        yield Expected(take["wet_path"], take["wet_sha256"], **measured, dry_path=dry_path, lag_samples=lag)
        if take["cv_path"]:
            yield Expected(take["cv_path"], take["cv_sha256"], take["frames"], take["sample_rate"])
    for row in _rows(tables.get("fingerprints"), ("audio_path", "audio_sha256")):
        if row["audio_path"]:
            yield Expected(row["audio_path"], row["audio_sha256"])


def _fraction(take: Row, findings: list[Finding]) -> float:
    """By how much wet may lag dry: the latency that was recorded minus the shift. A loopback pair takes away the
    latency of the converters only, and that of the unit stays."""
    latency, shift, loopback = (take[name] for name in TIME_COLUMNS)
    if latency is None or shift is None:
        return 0.0
    of_shift = latency if loopback is None else loopback
    if abs(of_shift - shift) > MOST_FRACTION_SAMPLES + 1e-6:
        told = f"it was moved by {shift} samples, the recorded latency is {of_shift:.2f}"
        findings.append(Finding(MISALIGNED, take["wet_path"], told))
    return float(latency - shift)


def _processes(dataset: Dataset, work: list[Expected], jobs: int | None) -> int:
    """How many local processes: one per core, but none that would begin longer than it works."""
    most = jobs or cores()
    enough = most * BYTES_PER_PROCESS
    size = 0
    for one in work:
        path = dataset.root / one.path
        size += path.stat().st_size if path.is_file() else 0
        if size >= enough:
            break
    processes = max(1, min(most, size // BYTES_PER_PROCESS))
    if processes > 1:
        import numpy as np

        from .levels import loudness_lufs

        loudness_lufs(np.zeros((44_100, 2), np.float32), 44_100)  # compiled once here, not in every process at once
    return processes


def _decoder_died(expected: Expected) -> list[Finding]:
    return [Finding(CORRUPT, expected.path, "its decoder died")]


def _not_accepted(takes: pa.Table | None) -> set[str]:
    """Ids of takes that are rejected, superseded or in progress: their folders below `attempts` may stay."""
    return {row["take_id"] for row in _rows(takes, ("take_id", "status")) if row["status"] != ACCEPTED}


def _unlisted(dataset: Dataset, listed: set[str], kept: set[str]) -> list[Finding]:
    findings = []
    for folder in ("dry", "wet", "cv", "attempts", "fingerprints", "manifests"):
        for path in sorted((dataset.root / folder).rglob("*")):
            relative = path.relative_to(dataset.root).as_posix()
            if path.is_dir() or relative in listed:
                continue
            if folder == "manifests" and path.suffix == ".parquet" and path.stem in TABLES:
                continue
            if folder == "attempts" and Path(relative).parts[1] in kept:
                continue
            findings.append(Finding(UNLISTED, relative, "no table speaks of it"))
    return findings

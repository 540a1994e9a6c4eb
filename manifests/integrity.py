"""Does every file say what the tables say? Missing, corrupt and unlisted are told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dataset import Dataset
from .errors import DatasetError
from .pcm import pcm_sha256, read_pcm
from .schema import ACCEPTED, TABLES, TAKES
from .tables import read_rows

MISSING, CORRUPT, UNLISTED, STALE = "missing", "corrupt", "unlisted", "stale"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: `kind` is missing, corrupt, unlisted or stale."""

    kind: str
    path: str
    detail: str


def verify(dataset: Dataset, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> tuple[list[Finding], int]:
    """What is wrong with `dataset`, and how many audio files were decoded and hashed.

    - missing: a table lists it, the disk has not got it.
    - corrupt: it cannot be decoded whole, or its samples have another hash, length or rate than the table says.
    - unlisted: it lies in one of these folders and nothing speaks of it. Never deleted here.
    - stale: a derived table differs from the journal; `buscomp verify --rebuild` writes it again.
    """
    findings, tables = _check_tables(dataset)
    expected: list[tuple[str, str, int | None, int | None]]
    songs = {row["song_id"]: row for row in tables.get("songs", []) if row["dry_path"]}
    takes = _takes(dataset, tables, findings)
    expected = [(row["dry_path"], row["dry_sha256"], row["frames"], row["sample_rate"]) for row in songs.values()]
    for take in takes:
        if take["status"] == ACCEPTED:
            expected.append((take["wet_path"], take["wet_sha256"], take["frames"], take["sample_rate"]))
            if take["cv_path"]:
                expected.append((take["cv_path"], take["cv_sha256"], take["frames"], take["sample_rate"]))
            song = songs.get(take["song_id"])
            if song is not None and take["frames"] != song["frames"]:
                findings.append(
                    Finding(CORRUPT, take["wet_path"], f"{take['frames']} frames, its dry audio has {song['frames']}")
                )
    for row in tables.get("fingerprints", []):
        if row["audio_path"]:
            expected.append((row["audio_path"], row["audio_sha256"], None, None))
    checked = 0
    for relative, sha256, frames, sample_rate in progress(expected):
        found = _check_audio(dataset, relative, sha256, frames, sample_rate)
        checked += 1
        if found:
            findings.append(found)
    listed = {relative for relative, *_ in expected}
    kept = {take["take_id"] for take in takes if take["status"] != ACCEPTED}  # rejected, superseded or in progress
    findings += _unlisted(dataset, listed, kept)
    return findings, checked


def plan_again(dataset: Dataset, findings: Iterable[Finding]) -> list[str]:
    """Supersede every accepted take whose file is missing or corrupt and plan it anew; the new take_ids."""
    reasons = {finding.path: f"{finding.kind}_file" for finding in findings if finding.kind in (MISSING, CORRUPT)}
    with dataset.journal() as journal:
        planned = []
        for take in journal.takes():
            lost = [reasons[path] for path in (take["wet_path"], take["cv_path"]) if path in reasons]
            if take["status"] == ACCEPTED and lost:
                planned.append(journal.supersede(take["take_id"], lost[0]))
        dataset.snapshot(journal)
    return planned


def _check_tables(dataset: Dataset) -> tuple[list[Finding], dict[str, list[dict[str, Any]]]]:
    findings, tables = [], {}
    for table in TABLES:
        path = dataset.table_path(table)
        if path.exists():
            try:
                tables[table] = read_rows(path, table)
            except DatasetError as error:
                findings.append(Finding(CORRUPT, f"manifests/{path.name}", str(error)))
    return findings, tables


def _takes(dataset: Dataset, tables: dict[str, list[dict[str, Any]]], findings: list[Finding]) -> list[dict[str, Any]]:
    """Takes from the journal; from the manifest where a dataset travels without one."""
    if not dataset.journal_path.exists():
        return tables.get("takes", [])
    with dataset.journal() as journal:
        journal.check()
        takes = journal.takes()
    if not dataset.table_path("takes").exists():
        findings.append(Finding(MISSING, "manifests/takes.parquet", "type `buscomp verify --rebuild`"))
    elif "takes" in tables and _comparable(tables["takes"]) != _comparable(takes):
        findings.append(
            Finding(STALE, "manifests/takes.parquet", "the journal is newer: type `buscomp verify --rebuild`")
        )
    return takes


def _comparable(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(str(row[column.name]) for column in TAKES if column.type != "float") for row in rows]


def _check_audio(
    dataset: Dataset, relative: str, sha256: str, frames: int | None, sample_rate: int | None
) -> Finding | None:
    try:
        path = dataset.file(relative)
        if not path.is_file():
            return Finding(MISSING, relative, "listed, but not on the disk")
        pcm, found_rate = read_pcm(path)
    except DatasetError as error:
        return Finding(CORRUPT, relative, str(error))
    if frames is not None and (len(pcm) != frames or found_rate != sample_rate):
        return Finding(
            CORRUPT, relative, f"{len(pcm)} frames at {found_rate} Hz, the table says {frames} at {sample_rate} Hz"
        )
    if pcm_sha256(pcm) != sha256:
        return Finding(CORRUPT, relative, "its samples have another SHA-256 than the table says")
    return None


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

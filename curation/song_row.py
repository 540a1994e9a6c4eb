"""One file of the song folder -> its row of `songs`, and its dry audio."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.decode import SongRefusedError, decode_in_child
from ..manifests.errors import DatasetError
from ..manifests.pcm import Int32, pcm_sha256, read_pcm, write_flac
from ..manifests.schema import ACCEPTED, column_names
from .duplicates import fingerprint
from .normalise import SAMPLE_RATE, make_dry
from .song_columns import dry_columns, source_columns, with_mastering
from .song_measures import first_look

QUARANTINED = "quarantined"
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One file and what it is to become."""

    song_id: str
    source: Path
    old: Row | None  # its row in the last catalog, when that was made with the same options
    old_dry: Path | None
    measured_again: bool  # the last catalog did not measure all that this one does
    new_dry: Path
    normalise: str
    target_db: float
    mono: str


def song_row(job: Job) -> tuple[Row, bool]:
    """The row of one file, and whether its dry audio was kept from the last catalog. Writes `job.new_dry` if it is
    accepted and new."""
    row: Row = dict.fromkeys(column_names("songs")) | {"song_id": job.song_id, "status": QUARANTINED, "reasons": []}
    try:
        with job.source.open("rb") as file:
            row["source_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return {**row, "reasons": [f"unreadable: {error.strerror}"]}, False
    pcm = _dry_still_there(job, row["source_sha256"])
    try:
        if job.old is not None and pcm is not None:
            return row | _kept(job, job.old, pcm), True
        dry = make_dry(decode_in_child(job.source), job.normalise, job.target_db, job.mono, overwrite=True)
    except SongRefusedError as error:
        return {**row, "reasons": [error.reason]}, False
    write_flac(job.new_dry, dry.pcm, SAMPLE_RATE)
    made = {"dry_path": Dataset.dry_path(job.song_id), "dry_sha256": pcm_sha256(dry.pcm), "status": ACCEPTED}
    return row | dry.measured | made | {"acoustic_fingerprint": fingerprint(dry.pcm, SAMPLE_RATE)}, False


def _dry_still_there(job: Job, source_sha256: str) -> Int32 | None:
    """The last catalog's dry audio, if it is of this very file and still whole."""
    if job.old is None or job.old_dry is None or job.old["source_sha256"] != source_sha256:
        return None
    try:
        pcm = read_pcm(job.old_dry)[0] if job.old_dry.exists() else None
    except DatasetError:
        return None
    return pcm if pcm is not None and pcm_sha256(pcm) == job.old["dry_sha256"] else None


def _kept(job: Job, old: Row, pcm: Int32) -> Row:
    """The old row. What an earlier version did not measure is measured now, on the same samples: takes hold them."""
    row = dict(old)
    if job.measured_again:
        decoded = decode_in_child(job.source)
        row |= source_columns(decoded, first_look(decoded.audio)) | dry_columns(pcm, SAMPLE_RATE)
        row = with_mastering(row)
    if row.get("acoustic_fingerprint") is None:
        row["acoustic_fingerprint"] = fingerprint(pcm, SAMPLE_RATE)
    return row

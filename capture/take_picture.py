"""A take as a picture: the envelope of what was sent and of what came back, and the gain between them over time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.pcm import Float32, read_audio
from ..manifests.schema import ACCEPTED
from .live_file import expected_of

COLUMNS = 400  # of the picture
QUIET_DBFS = -60.0  # under it a gain is noise
QUERY = "SELECT song_id, setting_id, unit_id, status, wet_path, static_gain_db FROM takes WHERE take_id = ?"
STAGING = "SELECT value FROM facts WHERE name IN ('send_boost_db', 'return_trim_db')"
Row = dict[str, Any]


def take_picture(dataset: Dataset, take_id: str) -> Row:
    """`dry` and `wet`: the peak of each of 400 columns, re full scale; `gain_db`: of the same columns, re the gain that
    the unit has under every threshold; null in silence. `expected_db`: what the unit's model says about them, or null.
    `DatasetError` for a take that was not accepted."""
    with closing(sqlite3.connect(dataset.journal_path, timeout=5.0, isolation_level=None)) as journal:
        journal.execute("PRAGMA query_only = ON")
        found = journal.execute(QUERY, (take_id,)).fetchone()
        staging_db = sum(float(value) for (value,) in journal.execute(STAGING))
    if found is None or found[3] != ACCEPTED:
        raise DatasetError("there is no accepted take of this name", got=take_id)
    song_id, setting_id, unit_id, _, wet_path, static_gain_db = found
    expected = expected_of(dataset, song_id, setting_id, unit_id)
    dry, rate = read_audio(dataset.file(dataset.dry_path(song_id)))
    wet, _ = read_audio(dataset.file(wet_path))
    return {
        "take_id": take_id, "song_id": song_id, "setting_id": setting_id, "seconds": len(dry) / rate,
        "expected_db": expected and expected["expected_db"],
        **picture_of(dry, wet, (static_gain_db or 0.0) + staging_db),
    }  # fmt: skip


def picture_of(dry: Float32, wet: Float32, static_gain_db: float = 0.0, columns: int = COLUMNS) -> Row:
    """See `take_picture`. dry and wet (frames, channels), aligned."""
    columns = min(columns, len(dry))
    edges = np.linspace(0, len(dry), columns + 1).astype(np.intp)[:-1]
    before_dbfs, after_dbfs = _rms_db(dry, edges), _rms_db(wet, edges)
    gain_db = after_dbfs - before_dbfs - static_gain_db
    return {
        "dry": _peaks(dry, edges),
        "wet": _peaks(wet, edges),
        "gain_db": [
            round(float(gain), 2) if level > QUIET_DBFS else None
            for gain, level in zip(gain_db, before_dbfs, strict=True)
        ],
    }


def _peaks(audio: Float32, edges: npt.NDArray[np.intp]) -> list[float]:
    peaks = np.maximum.reduceat(np.abs(audio).max(axis=1), edges)
    return [round(float(peak), 4) for peak in peaks]


def _rms_db(audio: Float32, edges: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    frames = np.diff(np.append(edges, len(audio)))
    power = np.add.reduceat(np.square(audio, dtype=np.float64).mean(axis=1), edges) / frames
    return np.asarray(10 * np.log10(power + 1e-12), np.float64)

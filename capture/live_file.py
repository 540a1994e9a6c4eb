"""The files in which the meters of a running capture stand; see `live`, which writes them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from ..manifests.dataset import Dataset
from .state_file import put_state, read_state

LIVE, EXPECTED = ".live.json", ".expected.json"
STALE_S = 3.0
Row = dict[str, Any]


def write_live(dataset: Dataset, name: str, document: object) -> None:
    """Put `document` in the place of what stood there, if there is room."""
    with suppress(OSError):  # no room for a few kilobytes: whoever writes the next take meets that, and says so
        put_state(dataset.root / name, document)


def live_of(dataset: Dataset) -> Row | None:
    """What the meters of `dataset` show; None where there are none, or where a killed capture has left them behind."""
    try:
        old_s = time.time() - (dataset.root / LIVE).stat().st_mtime
    except OSError:
        return None
    row = read_state(dataset.root / LIVE) if old_s < STALE_S else None
    return row if isinstance(row, dict) else None


def expected_of(dataset: Dataset, song_id: str, setting_id: str, unit_id: str) -> Row | None:
    """`expected_db`, the gain that was expected of each of 400 parts of one of the last songs; None where nobody knows
    any more."""
    rows = read_state(dataset.root / EXPECTED)
    named = {"song_id": song_id, "setting_id": setting_id, "unit_id": unit_id}
    found = [row for row in rows if named.items() <= row.items()] if isinstance(rows, list) else []
    return found[-1] if found else None

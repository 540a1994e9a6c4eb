"""From single takes to figures: means over takes, spread over songs, by cell, setting, song or unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .metrics import DIAGNOSTICS, ERRORS, METRICS

Row = dict[str, Any]
SYSTEM = ("model", "conditioning", "params", "checkpoint", "subset")
CELL = ("split", "song_role", "setting_role")
SPREAD = tuple(metric for metric in ERRORS if metric != "mae")  # which is l1
GROUPS = {"cell": (), "setting": ("setting_id",), "song": ("song_id",), "unit": ("unit_id",), "take": ("take_id",)}


def summarised(take_rows: Sequence[Row], by: str = "cell") -> list[Row]:
    """A row for each system and cell, or each setting, song, unit or take in it, in the order in which they come:
    takes, songs, the mean of every metric, and as `..._song_std` the standard deviation of the means of single songs,
    None of a single song.

    Polarity and lag are medians: they are the same for all takes of a system, unless a take is odd. What is not defined
    for a take is left out."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    names = (*SYSTEM, *CELL, *GROUPS[by])
    for row in take_rows:
        groups.setdefault(tuple(row.get(name) for name in names), []).append(row)
    return [dict(zip(names, key, strict=True)) | _figures(rows) for key, rows in groups.items()]


def _figures(rows: Sequence[Row]) -> Row:
    songs: dict[str, list[Row]] = {}
    for row in rows:
        songs.setdefault(row["song_id"], []).append(row)
    figures: Row = {"takes": len(rows), "songs": len(songs)}
    for metric in METRICS:
        values = defined(row[metric] for row in rows)
        middle = np.median if metric in DIAGNOSTICS else np.mean
        figures[metric] = float(middle(values)) if values else None
    for metric in SPREAD:
        means = [float(np.mean(values)) for its in songs.values() if (values := defined(row[metric] for row in its))]
        figures[f"{metric}_song_std"] = float(np.std(means, ddof=1)) if len(means) > 1 else None
    return figures


def defined(values: Iterable[float | None]) -> list[float]:
    """What is not None."""
    return [float(value) for value in values if value is not None]

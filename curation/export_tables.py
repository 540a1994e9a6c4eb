"""The manifests of an export: those of the dataset, for what goes out and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..manifests.dataset import Dataset
from ..manifests.schema import PLANNED
from ..manifests.tables import read_arrow, read_made_with, write_table
from .export_selection import Row, Selection, columns_of, dictionaries

TABLES = ("songs", "settings", "takes", "sessions", "fingerprints", "annotations", "segments", "splits", "subsets")


def write_tables(
    selection: Selection, folder: Path, changes: Mapping[str, Mapping[str, Row]] | None = None
) -> list[Path]:
    """Write the tables of `selection` into `folder`/manifests; the files, in the order of `TABLES`.

    Rejected attempts at exported pairs stay in `takes`, with their reasons: they are part of the proof. The path of a
    song's source shrinks to its name, because it tells where somebody's home folder lies. `changes`: for a table, new
    values by the id in its first column, or by song_id for annotations.
    """
    dataset, written = selection.dataset, []
    target = Dataset(folder)
    for table in TABLES:
        source = dataset.table_path(table)
        if not source.exists() or (table == "subsets" and changes):
            continue
        rows = dictionaries(_only(selection, table, read_arrow(source, table)))
        changed = _changed(rows, (changes or {}).get(table, {}))
        write_table(target.table_path(table), table, changed, columns_of(source, table), read_made_with(source, table))
        written.append(target.table_path(table))
    return written


def _changed(rows: Iterable[Row], changes: Mapping[str, Row]) -> Iterable[Row]:
    for row in rows:
        if row.get("source_path"):
            row["source_path"] = PurePath(row["source_path"]).name
        changed = changes.get(next(iter(row.values())), {})
        yield row | {name: value for name, value in changed.items() if name in row}


def _only(selection: Selection, table: str, rows: pa.Table) -> pa.Table:
    """The rows that speak of something that goes out."""
    pairs = set(_columns(selection.takes, "song_id", "setting_id"))
    if table in ("songs", "annotations", "segments"):
        return _where(rows, "song_id", selection.songs)
    if table in ("settings", "fingerprints"):
        return _where(rows, "setting_id", selection.settings)
    if table == "sessions":
        return _where(rows, "session_id", selection.takes["session_id"].to_pylist())
    if table == "subsets":
        return _whole_subsets(rows, set(selection.takes["take_id"].to_pylist()))
    inside = [pair in pairs for pair in _columns(rows, "song_id", "setting_id")]
    rows = rows.filter(pa.array(inside, pa.bool_()))
    return rows.filter(pc.not_equal(rows["status"], PLANNED)) if table == "takes" else rows


def _whole_subsets(rows: pa.Table, take_ids: set[str]) -> pa.Table:
    """Those subsets whose takes all go out: one that shrank would still bear the name of its size."""
    broken = {subset for subset, take_id in _columns(rows, "subset", "take_id") if take_id not in take_ids}
    return rows.filter(pc.invert(pc.is_in(rows["subset"], pa.array(sorted(broken), pa.string()))))


def _where(rows: pa.Table, name: str, ids: Iterable[Any]) -> pa.Table:
    return rows.filter(pc.is_in(rows[name], pa.array(sorted({i for i in ids if i is not None}), pa.string())))


def _columns(rows: pa.Table, *names: str) -> Iterable[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in names), strict=True)

"""One HTML page about a dataset, with every figure inside it, and the numbers behind the figures as CSV.

The page is read where datasets are made: offline, years later, on paper. So it holds no link to the network and
no script. What the dataset has not got yet is left out, never filled in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.pcm import read_audio
from ..manifests.schema import ACCEPTED, PLANNED, REJECTED, SUPERSEDED, column_names
from ..manifests.storage import write_text
from ..manifests.tables import read_made_with, read_table
from ..manifests.unit import shown
from ..manifests.version import version
from . import figures
from .catalog import QUARANTINED
from .figures import Figure
from .page import render, write_csv

CELLS = {
    "train": "training songs, grid settings",
    "validation": "validation songs, grid settings",
    "test_seen": "test songs, seen settings (grid)",
    "test_unseen": "test songs, unseen settings (random)",
    "unused": "training songs, random settings",
}
MEASURES = {
    "l1": "L1",
    "mse": "MSE",
    "esr": "ESR",
    "esr_dc": "ESR + DC",
    "mstft": "multi-res. STFT",
    "lufs_difference_db": "loudness, dB",
    "gain_trace_rmse_db": "gain over time, dB",
    "frechet_distance": "Fréchet",
}
Row = dict[str, Any]


def report(dataset: Dataset, output: Path | None = None) -> tuple[Path, list[Path]]:
    """Write the page to `output` [default: report.html in the dataset] and its numbers to `report-data` beside it.

    Returns the page and the CSV files. `DatasetError` when a table is damaged.
    """
    output = output or dataset.root / "report.html"
    content = gather(dataset)
    drawn: dict[str, Figure] = content["figures"]
    page = render(content)
    write_text(output, page)
    tables = {name: figure.data.to_dict("records") for name, figure in drawn.items()}
    tables |= {name: content[name] for name in ("songs", "rejected", "results") if content[name]}
    return output, [write_csv(output.parent / "report-data" / f"{name}.csv", rows) for name, rows in tables.items()]


def gather(dataset: Dataset) -> dict[str, Any]:
    """Everything that the page shows, as plain values and figures."""
    tables = {name: _table(dataset, name) for name in ("songs", "settings", "takes", "sessions", "splits", "results")}
    songs, settings, takes = tables["songs"], tables["settings"], tables["takes"]
    accepted = takes[takes["status"] == ACCEPTED]
    captured_hours = float((accepted["frames"] / accepted["sample_rate"]).sum() / 3600)
    counts = {status: int((takes["status"] == status).sum()) for status in (ACCEPTED, PLANNED, REJECTED, SUPERSEDED)}
    return {
        "name": dataset.root.resolve().name,
        "written": datetime.now(UTC),
        "version": version(),
        "unit": dataset.unit if dataset.unit_path.exists() else None,
        "songs": _songs(dataset, songs, accepted),
        "quarantined": _records(songs[songs["status"] == QUARANTINED]),
        "settings": {origin: int((settings["origin"] == origin).sum()) for origin in ("grid", "random")},
        "takes": counts,
        "captured_hours": captured_hours,
        "sessions": _records(tables["sessions"]),
        "rejected": _rejected(takes),
        "cells": _cells(dataset, tables["splits"], accepted),
        "results": _records(tables["results"]),
        "results_by_split": _by_split(_records(tables["results"])),
        "figures": {figure.name: figure for figure in _figures(dataset, tables, accepted)},
    }


def _table(dataset: Dataset, name: str) -> pd.DataFrame:
    """A table of the dataset; empty, with its columns, while it does not exist."""
    if not dataset.table_path(name).exists():
        return pd.DataFrame({column: pd.Series(dtype=object) for column in column_names(name)})
    return read_table(dataset.table_path(name), name)


def _records(table: pd.DataFrame) -> list[Row]:
    """Rows with None for every null."""
    return [
        {name: None if pd.api.types.is_scalar(value) and pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _songs(dataset: Dataset, songs: pd.DataFrame, accepted: pd.DataFrame) -> list[Row]:
    """Accepted songs, with key, tempo, their side of the split, and what came back."""
    annotations = _table(dataset, "annotations").set_index("song_id")
    splits = _table(dataset, "splits")
    sides = splits[splits["split"] != "unused"].groupby("song_id")["split"].first()
    takes = accepted.groupby("song_id").size()
    rows = []
    for song in _records(songs[songs["status"] == ACCEPTED]):
        song_id = song["song_id"]
        described = _records(annotations.loc[[song_id]])[0] if song_id in annotations.index else {}
        side = sides.get(song_id)
        rows.append(
            {
                **{name: value for name, value in song.items() if name not in ("reasons", "status")},
                "key": described.get("key"),
                "tempo_bpm": described.get("tempo_bpm"),
                "side": side and side.split("_")[0],
                "takes": int(takes.get(song_id, 0)),
            }
        )
    return rows


def _rejected(takes: pd.DataFrame) -> list[Row]:
    """Every rejected take, and what became of its song at its setting."""
    last = takes.sort_values("attempt").groupby(["song_id", "setting_id"])["status"].agg(list)
    rejected = []
    for take in _records(takes[takes["status"] == REJECTED].sort_values(["sequence", "attempt"])):
        statuses = last[take["song_id"], take["setting_id"]]
        outcome = "retaken" if ACCEPTED in statuses else "planned again" if PLANNED in statuses else "open"
        wanted = ("take_id", "song_id", "setting_id", "session_id", "attempt", "started_at")
        reasons = list(take["reasons"]) if take["reasons"] is not None else []
        rejected.append({**{name: take[name] for name in wanted}, "reasons": reasons, "outcome": outcome})
    return rejected


def _cells(dataset: Dataset, splits: pd.DataFrame, accepted: pd.DataFrame) -> dict[str, Any] | None:
    """How many pairs each split has, how many of them are captured, and with which seed it was drawn."""
    if splits.empty:
        return None
    done = splits.merge(accepted[["song_id", "setting_id"]], on=["song_id", "setting_id"]).groupby("split").size()
    rows = []
    for name, meaning in CELLS.items():
        those = splits[splits["split"] == name]
        if len(those):
            counts = {"songs": those["song_id"].nunique(), "settings": those["setting_id"].nunique()}
            captured = int(done.get(name, 0))
            rows.append({"split": name, "meaning": meaning, **counts, "pairs": len(those), "captured": captured})
    return {"rows": rows, "seed": read_made_with(dataset.table_path("splits"), "splits").get("seed")}


def _by_split(rows: list[Row]) -> list[Row]:
    """For every test split the measured columns with their headings, the best value of each, and the rows."""
    columns = {name: title for name, title in MEASURES.items() if any(row[name] is not None for row in rows)}
    tables = []
    for split in dict.fromkeys(row["split"] for row in rows):
        those = [row for row in rows if row["split"] == split]
        values = {name: [abs(row[name]) for row in those if row[name] is not None] for name in columns}
        best = {name: min(found) for name, found in values.items() if found}
        tables.append({"split": split, "meaning": CELLS.get(split), "columns": columns, "best": best, "rows": those})
    return tables


def _figures(dataset: Dataset, tables: Mapping[str, pd.DataFrame], accepted: pd.DataFrame) -> Iterable[Figure]:
    """Every figure whose numbers are there."""
    settings = tables["settings"]
    if accepted["loudness_lufs"].notna().any():
        yield figures.levels(tables["songs"], accepted)
    if accepted["gain_reduction_mean_db"].notna().any():
        yield figures.gain_reduction_by_setting(accepted, settings)
        if positions := _positions(dataset, settings):
            yield figures.gain_reduction_by_control(accepted, settings, positions)
        if loudest := _take_figure(dataset, accepted):
            yield loudest
    if tables["takes"]["latency_samples"].notna().any():
        yield figures.alignment(tables["takes"])
    if len(tables["results"]):
        yield figures.results(tables["results"])
    for log in sorted(dataset.root.glob("runs/*/log.jsonl")):
        lines = _log(log)
        if len(lines) > 1 and "step" in lines:  # one point is no curve
            yield figures.training(log.parent.name, lines)


def _positions(dataset: Dataset, settings: pd.DataFrame) -> dict[str, pd.Categorical]:
    """For each control that is varied: where it stands at every setting, with the panel's order as categories."""
    if not dataset.unit_path.exists():
        return {}
    values = [dataset.unit.from_row(row) for row in settings.to_dict("records")]
    columns = {}
    for name, control in dataset.unit.controls.items():
        words = [shown(value[name]) for value in values]
        if len(set(words)) > 1:
            columns[name] = pd.Categorical(words, [shown(p) for p in control.positions if shown(p) in words])
    return columns


def _take_figure(dataset: Dataset, accepted: pd.DataFrame) -> Figure | None:
    """The take with the most gain reduction, drawn from its audio; None when the files are not here."""
    row = accepted.loc[accepted["gain_reduction_mean_db"].astype(float).idxmax()]
    song = dataset.songs.set_index("song_id").loc[row["song_id"]]
    try:
        dry, sample_rate = read_audio(dataset.file(song["dry_path"]))
        wet, _ = read_audio(dataset.file(row["wet_path"]))
    except DatasetError:
        return None
    frames = min(len(dry), len(wet))
    static = 0.0 if pd.isna(row["static_gain_db"]) else float(row["static_gain_db"])
    caption = f"The take with the most gain reduction: {song['title']} at {row['setting_id']}."
    return figures.take(caption, dry[:frames], wet[:frames], sample_rate, static)


def _log(path: Path) -> pd.DataFrame:
    """A training log, one JSON object a line; a line that a crash cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return pd.DataFrame([row for row in rows if isinstance(row, dict)])

"""One HTML page about a dataset, with every figure inside it, and the numbers behind the figures as CSV.

The page is read where datasets are made: offline, years later, on paper. So it holds no link to the network and
no script. What the dataset has not got yet is never filled in: the page says what it is and what makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..manifests.cells import with_splits
from ..manifests.dataset import Dataset
from ..manifests.schema import ACCEPTED, PLANNED, REJECTED, SUPERSEDED, column_names
from ..manifests.storage import write_text
from ..manifests.tables import read_arrow, read_made_with
from ..manifests.version import version
from . import coverage, diversity, exhibits, quality, statistics
from .drawing import Figure
from .page import render, write_csv
from .song_row import QUARANTINED

TABLES = (
    "songs", "settings", "takes", "sessions", "fingerprints", "annotations", "segments", "references", "splits",
    "results",
)  # fmt: skip
UNREAD = {
    "wet_sha256",
    "cv_sha256",
    "cv_path",
    "source_sha256",
    "features",
    "calibration",
    "caption",
    "acoustic_fingerprint",
}
LISTED_UP_TO = 500  # rejected takes that the page names one by one; the CSV names all
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
SIDES = {"seen": "train", "validation": "validation", "unseen": "test"}
Row = dict[str, Any]
Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Report:
    """Where everything was written."""

    page: Path
    data: list[Path]  # CSV
    figures: list[Path]  # PNG and PDF

    @property
    def folder(self) -> Path:
        """Where the CSV files are."""
        return self.page.parent / "report-data"


def report(dataset: Dataset, output: Path | None = None, *, figure_files: bool = False) -> Report:
    """Write the page to `output` [default: report.html in the dataset] and its numbers to `report-data` beside it.

    `figure_files`: every figure as PNG (300 dpi) and PDF, too, in `report-figures` beside the page. `DatasetError` when
    a table is damaged.
    """
    output = output or dataset.root / "report.html"
    content = gather(dataset)
    drawn: dict[str, Figure] = content["figures"]
    write_text(output, render(content))
    tables = {name: figure.data.to_dict("records") for name, figure in drawn.items()}
    tables |= {name: content[name] for name in ("songs", "sessions", "rejected", "results") if content[name]}
    tables |= {name: content[name] for name in ("diversity_spreads", "frechet_distances") if content[name]}
    tables |= {name: content[name] for name in ("rejections", "datasets") if content[name] and name not in tables}
    made = Report(output, [], [])
    made.data.extend(write_csv(made.folder / f"{name}.csv", rows) for name, rows in tables.items())
    for figure in drawn.values() if figure_files else ():
        made.figures.extend(figure.write(output.parent / "report-figures"))
    return made


def gather(dataset: Dataset) -> dict[str, Any]:
    """Everything that the page shows, as plain values and figures."""
    tables = {name: _table(dataset, name) for name in TABLES}
    songs, settings, takes = tables["songs"], tables["settings"], tables["takes"]
    accepted = takes[takes["status"] == ACCEPTED]
    counts = {status: int((takes["status"] == status).sum()) for status in (ACCEPTED, PLANNED, REJECTED, SUPERSEDED)}
    described = statistics.described(songs, tables["annotations"])
    datasets = exhibits.beside(dataset, settings, accepted)
    sides = _sides(tables["splits"])
    results = _records(tables["results"])
    embedded = diversity.embeddings(described, tables["annotations"], tables["segments"], tables["references"])
    return {
        "name": dataset.root.resolve().name,
        "written": datetime.now(UTC),
        "version": version(),
        "unit": dataset.unit if dataset.unit_path.exists() else None,
        "songs": _songs(described, sides, accepted),
        "quarantined": _records(songs[songs["status"] == QUARANTINED]),
        "settings": {origin: int((settings["origin"] == origin).sum()) for origin in ("grid", "random")},
        "takes": counts,
        "units": sorted(takes["unit_id"].dropna().unique()),
        "captured_hours": statistics.wet_hours(accepted),
        "sessions": _sessions(tables),
        "rejected": _rejected(takes),
        "rejections": _records(quality.rejections(takes)),
        "listed_up_to": LISTED_UP_TO,
        "cells": _cells(dataset, tables["splits"], accepted),
        "datasets": _records(datasets[::-1]),
        "never_visited": _never_visited(dataset, settings),
        "results": results,
        "results_by_split": _by_split(results),
        "diversity_spreads": diversity.spread_rows(embedded),
        "frechet_distances": diversity.frechet_rows(embedded),
        "figures": {
            figure.name: figure
            for figure in exhibits.every_figure(dataset, tables, described, sides, datasets, embedded)
        },
        "missing": list(exhibits.missing(tables, described, embedded)),
    }


def _table(dataset: Dataset, name: str) -> pd.DataFrame:
    """A table without the columns that no page shows; empty, with its columns, while it does not exist."""
    if not dataset.table_path(name).exists():
        return pd.DataFrame({column: pd.Series(dtype=object) for column in column_names(name)})
    arrow = read_arrow(dataset.table_path(name), name)
    table: pd.DataFrame = arrow.select([column for column in arrow.column_names if column not in UNREAD]).to_pandas()
    return table.reindex(columns=[*table, *(c for c in column_names(name) if c not in table and c not in UNREAD)])


def _records(table: pd.DataFrame) -> list[Row]:
    """Rows of plain values, with None for every null."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    """None for a null, a list for an array."""
    if hasattr(value, "tolist") and not pd.api.types.is_scalar(value):
        return value.tolist()
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value


def _sides(splits: pd.DataFrame) -> pd.Series:
    """song_id -> train, validation or test."""
    known = splits.dropna(subset="song_role").groupby("song_id")["song_role"].first().map(SIDES)
    named = (
        splits[splits["split"] != "unused"].groupby("song_id")["split"].first().map(lambda name: name.partition("_")[0])
    )
    return known.combine_first(named) if len(known) else named


def _songs(described: pd.DataFrame, sides: pd.Series, accepted: pd.DataFrame) -> list[Row]:
    """Accepted songs, with key, tempo, their side of the split, and what came back."""
    takes = accepted.groupby("song_id").size()
    table = described[
        [name for name in described if name in column_names("songs") and name not in ("reasons", "status")]
    ]
    table = table.assign(
        key=described["key"],
        tempo_bpm=described["tempo_bpm"],
        side=described["song_id"].map(sides),
        takes=described["song_id"].map(takes).fillna(0).astype(int),
    )
    return _records(table)


def _sessions(tables: Tables) -> list[Row]:
    """Every session with how its takes were."""
    measured = quality.by_session(tables["sessions"], tables["takes"], tables["fingerprints"])
    return _records(measured.merge(tables["sessions"], on="session_id", how="left"))


def _rejected(takes: pd.DataFrame) -> list[Row]:
    """Every rejected take, and what became of its song at its setting on its unit."""
    rejected = takes[takes["status"] == REJECTED].sort_values(["sequence", "attempt"])
    key = ["song_id", "setting_id", "unit_id"]
    others = takes.merge(rejected[key].drop_duplicates(), on=key)
    outcomes: dict[tuple[str, ...], str] = {}
    for status, outcome in ((PLANNED, "planned again"), (ACCEPTED, "retaken")):
        outcomes |= dict.fromkeys(
            others.loc[others["status"] == status, key].itertuples(index=False, name=None), outcome
        )
    wanted = ("take_id", "song_id", "setting_id", "unit_id", "session_id", "attempt", "started_at", *quality.ALIGNMENT)
    rows = []
    for take in _records(rejected):
        reasons = [] if take["reasons"] is None else list(take["reasons"])
        outcome = outcomes.get(tuple(take[name] for name in key), "open")
        rows.append({**{name: take[name] for name in wanted}, "reasons": reasons, "outcome": outcome})
    return rows


def _cells(dataset: Dataset, splits: pd.DataFrame, accepted: pd.DataFrame) -> dict[str, Any] | None:
    """How many pairs each split has, how many of them are captured, and with which seed it was drawn."""
    if splits.empty:
        return None
    done = with_splits(accepted[["song_id", "setting_id", "unit_id"]], splits).groupby("split").size()
    rows = []
    for name, meaning in CELLS.items():
        those = splits[splits["split"] == name]
        if len(those):
            counts = {"songs": those["song_id"].nunique(), "settings": those["setting_id"].nunique()}
            captured = int(done.get(name, 0))
            rows.append({"split": name, "meaning": meaning, **counts, "pairs": len(those), "captured": captured})
    return {"rows": rows, "seed": read_made_with(dataset.table_path("splits"), "splits").get("seed")}


def _never_visited(dataset: Dataset, settings: pd.DataFrame) -> dict[str, list[str]]:
    positions = exhibits.positions_of(dataset, settings)
    return coverage.never_visited(dataset.unit, positions) if positions else {}


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

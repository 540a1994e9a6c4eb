"""What the papers printed, for the names that our models have.

Paper A is Solid State Bus-Comp (2025): tables 2 (black boxes), 3 (grey boxes), 4 (plugins) and 5 (ablation). Paper B
is "Modeling Analog Dynamic Range Compressors using Deep Learning and State-space Models" (2024): table 1. `papers.csv`
holds them as printed; a model of ours stands there under its name in `buscomp models`, another under the paper's.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError

RECORDINGS = {"A": "Solid State Bus-Comp", "B": "SignalTrain LA2A"}  # as `buscomp import` notes where audio is from


@dataclass(frozen=True)
class Printed:
    """One row of one table. `figures`: by the column's name, such as l1_seen or esr_dc."""

    paper: str
    table: str
    model: str
    conditioning: str
    songs: int | None
    hours: float | None
    figures: dict[str, float]


@cache
def printed_rows() -> tuple[Printed, ...]:
    """Every row of every table, in the papers' order."""
    words = ("paper", "table", "model", "conditioning", "songs", "hours")
    with Path(__file__).with_name("papers.csv").open(newline="") as file:
        return tuple(
            Printed(
                row["paper"], row["table"], row["model"], row["conditioning"],
                int(row["songs"]) if row["songs"] else None, float(row["hours"]) if row["hours"] else None,
                {name: float(value) for name, value in row.items() if name not in words and value},
            )
            for row in csv.DictReader(file)
        )  # fmt: skip


def printed_of(paper: str, tables: str, model: str, conditioning: str | None) -> dict[str, float]:
    """What `paper` printed in one of `tables` (such as "234") for a model; nothing where it has no such row."""
    for row in printed_rows():
        if row.paper == paper and row.table in tables and (row.model, row.conditioning) == (model, conditioning or ""):
            return row.figures
    return {}


def same_recordings(dataset: Dataset, paper: str) -> bool:
    """Whether `dataset` holds the recordings that the figures of `paper` are of."""
    path = dataset.root / "import.json"
    if not path.exists():
        return False
    try:
        return str(json.loads(path.read_text()).get("source")).startswith(RECORDINGS[paper])
    except (ValueError, AttributeError) as error:
        raise DatasetError(f"{path.name} is damaged ({error})", mend="import again") from error


def comparable(dataset: Dataset, paper: str) -> str:
    """What may be concluded from figures of `paper` beside ours."""
    if same_recordings(dataset, paper):
        return f"Paper {paper}: the same recordings; how it divided songs and settings is not published."
    return f"Paper {paper}: figures of other recordings, for the order of magnitude only."

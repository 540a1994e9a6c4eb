"""Whole takes through trained models, plugins and the trivial baselines -> results.parquet, results_takes.parquet.

Every take is decoded once, goes through every system from its first sample, which counts too, and is measured by
itself. A figure is the mean over the takes of a cell, one of {seen, unseen song} x {seen, unseen setting}; its spread
is that of the means of single songs. The cells of seen songs, which say what was learned by heart, get as many takes
as the larger test cell, spread evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from ..manifests.cells import SEEN, UNSEEN
from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.pcm import Float32
from ..manifests.tables import read_rows, write_table
from .baselines import fit_baselines
from .checkpoint import Run
from .frechet import Embedding, Gaussian, Vectors, frechet_distance
from .metrics import Metrics, measure
from .summary import summarised
from .systems import Candidate, ModelCandidate, System, baseline_candidates
from .take_audio import Row, TakeAudio, TakeReader, batches, spread_evenly

Cell = tuple[str, str]  # role of the song, role of the setting
TEST_CELLS: tuple[Cell, ...] = ((UNSEEN, SEEN), (UNSEEN, UNSEEN))
CELLS: tuple[Cell, ...] = ((SEEN, SEEN), (SEEN, UNSEEN), *TEST_CELLS)
NO_CELL = (None, None)  # of a row that an earlier version wrote
KEYS = ("take_id", "song_id", "setting_id", "unit_id", "split", "song_role", "setting_role")
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Evaluation:
    """New rows: `rows` of results.parquet, one for each system and cell, `takes` of results_takes.parquet."""

    rows: list[Row]
    takes: list[Row]


def evaluate(
    dataset: Dataset,
    *runs: Run,
    plugins: Sequence[Candidate] = (),
    cells: Sequence[Cell] = CELLS,
    max_takes: int | None = None,
    embedding: Embedding | None = None,
    progress: Progress = iter,
) -> Evaluation:
    """Measure the models of `runs`, the `plugins` and the baselines in `cells`, and put the figures into
    results.parquet and results_takes.parquet, where they replace those of the same systems.

    `max_takes` of each cell, spread evenly, instead of all, is a look that is not kept: baselines over a few takes must
    not stand beside a model over all. With an `embedding` there is a Frechet distance, too. `UsageError` for nothing to
    measure, `DatasetError` without test takes.
    """
    if not runs and not plugins:
        raise UsageError("nothing to evaluate: neither a run nor a plugin")
    takes = cell_takes(dataset, cells, max_takes)
    if not any(takes.values()):
        raise DatasetError("no accepted take is in a test split", mend="type `buscomp split`")
    candidates: list[Candidate] = [*(ModelCandidate(dataset, run) for run in runs), *plugins]
    candidates += baseline_candidates(dataset.unit, fit_baselines(dataset, progress))
    rows: list[Row] = []
    take_rows: list[Row] = []
    for those in takes.values():
        measured, distances = _measured(dataset, candidates, those, embedding, progress)
        take_rows += measured
        rows += [row | distances.get(_system(row), {}) for row in summarised(measured)]
    if max_takes is None:
        systems = [candidate.system for candidate in candidates]
        _replace(dataset, "results_takes", systems, cells, take_rows)
        _replace(dataset, "results", systems, cells, rows)
    return Evaluation(rows, take_rows)


def cell_takes(dataset: Dataset, cells: Sequence[Cell], max_takes: int | None = None) -> dict[Cell, list[Row]]:
    """The takes of each cell, songs together so that each dry file is decoded once. Where a unit is held out, every
    cell is of that unit."""
    splits = dataset.splits
    held_out = UNSEEN if "unit_id" in splits and splits["unit_id"].notna().any() else None
    found: dict[Cell, list[Row]] = {}
    for song, setting in cells:
        table = dataset.pair_table(song=song, setting=setting, unit=held_out)
        found[song, setting] = table.sort_values(["song_id", "setting_id", "unit_id"]).to_dict("records")
    largest = max((len(rows) for (song, _), rows in found.items() if song == UNSEEN), default=0)
    for (song, setting), rows in found.items():
        most = largest if song == SEEN and largest else None
        limits = [limit for limit in (most, max_takes) if limit is not None]
        found[song, setting] = spread_evenly(rows, min(limits, default=None))
    return found


def _measured(
    dataset: Dataset,
    candidates: Sequence[Candidate],
    takes: Sequence[Row],
    embedding: Embedding | None,
    progress: Progress,
) -> tuple[list[Row], dict[System, Row]]:
    """A row for each system and take, and the Frechet columns of each system."""
    rows: list[Row] = []
    reader = TakeReader(dataset)
    heard = [Gaussian() for _ in range(1 + len(candidates))]  # of the target, then of each system

    def measured_take(take: Row, audio: TakeAudio, *outputs: Float32) -> tuple[list[Metrics], list[Vectors]]:
        rate = int(take["sample_rate"])
        vectors = [embedding.embed(each, rate) for each in (audio.wet, *outputs)] if embedding else []
        return measure(outputs, audio.wet, audio.dry, rate, audio.cv), vectors

    # a take per thread: the metrics' own operations are too small to be shared out
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        for batch in progress(batches(takes, copies=2 + len(candidates))):
            audio = [reader.read(take) for take in batch]
            dry = [each.dry for each in audio]
            outputs = [candidate.outputs(batch, dry) for candidate in candidates]
            results = threads.map(measured_take, batch, audio, *outputs)
            for take, (metrics, vectors) in zip(batch, results, strict=True):
                keys = {key: take[key] for key in KEYS}
                rows += [
                    vars(candidate.system) | keys | of_system
                    for candidate, of_system in zip(candidates, metrics, strict=True)
                ]
                for gaussian, of_signal in zip(heard, vectors, strict=False):
                    gaussian.add(of_signal)
    if embedding is None:
        return rows, {}
    target, *others = heard
    return rows, {
        candidate.system: {
            "frechet_distance": frechet_distance(gaussian, target),
            "frechet_embedding": embedding.name,
            "frechet_items": gaussian.count,
        }
        for candidate, gaussian in zip(candidates, others, strict=True)
    }


def _system(row: Row) -> System:
    return System(row["model"], row["conditioning"], row["params"], row["checkpoint"], row.get("subset"))


def _replace(
    dataset: Dataset, table: str, systems: Sequence[System], cells: Sequence[Cell], rows: Sequence[Row]
) -> None:
    """Put `rows` in the place of what `systems` had. Baselines keep other cells; of a run nothing old stays, since it
    may have been trained again."""

    def replaced(row: Row) -> bool:
        of_cells = row["checkpoint"] is not None or (row.get("song_role"), row.get("setting_role")) in (*cells, NO_CELL)
        return _system(row) in systems and of_cells

    path = dataset.table_path(table)
    kept = [row for row in (read_rows(path, table) if path.exists() else []) if not replaced(row)]
    write_table(path, table, [*kept, *rows])

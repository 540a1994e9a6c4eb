"""What more hours and more songs bring: the same model trained on one subset after the other (paper A, table 5).

Everything is resumable: a run that was begun goes on from its checkpoint, one that is through costs nothing, and only
what has no row in results yet is evaluated, all of it in one pass over the test takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.tables import read_made_with
from .checkpoint import Run, load_about, run_named
from .evaluate import TEST_CELLS, Progress, evaluate
from .frechet import Embedding
from .registry import default_conditioning
from .take_audio import Row
from .train import train

MODEL, CONDITIONING = "gcn-10-3", "tvfilm"  # the row of the paper's table 2 that its table 5 ends in


def subset_sizes(dataset: Dataset, names: Sequence[str] = ()) -> dict[str, tuple[int, float]]:
    """Songs and hours of the subsets `names`, of all there are unless some are named, in the order of the paper's
    table: by songs, most first, then by hours."""
    path = dataset.table_path("subsets")
    recorded = read_made_with(path, "subsets") if path.exists() else {}
    if not recorded:
        raise DatasetError("there is no subset yet", mend="type `buscomp subset --paper`")
    if unknown := [name for name in names if name not in recorded]:
        raise UsageError("no such subset", got=unknown[0], allowed=sorted(recorded))
    chosen = {name: its for name, its in recorded.items() if not names or name in names}
    most = max(its["songs"] for its in chosen.values())
    ordered = sorted(
        chosen, key=lambda name: (chosen[name]["songs"] != most, chosen[name]["songs"], chosen[name]["hours"])
    )
    return {name: (int(chosen[name]["songs"]), float(chosen[name]["hours"])) for name in ordered}


def ablate(
    dataset: Dataset,
    subsets: Sequence[str],
    *,
    model: str = MODEL,
    conditioning: str | None = None,
    embedding: Embedding | None = None,
    report: Callable[[str, dict[str, Any]], None] = lambda subset, line: None,
    progress: Progress = iter,
    **options: Any,
) -> list[Row]:
    """Train `model` on each of `subsets`, with `options` of `train`, and evaluate; the rows of results of all of them.

    `report` hears every line of the training log, with the name of the subset."""
    conditioning = conditioning or default_conditioning(model)
    runs: list[Run] = []
    for subset in subsets:
        run = run_named(dataset, f"{model}-{conditioning}-{subset}")
        train(
            dataset, model=model, conditioning=conditioning, name=run.folder.name, subset=subset,
            resume=run.progress.exists(), report=partial(report, subset), **options,
        )  # fmt: skip
        runs.append(run)
    missing = [run for run in runs if not _is_evaluated(dataset, run)]
    if missing:
        evaluate(dataset, *missing, cells=TEST_CELLS, embedding=embedding, progress=progress)
    checkpoints = {run.folder.relative_to(dataset.root).as_posix() for run in runs}
    return [row for row in dataset.rows("results") if row["checkpoint"] in checkpoints]


def _is_evaluated(dataset: Dataset, run: Run) -> bool:
    """Whether results were written after the weights were."""
    path = dataset.table_path("results")
    if not path.exists() or path.stat().st_mtime < run.weights.stat().st_mtime:
        return False
    subset, checkpoint = load_about(run)["subset"], run.folder.relative_to(dataset.root).as_posix()
    return any((row["checkpoint"], row.get("subset")) == (checkpoint, subset) for row in dataset.rows("results"))

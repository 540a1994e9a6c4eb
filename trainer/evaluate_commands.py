"""The verbs `evaluate` and `ablate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..manifests.console import dataset_option, json_option, note, progress, tell
from .recipe import RECIPES

if TYPE_CHECKING:
    from ..manifests.dataset import Dataset
    from .frechet import Embedding
    from .paper_tables import Table
    from .plugin import PluginCandidate

Doors = dict[str, Callable[..., Any]]  # what other rooms do for this one, see `cli.py`
SECONDS = 60.0
embedding_option = click.option(
    "--embedding", metavar="NAME", help="Adds a Frechet distance: musicnn, or a function of yours, module:function."
)
csv_option = click.option("--csv", type=click.Path(path_type=Path, dir_okay=False), help="Write the table there, too.")
markdown_option = click.option(
    "--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the table there, as Markdown."
)


@click.command()
@click.option("--run", "run_names", multiple=True, help="Folder under runs; repeatable.  [default: the newest]")
@click.option("--plugin", help="A VST3 or AU plugin to measure, or pedalboard:NAME; needs --map.")
@click.option(
    "--map", "map_path", type=click.Path(path_type=Path), help="YAML that makes plugin parameters of a setting."
)
@click.option("--fit", is_flag=True, help="First search for what the map leaves open under `fit`.")
@click.option(
    "--cells",
    type=click.Choice(["all", "test"]),
    default="all",
    show_default=True,
    help="Seen songs, too, or only those for testing.",
)
@click.option("--max-takes", type=click.IntRange(1), help="A quick look at so many takes of each cell; not kept.")
@embedding_option
@click.option(
    "--layout",
    type=click.Choice(["a", "b", "all"]),
    default="a",
    show_default=True,
    help="Of the table: paper A, paper B, or every figure.",
)
@click.option(
    "--by",
    type=click.Choice(["cell", "setting", "song", "unit", "take"]),
    default="cell",
    show_default=True,
    help="With --layout all: a row for each of these.",
)
@csv_option
@markdown_option
@dataset_option
@json_option
@click.pass_obj
def evaluate(
    doors: Doors | None,
    /,
    dataset_path: Path,
    run_names: tuple[str, ...],
    plugin: str | None,
    map_path: Path | None,
    fit: bool,
    cells: str,
    max_takes: int | None,
    embedding: str | None,
    layout: str,
    by: str,
    csv: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Compare trained models, or a plugin, and trivial baselines with the unit.

    Whole takes, from their first sample, in the cells {seen, unseen song} x {seen, unseen setting}. The figures go
    into manifests/results.parquet, those of single takes into results_takes.parquet; a look with --max-takes is not
    kept.

    Example: buscomp evaluate --layout b --markdown results.md
    """
    from ..manifests.dataset import open_dataset
    from ..manifests.errors import UsageError
    from .checkpoint import newest_run, run_named
    from .evaluate import CELLS, TEST_CELLS
    from .evaluate import evaluate as do_evaluate
    from .paper_tables import as_lines, paper_table, suspicions
    from .papers import comparable
    from .summary import summarised

    if by != "cell" and layout != "all":
        raise UsageError(f"--by {by} goes with --layout all", mend="say --layout all")
    if plugin is not None and map_path is None:
        raise UsageError("--plugin needs a map from settings to its parameters", mend="say --map FILE.yaml")
    if fit and map_path is None:
        raise UsageError("--fit searches for parameters of a plugin", mend="say --plugin and --map")
    dataset = open_dataset(dataset_path)
    runs = [run_named(dataset, name) for name in run_names]
    if not runs and map_path is None:
        runs = [newest_run(dataset)]
    plugins, found = _plugins(dataset, plugin, map_path, fit)
    made = do_evaluate(
        dataset,
        *runs,
        plugins=plugins,
        cells=CELLS if cells == "all" else TEST_CELLS,
        max_takes=max_takes,
        embedding=_embedding(doors, embedding),
        progress=lambda items: progress(items, "evaluate"),
    )
    notes = [] if layout == "all" else [comparable(dataset, layout.upper())]
    shown = paper_table(layout, made.rows if by == "cell" else summarised(made.takes, by), notes)
    _write(shown, csv, markdown)
    counts = {(row["split"], row["song_role"], row["setting_role"]): row["takes"] for row in made.rows}
    told = "; ".join(f"{count} of {song} songs, {setting} settings" for (_, song, setting), count in counts.items())
    tell(
        as_json,
        {"runs": [run.folder.name for run in runs], "fit": found, "results": made.rows},
        f"Mean over takes ({told}). Lower is better.",
        *as_lines(shown),
        *_gain_lines(made.rows, layout),
        *suspicions(made.rows),
    )


@click.command()
@click.option("--model", default="gcn-10-3", show_default=True, help="A name of `buscomp models`.")
@click.option("--conditioning", help="How the model sees the controls.  [default: tvfilm where the model has it]")
@click.option("--subset", "subsets", multiple=True, help="Only this one; repeatable.  [default: every subset]")
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default="ours",
    show_default=True,
    help="How to train, as for `buscomp train`.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Train so long on each.  [default: 60]")
@click.option("--steps", type=click.IntRange(1), help="Train for so many optimiser steps on each instead.")
@click.option("--seed", default=0, show_default=True, help="Of initial values and of the order of the clips.")
@click.option("--batch", type=click.IntRange(1), help="Clips at once.  [default: the recipe's]")
@click.option("--clip-chunks", type=click.IntRange(1), help="Chunks of a clip.  [default: the recipe's]")
@embedding_option
@csv_option
@markdown_option
@dataset_option
@json_option
@click.pass_obj
def ablate(
    doors: Doors | None,
    /,
    dataset_path: Path,
    subsets: tuple[str, ...],
    embedding: str | None,
    csv: Path | None,
    markdown: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """What more hours and more songs bring: one model, trained on each subset, evaluated on the same takes.

    The subsets are those of `buscomp subset`. Typed again, it goes on where it stopped: what is trained and evaluated
    is not done twice. Results go into manifests/results.parquet, with the subset's name.

    Example: buscomp ablate --steps 500000
    """
    from ..manifests.dataset import open_dataset
    from .ablation import ablate as do_ablate
    from .ablation import subset_sizes
    from .paper_tables import ablation_table, as_lines, suspicions
    from .papers import comparable

    dataset = open_dataset(dataset_path)
    sizes = subset_sizes(dataset, subsets)

    def report(subset: str, line: dict[str, Any]) -> None:
        note(f"{subset}: step {line['step']}, loss {line['loss']:.4f}, {line['elapsed_s']:.0f} s")

    if options["seconds"] is None and options["steps"] is None and RECIPES[options["recipe"]].steps is None:
        options["seconds"] = SECONDS
    rows = do_ablate(
        dataset,
        list(sizes),
        embedding=_embedding(doors, embedding),
        report=report,
        progress=lambda items: progress(items, "evaluate"),
        **{name: value for name, value in options.items() if value is not None},
    )
    shown = ablation_table(rows, sizes, [comparable(dataset, "A")])
    _write(shown, csv, markdown)
    tell(as_json, {"subsets": list(sizes), "results": rows}, *as_lines(shown), *suspicions(rows))


def _embedding(doors: Doors | None, name: str | None) -> Embedding | None:
    """Rooms never call each other: what annotation can embed comes through a door that the house holds open."""
    from .frechet import Embedding, embedding_of

    def known(asked: str) -> Embedding | None:
        found = doors["embedding"](asked) if doors else None
        return None if found is None else Embedding(*found)

    return None if name is None else embedding_of(name, known)


def _plugins(
    dataset: Dataset, where: str | None, map_path: Path | None, fit: bool
) -> tuple[list[PluginCandidate], dict[str, Any] | None]:
    """The plugin of the map, and what a fit found."""
    from .plugin import PluginCandidate
    from .plugin_fit import fit_plugin

    if map_path is None:
        return [], None
    candidate = PluginCandidate(dataset, map_path, where)
    if not fit:
        return [candidate], None
    found = fit_plugin(dataset, candidate, report=lambda calls, error: note(f"call {calls}: {error:.3f} dB"))
    moves = ", ".join(
        f"{name} {'+' if candidate.map.fit[name].add is not None else 'x '}{move:.4g}"
        for name, move in found.moves.items()
    )
    note(
        f"Fitted in {found.calls} calls, {found.before_db:.3f} -> {found.after_db:.3f} dB of gain-trace error: {moves}"
    )
    return [candidate], vars(found)


def _gain_lines(rows: Sequence[dict[str, Any]], layout: str) -> list[str]:
    """The compressor's real job, which no paper's table has: gain-trace error in every cell."""
    from .paper_tables import as_lines, gain_table

    return (
        [] if layout == "all" else ["", "Error of the gain over time, dB; song / setting:", *as_lines(gain_table(rows))]
    )


def _write(table: Table, csv: Path | None, markdown: Path | None) -> None:
    from ..manifests.storage import write_text
    from .paper_tables import as_csv, as_markdown

    for path, write in ((csv, as_csv), (markdown, as_markdown)):
        if path is not None:
            write_text(path, write(table))

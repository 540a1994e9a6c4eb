"""The verbs `models`, `train` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..manifests.console import dataset_option, json_option, note, progress, tell


@click.command()
@json_option
def models(as_json: bool) -> None:
    """The models that can be trained, with their parameter counts.

    Counts are for as many controls as the model's paper has; a unit with more or fewer changes them a little.

    Example: buscomp models
    """
    from .registry import listing

    rows = listing()
    lines = [f"{'model':12} {'conditioning':12} {'params':>7} {'controls':>8}  configuration"]
    lines += [
        f"{row['model']:12} {row['conditioning']:12} {row['params']:7} {row['controls']:8}  {row['configuration']}"
        for row in rows
    ]
    tell(as_json, {"models": rows}, *lines)


@click.command()
@click.option("--model", default="s4-4-4", show_default=True, help="A name of `buscomp models`.")
@click.option("--conditioning", help="How the model sees the controls.  [default: tvfilm where the model has it]")
@click.option("--name", help="Folder under runs.  [default: model-conditioning]")
@click.option("--subset", help="Train on this subset only, see `buscomp subset`.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Train for so long.  [default: 60]")
@click.option("--steps", type=click.IntRange(1), help="Train for so many optimiser steps instead; repeatable.")
@click.option("--seed", default=0, show_default=True, help="Of initial values and of the order of the clips.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Clips at once.")
@click.option("--chunk-frames", type=click.IntRange(2048), default=4480, show_default=True, help="Samples a step.")
@click.option("--clip-chunks", type=click.IntRange(2), default=31, show_default=True, help="Chunks a clip.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=5e-3,
    show_default=True,
    help="At its highest.",
)
@click.option("--s4d-learning-rate", type=click.FloatRange(min=0, min_open=True), help="Of S4D, when it is to differ.")
@click.option(
    "--schedule",
    type=click.Choice(["one-cycle", "plateau", "constant"]),
    help="Course of the learning rate.  [default: plateau with --steps and a validation split, else one-cycle]",
)
@click.option("--dt-min", type=click.FloatRange(min=0, min_open=True), default=1e-3, show_default=True,
              help="Smallest initial step of S4D; 3e-5 starts with memories of seconds.")  # fmt: skip
@click.option("--auto-as-flag/--auto-as-value", default=True, show_default=True, help="AUTO as a control of its own.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint.")
@dataset_option
@json_option
def train(dataset_path: Path, as_json: bool, auto_as_flag: bool, **options: Any) -> None:
    """Train a reference model on the train split.

    Leaves runs/NAME with the weights, what they are, a log, and all that --resume needs. Ctrl-C saves and ends.

    Example: buscomp train --model s4-4-4 --conditioning tvfilm --seconds 60
    """
    from ..manifests.dataset import open_dataset
    from .checkpoint import load_about
    from .train import train as do_train

    if options["seconds"] is None and options["steps"] is None:
        options["seconds"] = 60.0
    run = do_train(open_dataset(dataset_path), **options, auto_flag=auto_as_flag, report=lambda line: note(_told(line)))
    about = load_about(run)
    seen = f"{about['step']} steps, {about['audio_s_seen'] / 60:.1f} minutes of audio in {about['elapsed_s']:.0f} s"
    loss = about["validation_loss"]
    validated = "" if loss is None else f", validation loss {loss:.3f}"
    tell(
        as_json,
        {"run": run.folder.name, **about},
        f"{about['model']} with {about['conditioning']}, {about['params']} parameters: {seen}{validated}.",
        f"Kept in {run.folder}. Next: buscomp evaluate",
    )


def _told(line: dict[str, Any]) -> str:
    validated = "" if line["validation_loss"] is None else f"   validation {line['validation_loss']:.4f}"
    return f"{line['elapsed_s']:7.1f} s   step {line['step']:6d}   loss {line['loss']:.4f}{validated}"


@click.command()
@click.option("--run", "run_name", help="Folder under runs.  [default: the newest]")
@click.option("--max-takes", type=click.IntRange(1), help="A quick look at so many takes of each test split; not kept.")
@dataset_option
@json_option
def evaluate(dataset_path: Path, run_name: str | None, max_takes: int | None, as_json: bool) -> None:
    """Compare a trained model and trivial baselines with the unit.

    Whole takes of the test splits, from their first sample. The figures go into manifests/results.parquet, those of
    a look with --max-takes do not.

    Example: buscomp evaluate
    """
    from ..manifests.dataset import open_dataset
    from .checkpoint import newest_run, run_named
    from .evaluate import evaluate as do_evaluate

    dataset = open_dataset(dataset_path)
    run = run_named(dataset, run_name) if run_name else newest_run(dataset)
    rows = do_evaluate(dataset, run, max_takes=max_takes, progress=lambda batches: progress(batches, "evaluate"))
    tell(as_json, {"run": run.folder.name, "results": rows}, *_table(rows))


COLUMNS = (  # heading, metric, digits
    ("L1", "l1", 4), ("ESR", "esr", 4), ("M-STFT", "mstft", 4), ("LUFS diff dB", "lufs_difference_db", 2),
    ("gain trace dB", "gain_trace_rmse_db", 2),
)  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """The papers' layout: a line per system, seen and unseen settings beside each other."""
    by_system: dict[tuple[str, str | None], dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_system.setdefault((row["model"], row["conditioning"]), {})[row["split"]] = row
    takes = ", ".join(f"{row['takes']} {row['split']}" for row in next(iter(by_system.values())).values())
    lines = [
        f"Mean over takes ({takes}); seen / unseen settings, songs never trained on. Lower is better.",
        f"{'':26}" + "".join(f"{heading:>18}" for heading, _, _ in COLUMNS),
    ]
    for (model, conditioning), splits in by_system.items():
        cells = []
        for _, metric, digits in COLUMNS:
            values = [splits.get(split, {}).get(metric) for split in ("test_seen", "test_unseen")]
            cells.append(" / ".join("-" if value is None else f"{value:.{digits}f}" for value in values))
        name = f"{model} {conditioning}" if conditioning else model
        lines.append(f"{name:26}" + "".join(f"{cell:>18}" for cell in cells))
    return lines

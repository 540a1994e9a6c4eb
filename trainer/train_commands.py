"""The verb `train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..manifests.console import counter, dataset_option, json_option, note, tell
from .recipe import DECAYS, PRECISIONS, RECIPES, SCHEDULES

POSITIVE = click.FloatRange(min=0, min_open=True)
SHARE = click.FloatRange(0, 1)
SECONDS = 60.0
CHOICES: tuple[tuple[str, Any, str], ...] = (  # fields of the recipe, in the order of `--help`
    ("batch", click.IntRange(1), "Clips at once, over all processes."),
    ("chunk-frames", click.IntRange(2048), "Samples of a step."),
    ("clip-chunks", click.IntRange(1), "Chunks of a clip."),
    ("warm-up-chunks", click.IntRange(0), "So many of them only bring the state to life."),
    ("polarity-probability", SHARE, "Turn a clip over, dry and wet, so often."),
    ("learning-rate", POSITIVE, "At its highest."),
    ("s4d-learning-rate", POSITIVE, "Of S4D, where it is to differ."),
    ("weight-decay", click.FloatRange(0), "Of AdamW."),
    ("decayed", click.Choice(DECAYS), "What decays."),
    ("clip-norm", click.FloatRange(0), "Hold the gradient's norm at it; 0: do not."),
    (
        "schedule",
        click.Choice(SCHEDULES),
        "Of the learning rate; unless said, plateau with steps and a validation split.",
    ),
    ("validate-every", click.IntRange(1), "Steps."),
    ("plateau-patience-steps", click.IntRange(1), "Steps without a better validation loss that make a plateau."),
    ("plateau-factor", SHARE, "On the learning rate then."),
    ("frozen-norms", SHARE, "Freeze batch normalisation for this last part."),
    ("precision", click.Choice(PRECISIONS), "Of the forward pass; loss and state are float32."),
    ("dt-min", POSITIVE, "Smallest initial step of S4D; 3e-5 begins with memories of seconds."),
    ("alignment", click.Choice(["delayed", "same"]), "Of TVFiLM and its like; same looks ahead, as published."),
)


def _choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each of `CHOICES`. Its default is the recipe's."""
    for name, kind, text in reversed(CHOICES):
        command = click.option(f"--{name}", type=kind, help=f"{text}  {_defaults(name)}")(command)
    return command


def _defaults(option: str) -> str:
    """What the recipes choose: `[default: 8; paper-a 16, paper-b 32]`."""
    values = {name: getattr(recipe, option.replace("-", "_")) for name, recipe in RECIPES.items()}
    told = {name: f"{value:g}" if isinstance(value, int | float) else value or "none" for name, value in values.items()}
    ours = told.pop("ours")
    others = ", ".join(f"{name} {value}" for name, value in told.items() if value != ours)
    return f"[default: {ours}{'; ' + others if others else ''}]"


@click.command()
@click.option("--model", default="s4-4-4", show_default=True, help="A name of `buscomp models`.")
@click.option("--conditioning", help="How the model sees the controls.  [default: tvfilm where the model has it]")
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="ours", show_default=True,
              help="Where all choices below come from, unless they are typed.")  # fmt: skip
@click.option("--name", help="Folder under runs.  [default: model-conditioning]")
@click.option("--subset", help="Train on this subset only, see `buscomp subset`.")
@click.option("--seconds", type=POSITIVE, help=f"Train for so long.  [default: {SECONDS:g}, or the recipe's steps]")
@click.option("--steps", type=click.IntRange(1), help="Train for so many optimiser steps instead; repeatable.")
@click.option("--seed", default=0, show_default=True, help="Of initial values and of the order of the clips.")
@_choice_options
@click.option("--auto-as-flag/--auto-as-value", "auto_flag", default=None,
              help="AUTO as a control, or as -0.25 of its knob.  [default: flag; papers: value]")  # fmt: skip
@click.option("--scaled-start/--no-scaled-start", default=None, help="Begin as if the signal had an RMS of 1."
              "  [default: scaled; papers: not]")  # fmt: skip
@click.option("--unit-gamma", is_flag=True, default=None, help="TFiLM and TTFiLM: gamma is one more than published.")
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ...; auto: the GPU if there is one."
)
@click.option("--threads", type=click.IntRange(1), help="On the processor.  [default: all cores; under torchrun 1]")
@click.option("--cache", "cache_folder", type=click.Path(path_type=Path, file_okay=False), envvar="BUSCOMP_CACHE",
              show_envvar=True, help="Folder for decoded audio.  [default: .cache/audio in the dataset]")  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Decode clips as they are drawn; needs no disk, feeds no GPU.")
@click.option("--tensorboard", is_flag=True, help="Write an event file beside log.jsonl.")
@click.option("--log-every", type=click.IntRange(1), default=20, show_default=True, help="Steps.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint.")
@dataset_option
@json_option
def train(dataset_path: Path, as_json: bool, no_cache: bool, **options: Any) -> None:
    """Train a reference model on the train split.

    Leaves runs/NAME with the weights, what they are, a log, and all that --resume needs. Ctrl-C saves and ends.
    Several processes or GPUs: torchrun --nproc-per-node 4 -m buscomp train ...

    Example: buscomp train --model s4-4-4 --conditioning tvfilm --seconds 60
    """
    from ..manifests.dataset import open_dataset
    from .checkpoint import load_about
    from .processes import is_first
    from .train import train as do_train

    if options["seconds"] is None and options["steps"] is None and RECIPES[options["recipe"]].steps is None:
        options["seconds"] = SECONDS
    chosen = {name: value for name, value in options.items() if value is not None}
    run = do_train(
        open_dataset(dataset_path), **chosen, cache=not no_cache, tell=note,
        report=lambda line: note(_told(line)), progress=counter("decode"),
    )  # fmt: skip
    if not is_first():
        return
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

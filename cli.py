"""The command `buscomp`: finds the verb, loads its room, turns errors into one line.

A verb lives in its room's `commands.py`, which parses words and makes one call. This file knows only which room
that is, so that `buscomp --help` is instant and torch or PortAudio are loaded only where they are used.
"""

from __future__ import annotations

import functools
import importlib
import keyword
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from .manifests.errors import BuscompError, UsageError, did_you_mean

VERBS = {
    # verb: (room, what it is for), by the way of the data
    "demo": ("cli", "The whole way on real music with a virtual unit, in under five minutes."),
    "devices": ("capture", "Audio interfaces that can be captured with."),
    "calibrate": ("capture", "Measure latency, levels, noise and frequency response of the rack."),
    "catalog": ("curation", "Song files -> songs.parquet and normalised dry audio."),
    "plan": ("capture", "Dry run of a capture: takes, hours, bytes, knob moves, days."),
    "capture": ("capture", "Play every song at every setting and record what comes back."),
    "panel": ("capture", "One page for the person at the rack: what to turn, meters, takes, alarms."),
    "status": ("capture", "How far the capture is, and what the daemon is doing."),
    "pause": ("capture", "Let the running capture wait after the take in progress."),
    "resume": ("capture", "Let a paused capture go on."),
    "stop": ("capture", "End the running capture after the take in progress."),
    "verify": ("manifests", "Check every file against the tables."),
    "import": ("curation", "A dataset that others published -> a dataset here."),
    "annotate": ("annotation", "Tempo, key, genres, instruments and an embedding of every song."),
    "split": ("curation", "Which songs and settings are for training, which for testing."),
    "subset": ("curation", "So many hours of so many training songs, as windows."),
    "models": ("trainer", "The models that can be trained, with their parameter counts."),
    "train": ("trainer", "Train a reference model on the train split."),
    "evaluate": ("trainer", "Compare trained models, or a plugin, and trivial baselines with the unit."),
    "ablate": ("trainer", "What more hours and more songs bring: one model, trained on each subset."),
    "stream": ("trainer", "A trained model as an effect: files or live sound, in any buffer."),
    "listen": ("trainer", "A listening test: make its page, analyse what listeners said."),
    "report": ("curation", "One HTML page about the dataset, with figures."),
    "export": ("curation", "Hugging Face, WebDataset, Croissant, JAMS or BagIt, with data card and citation."),
}
SECTIONS = {
    # the verb that a section of `buscomp --help` begins with: what the section is called
    "demo": "Begin",
    "devices": "The rack",
    "catalog": "Songs and plan",
    "capture": "Capture",
    "verify": "Check, import, describe, split",
    "models": "Models",
    "report": "Report and publish",
}
WIDEST = max(map(len, VERBS))  # so that the columns of all sections meet
EXTRA_OF = {"torch": "train", "safetensors": "train", "matplotlib": "report", "jinja2": "report", "rtmidi": "midi"}
EXTRA_OF |= dict.fromkeys(("mlcroissant", "jams", "bagit"), "export") | {"distributed": "cluster"}
EXTRA_OF |= dict.fromkeys(("starlette", "uvicorn"), "panel")
EXTRA_OF |= {"pedalboard": "plugins", "onnxruntime": "annotate", "onnx": "convert"}


class _OneLine(click.ClickException):
    """A `BuscompError` as click shows errors: one line, no traceback."""

    def __init__(self, error: BuscompError):
        super().__init__(str(error))
        self.exit_code = error.exit_status  # type: ignore[misc]    # click reads it from the instance


class Verbs(click.Group):
    """A group whose commands are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        room, _ = VERBS[cmd_name]
        if room == "cli":
            return demo
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name  # import
        command: click.Command = getattr(importlib.import_module(f".{room}.commands", __package__), name)
        return _cataloging_first(command) if cmd_name == "capture" else command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for verb, (_, purpose) in VERBS.items():
            if verb in SECTIONS:
                rows = sections.setdefault(SECTIONS[verb], [])
            rows.append((verb.ljust(WIDEST), purpose))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], VERBS)
            raise UsageError("no such verb", got=args[0], mend=" ".join(filter(None, (hint, "type `buscomp --help`"))))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs with what they are for, without loading their rooms; after a `-`, the options."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(verb, help=told) for verb, (_, told) in VERBS.items() if verb.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BuscompError as error:
            raise _OneLine(error) from error
        except ModuleNotFoundError as error:
            extra = EXTRA_OF.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            raise _OneLine(
                UsageError(f"{error.name} is not installed", mend=f"type: pip install 'buscomp[{extra}]'")
            ) from error


@click.group(
    cls=Verbs,
    subcommand_metavar="VERB [ARGUMENTS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="buscomp")
@click.pass_context
def main(context: click.Context) -> None:
    """Capture datasets of analog compressors that others can trust.

    Start with `buscomp demo`. Then put songs into a folder `songs`, wire the unit, and type
    `buscomp capture --device NAME --grid grid.yaml`. The verbs stand by the way of the data; `buscomp VERB --help` has
    an example of each.
    """
    context.obj = DOORS


def _embedding(name: str) -> tuple[str, Callable[..., Any]] | None:
    """Name and function of an annotator's embedding, for the Frechet distance of `evaluate`; None if none is so called.
    The function gives a vector for every segment of audio that is heard."""
    from .annotation.backend import BACKENDS, SEGMENTS, Choice, create

    if name not in BACKENDS or not {"embedding", SEGMENTS} <= set(BACKENDS[name].gives):
        return None
    backend = create(Choice(name))

    def embed(audio: Any, sample_rate: int) -> list[Any]:
        segments = backend.annotate(audio, sample_rate)[SEGMENTS].value or ()
        return [segment.embedding for segment in segments if segment.embedding is not None]

    return f"{backend.name} {backend.version}", embed


def _audit(dataset: Any, checkpoint: str) -> Callable[..., Any]:
    """What ranks the takes of `dataset` by the model of `checkpoint`, for `verify`. It is loaded at once, so that
    a name nobody has is told before hours of decoding."""
    from .trainer.audit import audit, candidate_named

    return functools.partial(audit, dataset, candidate_named(dataset, checkpoint))


# What one room does for another. Rooms never call each other: the house hands these to the verbs, as `ctx.obj`.
DOORS: dict[str, Callable[..., Any]] = {"embedding": _embedding, "audit": _audit}


def _cataloging_first(command: click.Command) -> click.Command:
    """`capture` in a folder that has songs but no catalog yet makes the catalog first. Rooms never call each other,
    so this stands here."""
    inner = command.callback
    assert inner is not None

    @functools.wraps(inner)
    def outer(*args: Any, dataset_path: Path, **kwargs: Any) -> Any:
        from .manifests.console import note
        from .manifests.dataset import Dataset

        dataset = Dataset(dataset_path)
        if dataset.songs_folder.is_dir() and not dataset.table_path("songs").exists():
            note("No catalog yet: buscomp catalog songs")
            _run("catalog", str(dataset.songs_folder), "--dataset", str(dataset_path))
        return inner(*args, dataset_path=dataset_path, **kwargs)

    command.callback = outer
    return command


def _run(*words: str) -> None:
    """One verb, as if typed."""
    main.main(list(words), prog_name="buscomp", standalone_mode=False)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="demo")
@click.option("--train-steps", default=300, show_default=True, help="How many optimiser steps the model may train.")
def demo(folder: Path, train_steps: int) -> None:
    """The whole way once, on FOLDER [default: demo]: songs, capture, split, training, evaluation, report.

    Eight original songs are rendered, played through a simulated bus compressor at a small grid of settings,
    annotated, split, and a small model is trained and compared with doing nothing. Each step is a verb that you
    can type yourself. A second run continues where the first stopped.

    Example: buscomp demo
    """
    from .curation.demo_songs import DEMO_SONGS, render_demo_songs

    ours = {f"{song.name}.wav" for song in DEMO_SONGS} | {"songs.csv"}
    if theirs := sorted({path.name for path in (folder / "songs").glob("*")} - ours):
        raise UsageError("the demo needs a folder of its own", got=f"{folder}/songs with {theirs[0]}")
    began = time.monotonic()
    click.echo(f"Rendering eight original songs into {folder}/songs")
    render_demo_songs(folder / "songs")
    os.environ["BUSCOMP_DATASET"] = str(folder)
    for line in (
        f"catalog {shlex.quote(str(folder / 'songs'))}",
        "plan --grid grid-demo.yaml",
        "capture --device virtual --grid grid-demo.yaml",
        "verify",
        "annotate",
        "split --validation-songs 1",
        f"train --model s4-4-4 --conditioning tvfilm --steps {train_steps} --schedule one-cycle",
        "evaluate --cells test",
        "report",
    ):
        click.secho(f"\n$ buscomp {line}", bold=True)
        _run(*shlex.split(line))
    click.echo(
        f"\nDone in {time.monotonic() - began:.0f} s. Made: {folder}/ (songs, dry, wet, manifests, runs) and "
        f"{folder}/report.html.\n"
        f"Look at it:         open {folder}/report.html\n"
        f"Use it from Python: buscomp.open_dataset('{folder}').pairs('train')\n"
        "Capture a unit:     put songs into my-dataset/songs, then in my-dataset type\n"
        "                    buscomp devices\n"
        "                    buscomp capture --device fireface --grid grid.yaml"
    )

"""The verbs of this room: `models` here, the others beside what they are about."""

from __future__ import annotations

import click

from ..manifests.console import json_option, tell
from .evaluate_commands import ablate, evaluate
from .listening_commands import listen
from .streaming_commands import stream
from .train_commands import train

__all__ = ["ablate", "evaluate", "listen", "models", "stream", "train"]


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

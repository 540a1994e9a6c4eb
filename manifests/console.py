"""Words that every verb shares: `--dataset`, `--json`, progress bars and how a result is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import Any, TypeVar

import click

Item = TypeVar("Item")
Command = TypeVar("Command", bound=Callable[..., Any])


def dataset_option(command: Command) -> Command:
    """`--dataset DIR`: the dataset's folder, the current one unless said otherwise."""
    return click.option(
        "--dataset",
        "dataset_path",
        type=click.Path(path_type=Path, file_okay=False),
        default=".",
        envvar="BUSCOMP_DATASET",
        show_envvar=True,
        help="The dataset's folder.  [default: the current one]",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: one JSON document on standard output, for machines."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")(command)


def tell(as_json: bool, document: dict[str, Any], *lines: str) -> None:
    """Print `document` as JSON, or `lines` for a person."""
    if as_json:
        click.echo(json.dumps(document, indent=2, default=str, allow_nan=False))
    else:
        click.echo("\n".join(lines))


def note(text: str) -> None:
    """One line for the person watching, on standard error, so that `--json` output stays clean."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)  # above a progress bar, not through it
    else:
        click.echo(text, err=True)


def progress(items: Iterable[Item], what: str) -> Iterable[Item]:
    """`items`, with a progress bar on a terminal and nothing elsewhere."""
    if not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    bar: Iterable[Item] = tqdm(items, desc=what, total=len(items) if isinstance(items, Sized) else None, leave=False)
    return bar


def counter(what: str) -> Callable[[int], Callable[[], None]]:
    """A bar for work that is not a list: `counter("capture")(total)` gives the function that counts one more."""

    def start(total: int) -> Callable[[], None]:
        if not sys.stderr.isatty():
            return lambda: None
        from tqdm import tqdm

        bar = tqdm(total=total, desc=what, leave=False)

        def count() -> None:
            bar.update()

        return count

    return start

"""The verb `annotate`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..manifests.console import counter, dataset_option, json_option, note, tell

if TYPE_CHECKING:
    from .backend import Choice
    from .references import Embedded


@click.command()
@dataset_option
@click.option("--backend", "names", multiple=True, metavar="NAME", help="Use this backend for all that it gives.")
@click.option("--set", "settings", multiple=True, metavar="NAME.OPTION=VALUE", help="Set an option of a backend.")
@click.option("--backends", "listing", is_flag=True, help="List the backends and what each gives, and do nothing else.")
@click.option(
    "--convert",
    "source",
    type=click.Path(path_type=Path, exists=True),
    help="Make TempoCNN and KeyCNN weights out of your own copy: a .h5 file, or a folder of them. Do nothing else.",
)
@click.option("--references", is_flag=True, help="Embed noise, test tones and plucked strings, too, for the report.")
@click.option(
    "--reference", "folders", multiple=True, metavar="NAME=FOLDER", help="Embed the audio files of a folder, too."
)
@click.option("--again", is_flag=True, help="Keep nothing of an earlier run but annotations.csv.")
@click.option(
    "--jobs", type=click.IntRange(1), help="How many local processes.  [default: one per core, fewer for little audio]"
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Work on the Dask scheduler there, tcp://host:8786, instead of here."
)
@json_option
def annotate(
    dataset_path: Path,
    names: tuple[str, ...],
    settings: tuple[str, ...],
    listing: bool,
    source: Path | None,
    references: bool,
    folders: tuple[str, ...],
    again: bool,
    jobs: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Tempo, key, genres, instruments and an embedding of every accepted song, from its dry audio.

    What was made by the same backends from the same audio is kept, so a second run does what is missing, and Ctrl-C
    loses little. What a person writes into annotations.csv wins.

    Example: buscomp annotate --dataset my-dataset
    """
    from .backend import BACKENDS, installed

    if listing:
        told = {name: {"gives": list(one.gives), "installed": installed(one)} for name, one in BACKENDS.items()}
        lines = (
            f"{name:16} {', '.join(one.gives):50} {one.what}" + ("" if installed(one) else f"  [{one.mend}]")
            for name, one in BACKENDS.items()
        )
        tell(as_json, {"backends": told}, *lines)
        return
    if source is not None:
        _convert(source, as_json)
        return
    from ..manifests.dataset import open_dataset
    from .annotate import annotate as run
    from .makers import missing_defaults
    from .references import embed_references, parsed

    beside = parsed(folders)
    for name in missing_defaults():
        gives = ", ".join(BACKENDS[name].gives)
        note(f"{gives}: left out, {name} needs {BACKENDS[name].package}; {BACKENDS[name].mend}")
    dataset, choices = open_dataset(dataset_path), _choices(names, settings)
    where: dict[str, Any] = {"backends": choices, "again": again, "jobs": jobs, "scheduler": scheduler}
    annotated = run(dataset, **where, start=counter("annotate"))
    embedded = None
    if references or beside:
        embedded = embed_references(dataset, beside, built_in=references, **where, start=counter("references"))
    numbers: dict[str, Any] = {"new": annotated.new, "kept": annotated.kept, "corrected": annotated.corrected}
    if embedded:
        numbers["references"] = {"sets": embedded.sets, "new": embedded.new, "kept": embedded.kept}
    documents = [{name: row.get(name) for name in TOLD} for row in annotated.rows]
    tell(
        as_json,
        numbers | {"songs": documents},
        *(_line(row) for row in annotated.rows),
        f"{len(annotated.rows)} songs: {annotated.new} annotated, {annotated.kept} kept"
        + (f", {annotated.corrected} corrected by annotations.csv." if annotated.corrected else "."),
        *([_of_references(embedded)] if embedded else []),
    )


PREFIXES = {"key": "key", "tempo_bpm": "tempo", "genres": "genres", "instruments": "instruments"}
TOLD = (
    "song_id",
    *(name for value, prefix in PREFIXES.items() for name in (value, f"{prefix}_confidence", f"{prefix}_backend")),
)


def _choices(names: Iterable[str], settings: Iterable[str]) -> list[Choice]:
    """`--backend` and `--set` as choices. An option of a backend that is not asked for asks for it."""
    from ..manifests.errors import UsageError
    from .backend import Choice

    options: dict[str, dict[str, str]] = {name: {} for name in names}
    for setting in settings:
        target, equals, value = setting.partition("=")
        name, dot, option = target.partition(".")
        if not (equals and dot and name and option):
            raise UsageError("--set", got=setting, allowed="NAME.OPTION=VALUE")
        options.setdefault(name, {})[option] = value
    return [Choice(name, tuple(its.items())) for name, its in options.items()]


def _convert(source: Path, as_json: bool) -> None:
    from ..manifests.errors import DatasetError
    from .converted import convert

    results = list(convert(source))
    made = [str(result.path) for result in results if result.path]
    left = {str(result.source): result.reason for result in results if not result.path}
    tell(as_json, {"made": made, "left_out": left}, *made, *(f"left out: {reason}" for reason in left.values()))
    if not made:
        raise DatasetError("nothing could be converted", got=str(source))


def _of_references(embedded: Embedded) -> str:
    """`References: 24 noise, 24 tones, 24 plucked, by musicnn: 72 embedded, 0 kept.`"""
    sets = ", ".join(f"{count} {name}" for name, count in embedded.sets.items())
    makers = ", ".join(embedded.backends)
    return f"References: {sets}, by {makers}: {embedded.new} embedded, {embedded.kept} kept."


def _line(row: dict[str, Any]) -> str:
    """`night-bus  A major (0.94)   97.30 BPM (0.88)  rock, pop; guitar, drum`."""
    tempo = f"{row['tempo_bpm']:6.2f} BPM" if row.get("tempo_bpm") else "  no tempo"
    heard = "; ".join(", ".join(row[name]) for name in ("genres", "instruments") if row.get(name))
    sure = {name: row.get(f"{name}_confidence") for name in ("key", "tempo")}
    key_sure, tempo_sure = (f"({value:.2f})" if value is not None else "(-)" for value in sure.values())
    return f"{row['song_id']:24} {row.get('key') or 'no key':9} {key_sure}  {tempo} {tempo_sure}  {heard}".rstrip()

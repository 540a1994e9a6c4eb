"""The verb `export`."""

from __future__ import annotations

from pathlib import Path

import click

from ..manifests.console import counter, dataset_option, json_option, note, tell
from ..manifests.errors import UsageError

FORMATS = ("huggingface", "webdataset", "croissant", "jams", "bagit")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="Whose tools are to read it."
)
@click.option("--split", "splits", multiple=True, help="Only this split; repeatable.  [default: every accepted take]")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="An excerpt: N songs at N settings at most.")
@click.option("--window-s", type=click.FloatRange(0.1), help="Seconds of each song in an excerpt.  [default: 10]")
@click.option("--dry-once", is_flag=True, help="Each song's dry audio once, not in every row (Parquet).")
@click.option(
    "--shard-mb", type=click.IntRange(1), default=500, show_default=True, help="About how large a shard may grow."
)
@click.option("--title", help="Of the dataset.  [default: the name of its folder]")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="'Family, Given', or a group; repeatable.")
@dataset_option
@json_option
def export(
    folder: Path | None,
    format: str,
    splits: tuple[str, ...],
    sample: int | None,
    window_s: float | None,
    dry_once: bool,
    shard_mb: int,
    title: str | None,
    authors: tuple[str, ...],
    dataset_path: Path,
    as_json: bool,
) -> None:
    """The dataset for other people's tools -> the new folder FOLDER [default: export/FORMAT in the dataset].

    Parquet for Hugging Face datasets, WebDataset shards, Parquet with Croissant, JAMS (annotations only), or the whole
    dataset in a BagIt bag; each with a data card (README.md) and CITATION.cff. Songs whose licence forbids it stay
    behind, and are counted.

    Example: buscomp export excerpt --sample 4 --author "Lovelace, Ada"
    """
    from dataclasses import asdict

    from ..manifests.dataset import open_dataset
    from .export import export as carry_out
    from .export_selection import by_reason

    if window_s is not None and sample is None:
        raise UsageError("--window-s is for an excerpt", mend="add --sample N")
    made = carry_out(
        open_dataset(dataset_path),
        folder or dataset_path / "export" / format,
        format,
        splits=splits,
        sample=sample,
        window_s=10.0 if window_s is None else window_s,
        dry_once=dry_once,
        shard_bytes=shard_mb * 1_000_000,
        title=title,
        authors=authors,
        start=counter("export"),
    )
    for line in by_reason(made.left_out):
        note(f"left out: {line}")
    if not made.authors_named:
        note("note: no author is named; say --author, or put a CITATION.cff into the dataset")
    tell(
        as_json,
        asdict(made),
        f"{made.folder}, {format}: {made.about} {made.files} files, {made.size_bytes / 1e6:.1f} MB.",
    )

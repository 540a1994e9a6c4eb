"""The verbs of this room: `catalog` and `report` here, the others beside what they are about."""

from __future__ import annotations

from pathlib import Path

import click

from ..manifests.console import dataset_option, json_option, note, progress, tell
from .export_commands import export as export
from .import_commands import import_
from .split_commands import split, subset

__all__ = ["catalog", "export", "import_", "report", "split", "subset"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--normalise",
    type=click.Choice(["peak", "rms", "lufs"]),
    default="peak",
    show_default=True,
    help="Which level is brought to --target-db.",
)
@click.option("--target-db", default=-12.0, show_default=True, help="That level: dBFS, or LUFS for lufs.")
@click.option(
    "--mono",
    type=click.Choice(["refuse", "double"]),
    default="refuse",
    show_default=True,
    help="A mono song is refused, or its channel doubled.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["quarantine", "group"]),
    default="quarantine",
    show_default=True,
    help="Of songs that sound the same one stays, or all do, and share a side of every split.",
)
@click.option("--jobs", type=click.IntRange(1), help="How many songs at a time.  [default: one per core, 8 at most]")
@dataset_option
@json_option
def catalog(
    folder: Path | None,
    normalise: str,
    target_db: float,
    mono: str,
    duplicates: str,
    jobs: int | None,
    dataset_path: Path,
    as_json: bool,
) -> None:
    """Song files in FOLDER [default: songs] -> songs.parquet and dry audio at one level.

    Reads wav, flac, ogg, opus, mp3 and aiff; other rates are resampled to 44.1 kHz. What cannot become a song is
    quarantined with its reason (exit status 1). A songs.csv beside the audio (file,title,artist,source,license,
    redistribute) describes the songs. Type it again after adding songs: unchanged ones are kept.

    Example: buscomp catalog songs
    """
    from ..manifests.dataset import Dataset
    from .catalog import catalog as make_catalog

    found = make_catalog(
        Dataset(dataset_path),
        folder,
        normalise=normalise,
        target_db=target_db,
        mono=mono,
        duplicates=duplicates,
        jobs=jobs,
        progress=lambda files: progress(files, "catalog"),
    )
    for line in found.notes:
        note(f"note: {line}")
    accepted = [row for row in found.songs if row not in found.quarantined]
    minutes = sum(row["duration_s"] for row in accepted) / 60
    tell(
        as_json,
        {
            "songs": [{name: row[name] for name in row if name != "acoustic_fingerprint"} for row in found.songs],
            "kept": found.kept,
            "notes": found.notes,
        },
        *(f"quarantined  {row['source_path']}: {'; '.join(row['reasons'])}" for row in found.quarantined),
        f"{len(accepted)} songs, {minutes:.1f} min ({found.kept} unchanged), {len(found.quarantined)} quarantined.",
    )
    if found.quarantined:
        click.get_current_context().exit(1)


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page.  [default: report.html in the dataset]",
)
@click.option("--figures", is_flag=True, help="Every figure as PNG (300 dpi) and PDF, too, in report-figures.")
@dataset_option
@json_option
def report(output: Path | None, figures: bool, dataset_path: Path, as_json: bool) -> None:
    """One HTML page about the dataset, with figures, to be read offline or printed.

    Settings and what they do, music, songs, split, models, quality of the takes over time, every rejected take, and the
    published datasets: what is there is shown, and the page says what is not there yet. The numbers behind every figure
    are written as CSV into report-data beside the page.

    Example: buscomp report --figures
    """
    from ..manifests.dataset import open_dataset
    from .report import report as make_report

    made = make_report(open_dataset(dataset_path), output, figure_files=figures)
    drawn = f", and {len(made.figures)} figures in {made.figures[0].parent}" if made.figures else ""
    tell(
        as_json,
        {"page": str(made.page), **{name: [str(path) for path in getattr(made, name)] for name in ("data", "figures")}},
        f"{made.page} ({made.page.stat().st_size / 1e6:.1f} MB), and {len(made.data)} tables in {made.folder}{drawn}.",
    )

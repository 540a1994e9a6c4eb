"""The verbs `catalog`, `split` and `report`."""

from __future__ import annotations

from pathlib import Path

import click

from ..manifests.console import dataset_option, json_option, note, progress, tell


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
@click.option("--jobs", type=click.IntRange(1), help="How many songs at a time.  [default: one per core, 8 at most]")
@dataset_option
@json_option
def catalog(
    folder: Path | None,
    normalise: str,
    target_db: float,
    mono: str,
    jobs: int | None,
    dataset_path: Path,
    as_json: bool,
) -> None:
    """Song files in FOLDER [default: songs] -> songs.parquet and dry audio at one level.

    Reads wav, flac, ogg, opus, mp3 and aiff; other rates are resampled to 44.1 kHz. What cannot become a song is
    quarantined with its reason (exit status 1). A songs.csv beside the audio (file,title,artist,source,license)
    describes the songs. Type it again after adding songs: unchanged ones are kept.

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
        jobs=jobs,
        progress=lambda files: progress(files, "catalog"),
    )
    for line in found.notes:
        note(f"note: {line}")
    accepted = [row for row in found.songs if row not in found.quarantined]
    minutes = sum(row["duration_s"] for row in accepted) / 60
    tell(
        as_json,
        {"songs": found.songs, "kept": found.kept, "notes": found.notes},
        *(f"quarantined  {row['source_path']}: {'; '.join(row['reasons'])}" for row in found.quarantined),
        f"{len(accepted)} songs, {minutes:.1f} min ({found.kept} unchanged), {len(found.quarantined)} quarantined.",
    )
    if found.quarantined:
        click.get_current_context().exit(1)


@click.command()
@click.option("--seed", default=1, show_default=True, help="Another seed draws other songs.")
@click.option(
    "--train-songs", type=click.IntRange(1), help="How many songs the training side has.  [default: 112 of 175]"
)
@click.option(
    "--validation-songs",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="How many of those are set apart for validation.",
)
@dataset_option
@json_option
def split(seed: int, train_songs: int | None, validation_songs: int, dataset_path: Path, as_json: bool) -> None:
    """Which songs and settings are for training, which for testing -> splits.parquet.

    Songs of the same content stay together. Training uses settings of the grid only; the test songs are asked at
    settings of the grid (test_seen) and at random ones (test_unseen). Works before the capture is done.

    Example: buscomp split
    """
    from ..manifests.dataset import open_dataset
    from ..manifests.schema import SPLITS
    from .split import split as make_split

    made = make_split(open_dataset(dataset_path), seed=seed, train_songs=train_songs, validation_songs=validation_songs)
    roles = {
        role: [song_id for song_id, its in sorted(made.songs.items()) if its == role]
        for role in ("train", "validation", "test")
    }
    if not made.counts.get("test_unseen"):
        note("note: no setting is random, so test_unseen is empty")
    for group in made.grouped:
        note(f"note: same content, kept together: {', '.join(group)}")
    tell(
        as_json,
        {"seed": made.seed, "songs": roles, "takes": made.counts},
        f"Seed {made.seed}, songs: " + ", ".join(f"{len(its)} {role}" for role, its in roles.items() if its) + ".",
        "Takes: " + ", ".join(f"{made.counts[name]} {name}" for name in SPLITS if name in made.counts) + ".",
    )


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page.  [default: report.html in the dataset]",
)
@dataset_option
@json_option
def report(output: Path | None, dataset_path: Path, as_json: bool) -> None:
    """One HTML page about the dataset, with figures, to be read offline or printed.

    Songs, settings, gain reduction, latency, rejected takes, split and results: what is there is shown, what is not
    yet is left out. The numbers behind every figure are written as CSV into report-data beside the page.

    Example: buscomp report
    """
    from ..manifests.dataset import open_dataset
    from .report import report as make_report

    page, tables = make_report(open_dataset(dataset_path), output)
    tell(
        as_json,
        {"page": str(page), "data": [str(path) for path in tables]},
        f"{page} ({page.stat().st_size / 1e6:.1f} MB), and {len(tables)} tables in {tables[0].parent}.",
    )

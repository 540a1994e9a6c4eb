"""The verb `annotate`."""

from __future__ import annotations

from pathlib import Path

import click

from ..manifests.console import dataset_option, json_option, progress, tell


@click.command()
@dataset_option
@click.option("--again", is_flag=True, help="Keep nothing of an earlier run.")
@json_option
def annotate(dataset_path: Path, again: bool, as_json: bool) -> None:
    """Key and tempo of every accepted song, from its dry audio.

    Songs that were annotated by the same method are kept, so a second run does what is missing.

    Example: buscomp annotate --dataset my-dataset
    """
    from ..manifests.dataset import open_dataset
    from .annotate import annotate as run

    annotated = run(open_dataset(dataset_path), again=again, progress=lambda songs: progress(songs, "annotate"))
    named = ("song_id", "key", "key_confidence", "tempo_bpm", "tempo_confidence")
    tell(
        as_json,
        {"new": annotated.new, "kept": annotated.kept, "songs": [{n: row[n] for n in named} for row in annotated.rows]},
        *(
            f"{row['song_id']:24} {row['key'] or 'no key':9} ({row['key_confidence']:.2f})  "
            + (f"{row['tempo_bpm']:6.2f} BPM" if row["tempo_bpm"] else "  no tempo")
            + f" ({row['tempo_confidence']:.2f})"
            for row in annotated.rows
        ),
        f"{len(annotated.rows)} songs: {annotated.new} annotated, {annotated.kept} kept.",
    )

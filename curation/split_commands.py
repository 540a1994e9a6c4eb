"""The verbs `split` and `subset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..manifests.console import dataset_option, json_option, note, tell


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
@click.option(
    "--stratify",
    type=click.Choice(["genre", "tempo", "loudness"]),
    multiple=True,
    help="All sides alike in this; repeatable.",
)
@click.option("--by-artist", is_flag=True, help="All songs of an artist stay together.")
@click.option("--hold-out-unit", metavar="UNIT_ID", help="Test on takes of this unit only, and train on the others.")
@click.option("--folds", type=click.IntRange(2), help="So many parts, each to be the test once.")
@click.option("--fold", type=click.IntRange(1), default=1, show_default=True, help="Which of them is the test.")
@dataset_option
@json_option
def split(dataset_path: Path, as_json: bool, **options: Any) -> None:
    """Which songs and settings are for training, which for testing -> splits.parquet.

    Songs of the same content stay together. Training uses settings of the grid only; the test songs are asked at
    settings of the grid (test_seen) and at random ones (test_unseen). Works before the capture is done.

    Example: buscomp split --validation-songs 12 --stratify genre --stratify tempo
    """
    from collections import Counter

    from ..manifests.dataset import open_dataset
    from ..manifests.schema import SPLITS
    from .split import split as make_split

    made = make_split(open_dataset(dataset_path), **options)
    roles = {
        role: [song_id for song_id, its in sorted(made.songs.items()) if its == role]
        for role in ("train", "validation", "test")
    }
    if not made.counts.get("test_unseen"):
        note("note: no setting is random, so test_unseen is empty")
    for group in made.grouped:
        alike = "same content or artist" if options["by_artist"] else "same content"
        note(f"note: {alike}, kept together: {', '.join(group)}")
    sizes = [count for _, count in sorted(Counter(made.folds.values()).items())]
    folds = [f"Fold {options['fold']} of {len(sizes)} is the test; songs by fold: {', '.join(map(str, sizes))}."]
    tell(
        as_json,
        {"seed": made.seed, "songs": roles, "takes": made.counts, "folds": made.folds, "labels": made.labels},
        f"Seed {made.seed}, songs: " + ", ".join(f"{len(its)} {role}" for role, its in roles.items() if its) + ".",
        "Takes: " + ", ".join(f"{made.counts[name]} {name}" for name in SPLITS if name in made.counts) + ".",
        *(folds if sizes else []),
    )


@click.command()
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Of wet audio, over all takes.")
@click.option("--songs", type=click.IntRange(1), help="From so many training songs.  [default: all of them]")
@click.option("--name", help="What to call it.  [default: such as 100-songs-0p5-h]")
@click.option("--seed", default=1, show_default=True, help="Another seed draws other songs and places.")
@click.option("--window-s", default=4.5, show_default=True, help="What a take gives at a time, in seconds.")
@click.option("--paper", is_flag=True, help="Every subset of the paper's ablation.")
@click.option("--again", metavar="NAME", help="Draw this one again, as it was, from the takes and the split of now.")
@dataset_option
@json_option
def subset(
    hours: float | None,
    songs: int | None,
    name: str | None,
    seed: int,
    window_s: float,
    paper: bool,
    again: str | None,
    dataset_path: Path,
    as_json: bool,
) -> None:
    """So many hours of so many training songs -> windows in subsets.parquet, no audio copied.

    A larger subset of the same songs and seed holds everything that a smaller one does. Without options the subsets
    that there are.

    Example: buscomp subset --hours 5 --songs 100 --name small
    """
    from dataclasses import asdict

    from ..manifests.dataset import open_dataset
    from ..manifests.errors import UsageError
    from .subset import again as draw_again
    from .subset import paper_subsets, recorded_subsets
    from .subset import subset as make_subset

    dataset = open_dataset(dataset_path)
    if sum((hours is not None, paper, again is not None)) > 1 or (hours is None and (songs or name)):
        raise UsageError("say either --hours (with --songs and --name), or --paper, or --again")
    refused: list[str] = []
    if paper:
        made, refused = paper_subsets(dataset, seed=seed, window_s=window_s)
    elif again is not None:
        made = [draw_again(dataset, again)]
    elif hours is not None:
        made = [make_subset(dataset, hours=hours, songs=songs, name=name, seed=seed, window_s=window_s)]
    else:
        there = recorded_subsets(dataset)
        lines = [
            f"{name}: {its['hours']:g} h of {its['songs']} songs, seed {its['seed']}" for name, its in there.items()
        ]
        return tell(as_json, {"subsets": there}, *(lines or ["No subset yet."]))
    tell(
        as_json,
        {"subsets": [asdict(one) for one in made], "refused": refused},
        *(
            f"{one.name}: {one.hours:.4g} h of {one.songs} songs ({one.dry_minutes:.3g} min of music) at "
            f"{one.settings} settings, {one.takes} windows of {one.shortest_s:.3g} to {one.longest_s:.3g} s"
            for one in made
        ),
        *(f"too small for {line}" for line in refused),
    )
    if refused:
        click.get_current_context().exit(1)

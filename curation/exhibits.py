"""Which figures a dataset has the numbers for, and what a complete one would show besides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.pcm import read_audio
from ..manifests.schema import ACCEPTED, PLANNED
from ..manifests.unit import shown
from . import coverage, figures, gain_reduction, music, neighbours, quality, statistics
from .diversity import Embedding, diversity
from .drawing import Figure

Tables = Mapping[str, pd.DataFrame]


def every_figure(
    dataset: Dataset,
    tables: Tables,
    described: pd.DataFrame,
    sides: pd.Series,
    datasets: pd.DataFrame,
    embedded: Sequence[Embedding],
) -> Iterable[Figure]:
    """Every figure whose numbers are there. `described`, `datasets`: songs and published datasets as `statistics` makes
    them; `sides`: song_id -> train, validation or test; `embedded`: what `diversity.embeddings` finds."""
    yield from _of_music(described, sides)
    for place, found in enumerate(embedded, start=1):
        yield diversity(place, found, described, sides)
    settings, takes = tables["settings"], tables["takes"]
    accepted = takes[takes["status"] == ACCEPTED]
    if accepted["loudness_lufs"].notna().any():
        yield figures.levels(tables["songs"], accepted)
    positions = positions_of(dataset, settings)
    if accepted["gain_reduction_mean_db"].notna().any():
        yield gain_reduction.by_setting(accepted, settings)
        if positions:
            yield gain_reduction.by_control(accepted, settings, positions)
        if len(positions) > 1:
            yield gain_reduction.by_pair(accepted, settings, positions)
        if loudest := _take_figure(dataset, accepted, tables["songs"]):
            yield loudest
    if len(positions) > 1:
        yield coverage.coverage(settings, dataset.unit, positions, set(accepted["setting_id"]))
    if len(datasets):
        yield neighbours.datasets(datasets)
    if len(settings) and (takes["status"] != PLANNED).any():
        yield coverage.capture_map(settings, takes)
    if takes["latency_samples"].notna().any():
        yield quality.alignment(takes)
    if takes[list(quality.LEVELS)].notna().any(axis=None):
        yield quality.levels_over_time(takes)
    sessions = quality.by_session(tables["sessions"], takes, tables["fingerprints"])
    if sessions["alarms"].any():
        yield quality.alarms(takes, tables["fingerprints"], sessions)
    if len(tables["results"]):
        yield figures.results(tables["results"])
    for log in sorted(dataset.root.glob("runs/*/log.jsonl")):
        lines = _log(log)
        if len(lines) > 1 and "step" in lines:  # one point is no curve
            yield figures.training(log.parent.name, lines)


def _of_music(described: pd.DataFrame, sides: pd.Series) -> Iterable[Figure]:
    for column, noun in (("genres", "genre"), ("instruments", "instrument")):
        if len(statistics.hours_by_label(described, column)):
            yield music.labels(described, column, noun)
    if described["tempo_bpm"].notna().any():
        yield music.tempo(described)
    if statistics.key_histogram(described)["songs"].any():
        yield music.keys(described)
    if described[["tempo_bpm", "crest_db"]].notna().all(axis=1).any():
        yield music.spread(described, sides)


def missing(tables: Tables, described: pd.DataFrame, embedded: Sequence[Embedding]) -> Iterable[str]:
    """What a complete page would show and this dataset has not got, with what makes it."""
    if not len(described):
        yield "There are no accepted songs: `buscomp catalog songs` makes them."
        return
    if stale := int(described["out_of_date"].sum()):
        yield f"Annotations of {stale} of {len(described)} songs are of other audio and left out: `buscomp annotate`."
    for column, noun in (("tempo_bpm", "tempo"), ("key", "key"), ("genres", "genres"), ("instruments", "instruments")):
        if not described[column].notna().any():
            yield f"No song has {noun}: `buscomp annotate` writes it where a backend for it runs."
    if not embedded:
        yield "No embedding of 3 songs or more is in the annotations, so diversity by embedding is not drawn."
    for alone in (one.name for one in embedded if len(one.sets) == 1):
        yield f"Nothing stands beside the songs in {alone}: `buscomp annotate --references` does it."
    if tables["splits"].empty:
        yield "No split: `buscomp split` draws one."
    if not (tables["takes"]["status"] != PLANNED).any():
        yield "Nothing is captured: `buscomp capture` does it."
        return
    for column, words in (("gain_reduction_mean_db", "gain reduction"), ("noise_floor_dbfs", "noise floor")):
        if not tables["takes"][column].notna().any():
            yield f"No take has a measured {words}."
    if tables["results"].empty:
        yield "No results of models: `buscomp train` and `buscomp evaluate` make them."


def beside(dataset: Dataset, settings: pd.DataFrame, accepted: pd.DataFrame) -> pd.DataFrame:
    """Published datasets and this one, as `statistics.beside_others` makes them; empty while nothing is captured."""
    unit = dataset.unit if dataset.unit_path.exists() else None
    name = dataset.root.resolve().name
    table = statistics.beside_others(name, unit, settings, accepted, statistics.published())
    return table if len(accepted) else table.head(0)


def positions_of(dataset: Dataset, settings: pd.DataFrame) -> gain_reduction.Positions:
    """For each control that is varied: where it stands at every setting, with the panel's order as categories."""
    if not dataset.unit_path.exists():
        return {}
    values = [dataset.unit.from_row(row) for row in settings.to_dict("records")]
    columns = {}
    for name, control in dataset.unit.controls.items():
        words = [shown(value[name]) for value in values]
        if len(set(words)) > 1:
            columns[name] = pd.Categorical(words, [shown(p) for p in control.positions if shown(p) in words])
    return columns


def _take_figure(dataset: Dataset, accepted: pd.DataFrame, songs: pd.DataFrame) -> Figure | None:
    """The take with the most gain reduction, drawn from its audio; None when the files are not here."""
    row = accepted.loc[accepted["gain_reduction_mean_db"].astype(float).idxmax()]
    song = songs.set_index("song_id").loc[row["song_id"]]
    try:
        dry, sample_rate = read_audio(dataset.file(song["dry_path"]))
        wet, _ = read_audio(dataset.file(row["wet_path"]))
    except DatasetError:
        return None
    frames = min(len(dry), len(wet))
    static = 0.0 if pd.isna(row["static_gain_db"]) else float(row["static_gain_db"])
    caption = f"The take with the most gain reduction: {song['title']} at {row['setting_id']}."
    return figures.take(caption, dry[:frames], wet[:frames], sample_rate, static)


def _log(path: Path) -> pd.DataFrame:
    """A training log, one JSON object a line; a line that a crash cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return pd.DataFrame([row for row in rows if isinstance(row, dict)])

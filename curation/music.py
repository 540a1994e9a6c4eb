"""Figures of the music: hours by genre and by instrument, tempo, key, and where each side of the split lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .drawing import BLUE, COLOURS, HALF_IN, HATCHES, RUST, VECTORS_UP_TO, Figure, bars, legend_above
from .statistics import hours_by_label, key_histogram, tempo_histogram
from .wording import count, duration, listed, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

LABELS_UP_TO = 20
SIDES = {"train": (BLUE, "o"), "validation": (COLOURS[2], "s"), "test": (RUST, "^"), "no side": (COLOURS[4], "x")}


def labels(music: pd.DataFrame, column: str, noun: str) -> Figure:
    """Hours of music by genre or by instrument, as in figure 1 of the paper. `column`: genres or instruments."""
    data = hours_by_label(music, column)
    first = data.head(LABELS_UP_TO)
    in_minutes = float(first["hours"].max()) < 1
    amounts = first["hours"] * (60 if in_minutes else 1)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        bars(axes, first["label"], amounts, [number(value) for value in amounts])
        axes.set_xlabel(f"{'minutes' if in_minutes else 'hours'} of dry music")

    labelled = int(music[column].dropna().map(len).gt(0).sum())
    told = listed(f"{row.label} {duration(row.hours)}" for row in first.head(3).itertuples())
    caption = (
        f"{count(labelled, 'song')} of {len(music):,} with {count(len(data), noun)}; most: {told}. "
        "A song counts under each of its labels, so bars add up to more than the music."
    )
    if len(data) > LABELS_UP_TO:
        caption += f" The {LABELS_UP_TO} most frequent are drawn."
    if backends := sorted(set(music[f"{column}_backend"].dropna())):
        caption += f" Labels by {listed(backends)}: machine labels are weak evidence."
    alt = f"Horizontal bars, one per {noun}, longest first: {told}."
    height = 0.75 + 0.19 * max(3, len(first))
    return Figure(f"hours_by_{noun}", f"Music by {noun}", caption, alt, (HALF_IN, height), draw, data)


def tempo(music: pd.DataFrame) -> Figure:
    """How many songs have which tempo."""
    data = tempo_histogram(music)
    width = data["to_bpm"] - data["from_bpm"]

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.bar(data["from_bpm"], data["songs"], width, align="edge", color=BLUE, edgecolor="white", lw=0.8)
        axes.set_xlabel("tempo (BPM)")
        axes.set_ylabel("songs")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=False, axis="x")

    known = music["tempo_bpm"].dropna().astype(float)
    peak = data.loc[data["songs"].idxmax()]
    told = f"from {number(known.min())} to {number(known.max())} BPM, median {number(known.median())}"
    most = f"{peak['from_bpm']:.0f} to {peak['to_bpm']:.0f} BPM ({count(int(peak['songs']), 'song')})"
    caption = f"{count(len(known), 'song')} {told}; most at {most}.{_without(music, len(known), 'tempo')}"
    alt = f"Histogram of songs by tempo in steps of 10 BPM, {told}; highest bar at {most}."
    return Figure("tempo", "Tempo", caption, alt, (HALF_IN, 2.3), draw, data)


def keys(music: pd.DataFrame) -> Figure:
    """How many songs are in which key."""
    data = key_histogram(music)
    modes = {mode: data[data["mode"] == mode].reset_index(drop=True) for mode in ("major", "minor")}

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        places = np.arange(12)
        for shift, colour, hatch, (mode, those) in zip((-0.2, 0.2), (BLUE, RUST), HATCHES, modes.items(), strict=False):
            drawn = axes.bar(places + shift, those["songs"], 0.38, label=mode, color=colour)
            for bar in drawn if hatch else ():
                bar.set(facecolor="white", edgecolor=colour, hatch=hatch)
        axes.set_xticks(places, modes["major"]["tonic"])
        axes.set_xlabel("tonic")
        axes.set_ylabel("songs")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=False, axis="x")
        legend_above(axes, 2)

    total = int(data["songs"].sum())
    first = data.sort_values("songs", ascending=False, kind="stable").head(3)
    told = listed(f"{row.tonic} {row.mode} {row.songs}" for row in first.itertuples() if row.songs)
    per_mode = listed(f"{int(those['songs'].sum())} {mode}" for mode, those in modes.items())
    caption = f"{count(total, 'song')}: {per_mode}. Most: {told}.{_without(music, total, 'key')}"
    alt = f"Two bars per tonic, major and minor, for the twelve tonics from C to B. {per_mode}; most: {told}."
    return Figure("keys", "Key", caption, alt, (HALF_IN, 2.3), draw, data)


def spread(music: pd.DataFrame, sides: pd.Series) -> Figure:
    """Tempo against crest factor of every song, by side of the split. `sides`: song_id -> train, validation, test."""
    data = music[["song_id", "title", "tempo_bpm", "crest_db", "loudness_lufs"]].dropna(
        subset=["tempo_bpm", "crest_db"]
    )
    data = data.assign(side=data["song_id"].map(sides).fillna("no side")).reset_index(drop=True)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        by_side(axes, data, data["tempo_bpm"].astype(float), data["crest_db"].astype(float))
        axes.set_xlabel("tempo (BPM)")
        axes.set_ylabel("crest factor of dry (dB)")

    crest = data["crest_db"].astype(float)
    told = (
        f"crest factor {number(crest.min())} to {number(crest.max())} dB, median {number(crest.median())} dB; "
        f"tempo {number(data['tempo_bpm'].min())} to {number(data['tempo_bpm'].max())} BPM"
    )
    counts = listed(f"{count(int(size), 'song')} {side}" for side, size in data["side"].value_counts().items())
    caption = f"{counts}: {told}. A side that fills only a corner is tested on other music than it was trained on."
    alt = f"Scatter of songs, tempo across and crest factor up, a mark per side of the split: {told}."
    return Figure("spread", "Tempo and crest factor", caption, alt, (HALF_IN, 2.6), draw, data)


def by_side(axes: Axes, data: pd.DataFrame, x: pd.Series, y: pd.Series) -> None:
    """A scatter with a mark of its own for every side of the split, which `data` has as `side`."""
    for side, (colour, mark) in SIDES.items():
        those = data["side"] == side
        if those.any():
            size, pixels = 4.5 if len(data) <= 60 else 3.5, len(data) > VECTORS_UP_TO
            axes.plot(
                x[those], y[those], mark, color=colour, ms=size, alpha=0.8, mew=0.8, label=side, rasterized=pixels
            )
    if set(data["side"]) != {"no side"}:
        legend_above(axes, 4)


def _without(music: pd.DataFrame, known: int, what: str) -> str:
    return f" {count(len(music) - known, 'song')} without a {what}." if known < len(music) else ""

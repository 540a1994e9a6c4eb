"""Figures of songs, of one take, and of models. Those of music, gain reduction, coverage and quality stand apart.

Every function takes plain tables and draws; none of them reads files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..manifests.levels import db
from ..manifests.pcm import Float32
from .drawing import (
    BLUE,
    COLOURS,
    HATCHES,
    INK,
    NAMED_UP_TO,
    QUIET,
    RUST,
    VECTORS_UP_TO,
    WIDE_IN,
    Figure,
    height_of,
    legend_above,
    mark_of,
    name_places,
)
from .wording import count, figures3, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def levels(songs: pd.DataFrame, takes: pd.DataFrame) -> Figure:
    """Loudness of every song as sent and as it came back. `songs` and accepted `takes`."""
    wet = takes.groupby("song_id")["loudness_lufs"].agg(["median", "min", "max"]).add_prefix("wet_lufs_")
    data = songs[["song_id", "title", "loudness_lufs"]].rename(columns={"loudness_lufs": "dry_lufs"})
    data = data.merge(wet, on="song_id").dropna().sort_values("dry_lufs").reset_index(drop=True)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        places = np.arange(len(data))
        size, width = mark_of(len(data))
        pixels = len(data) > VECTORS_UP_TO
        span = axes.hlines(places, data["wet_lufs_min"], data["wet_lufs_max"], color=BLUE, alpha=0.35, lw=width)
        span.set_rasterized(pixels)
        words = "came back: median and range of settings"
        axes.plot(data["wet_lufs_median"], places, "o", color=BLUE, ms=size, label=words, rasterized=pixels)
        axes.plot(data["dry_lufs"], places, "o", color=INK, mfc="white", ms=size, label="sent", rasterized=pixels)
        name_places(axes, data["title"], "songs, quietest below")
        axes.set_xlabel("loudness (LUFS)")
        legend_above(axes, 2)

    lost = data["dry_lufs"] - data["wet_lufs_median"]
    told = (
        f"sent at {number(data['dry_lufs'].min())} to {number(data['dry_lufs'].max())} LUFS, back with a median of "
        f"{number(lost.median())} LU less ({number(lost.min())} to {number(lost.max())})"
    )
    caption = f"{count(len(data), 'song')} {told}. BS.1770, staging removed; the unit's own gain is in it."
    alt = (
        f"One row per song, quietest below: a ring for loudness as sent, a dot and a range for what came back. {told}."
    )
    return Figure("levels", "Loudness of the songs", caption, alt, (WIDE_IN, height_of(len(data))), draw, data)


def results(table: pd.DataFrame) -> Figure:
    """Error of every model and baseline on every split that was measured."""
    metrics = {"esr": "ESR", "mstft": "multi-resolution STFT", "gain_trace_rmse_db": "gain over time (dB RMSE)"}
    metrics = {column: title for column, title in metrics.items() if table[column].notna().any()}
    data = table[["model", "conditioning", "split", *metrics]].reset_index(drop=True)
    names = data["model"] + data["conditioning"].map(lambda text: f" {text}" if isinstance(text, str) else "")
    names += table["subset"].map(lambda text: f" on {text}" if isinstance(text, str) else "").to_numpy()
    if data.assign(name=names).duplicated(["name", "split"]).any():  # several runs of one model
        runs = table["checkpoint"].map(lambda text: f" ({Path(text).name})" if isinstance(text, str) else "")
        names += runs.to_numpy()
    models, splits = list(dict.fromkeys(names)), list(dict.fromkeys(data["split"]))

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(1, max(1, len(metrics)), squeeze=False)[0]
        width = 0.8 / len(models)
        for axes, (column, title) in zip(panels, metrics.items(), strict=True):
            for place, model in enumerate(models):
                those = data[names == model].set_index("split")[column].reindex(splits)
                centres = np.arange(len(splits)) + (place - (len(models) - 1) / 2) * width
                axes.bar(
                    centres,
                    those,
                    width * 0.92,
                    color=COLOURS[place % len(COLOURS)],
                    label=model,
                    hatch=HATCHES[place // len(COLOURS) % len(HATCHES)],
                )
            axes.set_xticks(np.arange(len(splits)), splits)
            axes.set_title(title)
            axes.grid(visible=False, axis="x")
        handles, labels = panels[0].get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=8)

    best = []
    for column, title in metrics.items():
        if data[column].notna().any():
            place = data[column].astype(float).idxmin()
            best.append(
                f"{title} {figures3(float(data.at[place, column]))} ({names[place]}, {data.at[place, 'split']})"
            )
    told = "; ".join(best) or "no measure of these"
    caption = (
        f"Mean error of {count(len(models), 'model')} over the takes of each split; less is better. Least: {told}."
    )
    alt = f"A panel of bars per measure, grouped by split, a bar per model. Least: {told}."
    return Figure("results", "Errors of the models", caption, alt, (WIDE_IN, 2.7), draw, data)


def training(name: str, log: pd.DataFrame) -> Figure:
    """The losses of a training log against its `step`; what else it holds is left out."""
    from matplotlib.ticker import LogLocator, NullLocator

    wanted = [column for column in log.columns if "loss" in column or "validation" in column]
    curves = [column for column in wanted if pd.api.types.is_numeric_dtype(log[column])]
    data = log[["step", *curves]]

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for place, column in enumerate(curves):
            those = data[["step", column]].dropna()
            marker = "o" if len(those) <= NAMED_UP_TO else None
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(those["step"], those[column], color=colour, lw=1.2, label=column, marker=marker, ms=4)
        if curves and bool((data[curves].min() > 0).all()):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("step")
        legend_above(axes, 4)

    ends = ", ".join(
        f"{column} {figures3(float(known.iloc[0]))} to {figures3(float(known.iloc[-1]))}"
        for column in curves
        if len(known := data[column].dropna())
    )
    caption = f"Training of {name} over {int(data['step'].max()):,} steps: {ends}."
    alt = f"Curves over the steps of training: {ends}."
    return Figure(f"training_{name}", f"Training of {name}", caption, alt, (WIDE_IN, 2.6), draw, data)


def take(title: str, dry: Float32, wet: Float32, sample_rate: int, static_gain_db: float) -> Figure:
    """One take as a person looks at it: `dry` and `wet` `(frames, channels)` and the gain between them over time.

    The gain is the ratio of RMS in 50 ms windows minus `static_gain_db`, where dry is above -60 dBFS.
    """
    window = max(1, round(0.05 * sample_rate))
    count = len(dry) // window

    def shaped(audio: Float32) -> Float32:
        mixed: Float32 = audio[: count * window].mean(axis=1)
        return mixed.reshape(count, window)

    sent, back = shaped(dry), shaped(wet)
    rms_sent = np.array([db(float(value)) for value in np.sqrt(np.mean(sent.astype(float) ** 2, axis=1))])
    rms_back = np.array([db(float(value)) for value in np.sqrt(np.mean(back.astype(float) ** 2, axis=1))])
    gain = np.where(rms_sent > -60, rms_back - rms_sent - static_gain_db, np.nan)
    data = pd.DataFrame({"time_s": np.arange(count) * window / sample_rate, "gain_db": gain})
    for name, audio in (("dry", sent), ("wet", back)):
        data[f"{name}_min"], data[f"{name}_max"] = audio.min(axis=1), audio.max(axis=1)

    def draw(canvas: Canvas) -> None:
        upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        upper.fill_between(data["time_s"], data["dry_min"], data["dry_max"], color=QUIET, alpha=0.55, lw=0, label="dry")
        upper.fill_between(data["time_s"], data["wet_min"], data["wet_max"], color=BLUE, alpha=0.9, lw=0, label="wet")
        upper.set_ylabel("amplitude (full scale = 1)")
        legend_above(upper, 2)
        lower.plot(data["time_s"], data["gain_db"], color=RUST, lw=0.9)
        lower.set_ylabel("gain (dB)")
        low, high = lower.get_ylim()  # rounding errors of a unit that does nothing are no story
        lower.set_ylim(min(low, -0.5), max(high, 0.5))
        lower.set_xlabel("time (s)")
        lower.margins(x=0)

    low, middle, high = (np.nanquantile(gain, q) if np.isfinite(gain).any() else np.nan for q in (0.05, 0.5, 0.95))
    told = f"gain {number(middle)} dB (5-95 %: {number(low)} to {number(high)} dB) in 50 ms windows"
    alt = (
        f"Waveform of dry with wet over it, and below it the gain between them over {number(len(dry) / sample_rate)} s."
    )
    caption = f"{title} Median {told}, against the gain below threshold."
    return Figure("take", "One take", caption, f"{alt} Median {told}.", (WIDE_IN, 3.6), draw, data)

"""The figures of the report: each one an SVG, a sentence below it, and the numbers behind it.

Every function takes plain tables and draws; none of them reads files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..manifests.levels import db
from ..manifests.pcm import Float32
from .drawing import (
    BLUE,
    COLOURS,
    INK,
    NAMED_UP_TO,
    QUIET,
    RUST,
    VECTORS_UP_TO,
    height_of,
    legend_above,
    mark_of,
    name_places,
    svg,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Figure:
    """One drawing."""

    name: str  # of the CSV file
    caption: str
    svg: str
    data: pd.DataFrame


def levels(songs: pd.DataFrame, takes: pd.DataFrame) -> Figure:
    """Loudness of every song as sent and as it came back. `songs` and accepted `takes`."""
    wet = takes.groupby("song_id")["loudness_lufs"].agg(["median", "min", "max"]).add_prefix("wet_lufs_")
    data = songs[["song_id", "title", "loudness_lufs"]].rename(columns={"loudness_lufs": "dry_lufs"})
    data = data.merge(wet, on="song_id").dropna().sort_values("dry_lufs").reset_index(drop=True)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        places = np.arange(len(data))
        size, width = mark_of(len(data))
        axes.hlines(places, data["wet_lufs_min"], data["wet_lufs_max"], color=BLUE, alpha=0.35, lw=width)
        axes.plot(
            data["wet_lufs_median"], places, "o", color=BLUE, ms=size, label="came back: median and range of settings"
        )
        axes.plot(data["dry_lufs"], places, "o", color=INK, mfc="white", ms=size, label="sent")
        name_places(axes, data["title"])
        axes.set_xlabel("loudness (LUFS)")
        legend_above(axes, 2)

    caption = "Loudness of each song as sent and as it came back (BS.1770, staging removed)."
    return Figure("levels", caption, svg(7.2, height_of(len(data)), draw), data)


def gain_reduction_by_setting(takes: pd.DataFrame, settings: pd.DataFrame) -> Figure:
    """Mean gain reduction of every setting over the songs, and how far songs differ. Accepted `takes`."""
    mean = takes.groupby("setting_id")["gain_reduction_mean_db"]
    data = pd.DataFrame({"mean_db": mean.mean(), "p10_db": mean.quantile(0.1), "p90_db": mean.quantile(0.9)})
    data["max_db"] = takes.groupby("setting_id")["gain_reduction_max_db"].max()
    data = data.reset_index().merge(settings[["setting_id", "origin"]], on="setting_id")
    data = data.dropna(subset="mean_db").sort_values("mean_db").reset_index(drop=True)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        size, width = mark_of(len(data))
        for origin, colour in (("grid", BLUE), ("random", RUST)):
            those = data[data["origin"] == origin]
            if those.empty:
                continue
            axes.hlines(those.index, those["p10_db"], those["p90_db"], color=colour, alpha=0.35, lw=width)
            axes.plot(
                those["mean_db"], those.index, "o", color=colour, ms=size, label=f"{origin}: mean, 10-90 % of songs"
            )
            axes.plot(those["max_db"], those.index, "|", color=colour, ms=size + 1, label=f"{origin}: largest 100 ms")
        name_places(axes, data["setting_id"])
        axes.set_xlabel("gain reduction (dB)")
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        legend_above(axes, 2)

    caption = "Gain reduction of each setting, against the gain measured below threshold."
    return Figure("gain_reduction_by_setting", caption, svg(7.2, height_of(len(data)), draw), data)


def gain_reduction_by_control(
    takes: pd.DataFrame, settings: pd.DataFrame, positions: dict[str, pd.Categorical]
) -> Figure:
    """Gain reduction against the position of each varied control. `positions`: for every control its position at each
    row of `settings`, with the panel's order as categories."""
    words = settings[["setting_id"]].copy()
    for control, column in positions.items():
        words[control] = column
    joined = takes[["setting_id", "gain_reduction_mean_db"]].merge(words, on="setting_id").dropna()
    rows = []
    for control in positions:
        for position in positions[control].categories:
            values = joined.loc[joined[control] == position, "gain_reduction_mean_db"]
            if len(values):
                low, middle, high = values.quantile([0.1, 0.5, 0.9])
                rows.append((control, position, len(values), low, middle, high))
    data = pd.DataFrame(rows, columns=["control", "position", "takes", "p10_db", "median_db", "p90_db"])

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(1, len(positions), sharey=True, squeeze=False)[0]
        for axes, control in zip(panels, positions, strict=True):
            those = data[data["control"] == control]
            places = np.arange(len(those))
            axes.vlines(places, those["p10_db"], those["p90_db"], color=BLUE, alpha=0.35, lw=4)
            axes.plot(places, those["median_db"], "o-", color=BLUE, ms=5, lw=1)
            axes.set_xticks(places, those["position"])
            axes.set_xlim(-0.6, len(those) - 0.4)
            axes.set_title(control)
            axes.grid(visible=False, axis="x")
        panels[0].set_ylabel("gain reduction (dB)")

    caption = "Gain reduction against each control: median and 10-90 % of all takes at that position."
    return Figure("gain_reduction_by_control", caption, svg(7.2, 2.3, draw), data)


def alignment(takes: pd.DataFrame) -> Figure:
    """Latency, its standard deviation and drift of every measured take, in the order of capture.

    The scale is that of the accepted takes; a rejected one beyond it is drawn at the edge.
    """
    measures = {
        "latency_samples": "latency (samples)",
        "latency_std_samples": "its standard deviation (samples)",
        "drift_samples": "drift over the take (samples)",
    }
    data = takes[["take_id", "started_at", "status", *measures]].dropna(subset="latency_samples")
    data = data.sort_values("started_at").reset_index(drop=True)
    good, rejected = data[data["status"] != "rejected"], data[data["status"] == "rejected"]

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(3, 1, sharex=True)
        for axes, (column, title) in zip(panels, measures.items(), strict=True):
            scale = (good if len(good) else rejected)[column].astype(float)
            margin = max(0.15 * (scale.max() - scale.min()), 0.002)
            low, high = scale.min() - margin, scale.max() + margin
            pixels = len(good) > VECTORS_UP_TO
            axes.plot(good.index, good[column], "o", color=BLUE, ms=3, mew=0, label="accepted", rasterized=pixels)
            if len(rejected):  # an unclipped line without points would ruin the layout
                at_edge = rejected[column].astype(float).clip(low, high)
                axes.plot(rejected.index, at_edge, "x", color=RUST, ms=5, label="rejected", clip_on=False)
            if low < high:
                axes.set_ylim(low, high)
            axes.set_title(title)
            axes.ticklabel_format(useOffset=False, style="plain", axis="y")
        panels[-1].set_xlabel("take, in the order of capture")
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        if len(rejected):
            legend_above(panels[0], 2, right=True)

    caption = "Alignment of every take. Positive latency: wet lags dry. Drift: latency after the song minus before it."
    if len(rejected):
        caption += " A cross at the edge lies beyond it."
    return Figure("alignment", caption, svg(7.2, 4.2, draw), data)


def results(table: pd.DataFrame) -> Figure:
    """Error of every model and baseline on every test split."""
    metrics = {"esr": "ESR", "mstft": "multi-resolution STFT", "gain_trace_rmse_db": "gain over time (dB RMSE)"}
    metrics = {column: title for column, title in metrics.items() if table[column].notna().any()}
    data = table[["model", "conditioning", "split", *metrics]].reset_index(drop=True)
    names = data["model"] + data["conditioning"].map(lambda text: f" {text}" if isinstance(text, str) else "")
    models, splits = list(dict.fromkeys(names)), list(dict.fromkeys(data["split"]))

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(1, max(1, len(metrics)), squeeze=False)[0]
        width = 0.8 / len(models)
        for axes, (column, title) in zip(panels, metrics.items(), strict=True):
            for place, model in enumerate(models):
                those = data[names == model].set_index("split")[column].reindex(splits)
                centres = np.arange(len(splits)) + (place - (len(models) - 1) / 2) * width
                axes.bar(centres, those, width * 0.92, color=COLOURS[place % len(COLOURS)], label=model)
            axes.set_xticks(np.arange(len(splits)), splits)
            axes.set_title(title)
            axes.grid(visible=False, axis="x")
        handles, labels = panels[0].get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=8)

    caption = "Mean error over the takes of each test split; less is better."
    return Figure("results", caption, svg(7.2, 2.7, draw), data)


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

    return Figure(f"training_{name}", f"Training of {name}.", svg(7.2, 2.6, draw), data)


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
        lower.set_xlabel("time (s)")
        lower.margins(x=0)

    return Figure("take", title, svg(7.2, 3.6, draw), data)

"""How good the takes were over time: alignment, levels of the unit at rest, and alarms by session.

Takes are drawn in the order of capture, in at most `BINS` bins of equally many, so that 38,500 takes are as light as
200. A bin is a single take while there are no more takes than bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..manifests.schema import ACCEPTED, REJECTED, SUPERSEDED
from .drawing import BLUE, QUIET, RUST, WIDE_IN, Figure, legend_above, lines_between_cells, shades
from .statistics import wet_hours
from .wording import count, duration, listed, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

BINS = 200
CROSSES_UP_TO = 300  # more rejected takes than this become pixels
BORDERS_UP_TO = 40  # more sessions than this are not marked
NUMBERED_UP_TO = 24  # sessions whose counts of alarms can be read in a row
ALIGNMENT = {
    "latency_samples": "latency (samples)",
    "latency_std_samples": "its standard deviation (samples)",
    "drift_samples": "drift over the take (samples)",
}
LEVELS = {
    "noise_floor_dbfs": "noise floor (dBFS)",
    "hum_dbfs": "mains hum (dBFS)",
    "static_gain_db": "gain below threshold (dB)",
    "channel_imbalance_db": "left minus right (dB)",
}


def in_order(takes: pd.DataFrame, measures: Mapping[str, str]) -> pd.DataFrame:
    """Takes with any of `measures`, in the order of capture, with that `place` from 0."""
    made = takes.dropna(subset=list(measures), how="all")
    made = made.sort_values(["started_at", "sequence", "attempt"], kind="stable").reset_index(drop=True)
    return made.assign(place=np.arange(len(made))).astype(dict.fromkeys(measures, float))


def binned(ordered: pd.DataFrame, measures: Mapping[str, str], bins: int = BINS) -> pd.DataFrame:
    """One row per bin of takes that were not rejected: `first_take_id, last_take_id, place, began, takes`, and of
    every measure its `_min, _p10, _median, _p90, _max`. `place` is the mean place in the order of capture."""
    good = ordered[ordered["status"] != REJECTED]
    groups = good.groupby(np.arange(len(good)) * min(bins, len(good)) // max(1, len(good)))
    ends = groups["take_id"].agg(["first", "last"]).set_axis(["first_take_id", "last_take_id"], axis=1)
    table = ends.assign(place=groups["place"].mean(), began=groups["started_at"].min(), takes=groups.size())
    for measure in measures:
        values = groups[measure]
        quantiles = values.quantile([0.1, 0.5, 0.9]).unstack() if len(good) else pd.DataFrame(columns=[0.1, 0.5, 0.9])
        table[f"{measure}_min"], table[f"{measure}_p10"] = values.min(), quantiles[0.1]
        table[f"{measure}_median"], table[f"{measure}_p90"] = quantiles[0.5], quantiles[0.9]
        table[f"{measure}_max"] = values.max()
    return table.reset_index(drop=True)


def alignment(takes: pd.DataFrame) -> Figure:
    """Latency, its standard deviation and drift of every measured take."""
    caption = "Alignment of every take. Positive latency: wet lags dry. Drift: latency after the song minus before it."
    return _over_time("alignment", "Alignment over time", caption, takes, ALIGNMENT)


def levels_over_time(takes: pd.DataFrame) -> Figure:
    """Noise floor, hum, gain below threshold and imbalance of every measured take."""
    caption = "The unit at rest and below threshold, before every take."
    return _over_time("levels_over_time", "Noise and gain over time", caption, takes, LEVELS)


def _over_time(name: str, title: str, begin: str, takes: pd.DataFrame, measures: Mapping[str, str]) -> Figure:
    measures = {column: words for column, words in measures.items() if takes[column].notna().any()}
    ordered = in_order(takes, measures)
    data = binned(ordered, measures)
    rejected = ordered[ordered["status"] == REJECTED]
    starts = ordered.groupby("session_id")["place"].min().sort_values().iloc[1:]

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (column, words) in zip(panels, measures.items(), strict=True):
            _draw_bins(axes, data, column)
            low, high = _limits(ordered, column)
            if len(rejected):  # an unclipped line without points would ruin the layout
                at_edge = rejected[column].clip(low, high)
                pixels = len(rejected) > CROSSES_UP_TO
                crosses = axes.plot(
                    rejected["place"],
                    at_edge,
                    "x",
                    color=RUST,
                    ms=5,
                    label="rejected",
                    clip_on=False,
                    rasterized=pixels,
                )
                crosses[0].set_zorder(3)
            if low < high:
                axes.set_ylim(low, high)
            if len(starts) <= BORDERS_UP_TO:
                for start in starts:
                    axes.axvline(start - 0.5, color=QUIET, lw=0.6, ls=(0, (2, 2)))
            axes.set_title(words)
            axes.ticklabel_format(useOffset=False, style="plain", axis="y")
        panels[-1].set_xlabel("take, in the order of capture")
        panels[-1].xaxis.set_major_formatter("{x:,.0f}")
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        if len(rejected) or len(data) == BINS:
            legend_above(panels[0], 4, right=True)

    good = ordered[ordered["status"] != REJECTED]
    told = "; ".join(
        f"{words.partition(' (')[0]} {_told(good[column])}"
        for column, words in measures.items()
        if good[column].notna().any()
    )
    drawn = "a dot per take" if len(data) < BINS else f"{len(data)} bins of takes: median, 10-90 %, and full range"
    caption = f"{begin} Median (range) of {count(len(good), 'take')} not rejected: {told or '–'}. Drawn: {drawn}."
    if len(rejected):
        caption += f" {count(len(rejected), 'rejected take')}; a cross at the edge lies beyond it."
    if 0 < len(starts) <= BORDERS_UP_TO:
        caption += " A dashed line begins a session."
    alt = f"{len(measures)} panels one below the other over the takes in the order of capture. Median (range): {told}."
    return Figure(name, title, caption, alt, (WIDE_IN, 0.5 + 1.2 * len(measures)), draw, data)


def _told(values: pd.Series) -> str:
    """Median and range, with as many digits as the largest needs."""
    largest = float(values.abs().max())
    digits = 2 + max(0, math.ceil(-math.log10(largest))) if largest > 0 else 2
    middle, low, high = (number(float(value), digits) for value in (values.median(), values.min(), values.max()))
    return f"{middle} ({low} to {high})"


def _draw_bins(axes: Axes, data: pd.DataFrame, column: str) -> None:
    if len(data) < BINS:
        axes.plot(data["place"], data[f"{column}_median"], "o", color=BLUE, ms=3, mew=0, label="not rejected")
        return
    whole = (data[f"{column}_min"], data[f"{column}_max"])
    most = (data[f"{column}_p10"], data[f"{column}_p90"])
    axes.fill_between(data["place"], *whole, color=BLUE, alpha=0.14, lw=0, step="mid", label="all")
    axes.fill_between(data["place"], *most, color=BLUE, alpha=0.35, lw=0, step="mid", label="10-90 %")
    axes.plot(data["place"], data[f"{column}_median"], color=BLUE, lw=1.1, label="median")


def _limits(ordered: pd.DataFrame, column: str) -> tuple[float, float]:
    """The scale is that of the takes that were not rejected, if any."""
    good = ordered.loc[ordered["status"] != REJECTED, column].dropna()
    scale = good if len(good) else ordered[column].dropna()
    margin = max(0.15 * (scale.max() - scale.min()), 0.002)
    return float(scale.min() - margin), float(scale.max() + margin)


def by_session(sessions: pd.DataFrame, takes: pd.DataFrame, fingerprints: pd.DataFrame) -> pd.DataFrame:
    """One row per session that is known by either table, in order of time: `session_id, began, takes, accepted,
    rejected, superseded, overridden, alarms, hours`, and medians of noise floor, latency and gain below threshold over
    the takes that were not rejected. `alarms` counts reasons of takes and of fingerprints."""
    made = takes.dropna(subset="session_id")
    known = pd.concat([sessions["session_id"], made["session_id"]]).drop_duplicates()
    begins = [sessions.groupby("session_id")["started_at"].min(), made.groupby("session_id")["started_at"].min()]
    table = pd.DataFrame(index=pd.Index(known, name="session_id"))
    table["began"] = begins[0].reindex(table.index).fillna(begins[1].reindex(table.index))
    table["takes"] = made.groupby("session_id").size()
    for status in (ACCEPTED, REJECTED, SUPERSEDED):
        table[status] = made[made["status"] == status].groupby("session_id").size()
    table["overridden"] = made.dropna(subset="override_reason").groupby("session_id").size()
    table["alarms"] = alarm_table(takes, fingerprints).groupby("session_id")["alarms"].sum()
    table = table.fillna(dict.fromkeys(table.columns[1:], 0)).astype(dict.fromkeys(table.columns[1:], int))
    accepted = made[made["status"] == ACCEPTED]
    hours = (accepted["frames"].astype(float) / accepted["sample_rate"].astype(float) / 3600).groupby(
        accepted["session_id"]
    )
    table["hours"] = hours.sum().reindex(table.index).fillna(0.0)
    good = made[made["status"] != REJECTED].groupby("session_id")
    for column in ("noise_floor_dbfs", "latency_samples", "static_gain_db"):
        table[column] = good[column].agg(lambda values: values.astype(float).median())
    return table.reset_index().sort_values("began", kind="stable").reset_index(drop=True)


def alarm_table(takes: pd.DataFrame, fingerprints: pd.DataFrame) -> pd.DataFrame:
    """`session_id, reason, alarms`: how often each reason stands in a take or a fingerprint of each session."""
    both = pd.concat([takes[["session_id", "reasons"]], fingerprints[["session_id", "reasons"]]], ignore_index=True)
    each = both.dropna().explode("reasons").dropna().rename(columns={"reasons": "reason"})
    return each.groupby(["session_id", "reason"]).size().rename("alarms").reset_index()


def alarms(takes: pd.DataFrame, fingerprints: pd.DataFrame, sessions: pd.DataFrame) -> Figure:
    """How often each reason was raised in each session, of which at least one raised any. `sessions`: `by_session`."""
    data = alarm_table(takes, fingerprints)
    order = list(sessions["session_id"])
    counts = data.pivot_table(index="reason", columns="session_id", values="alarms", aggfunc="sum")
    counts = counts.reindex(columns=order).fillna(0).astype(int)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        values: Any = counts.to_numpy()
        axes.imshow(np.where(values > 0, values, np.nan), aspect="auto", cmap=shades(), vmin=0, vmax=values.max())
        if len(order) <= NUMBERED_UP_TO:
            for (row, column), value in np.ndenumerate(values):
                if value:
                    colour = "white" if value > 0.55 * values.max() else "#22262b"
                    axes.text(column, row, f"{value:,}", ha="center", va="center", fontsize=7, color=colour)
        axes.set_yticks(range(len(counts)), counts.index)
        axes.set_xlabel("session, in order of time")
        step = 1 + len(order) // (NUMBERED_UP_TO + 1)
        axes.set_xticks(range(0, len(order), step), [str(place + 1) for place in range(0, len(order), step)])
        lines_between_cells(axes, len(order) if len(order) <= BORDERS_UP_TO else 1, len(counts), "#eceef1")

    total, with_any = int(counts.to_numpy().sum()), int((counts.sum(axis=0) > 0).sum())
    told = listed(f"{reason} {int(row.sum()):,}" for reason, row in counts.head(4).iterrows())
    of_takes = int(takes["session_id"].notna().sum())
    caption = (
        f"{count(total, 'alarm')} in {with_any:,} of {count(len(order), 'session')}, over {count(of_takes, 'take')} "
        f"({duration(wet_hours(takes[takes['status'] == ACCEPTED]))} accepted); most: {told}. Sessions are numbered "
        "as in the table of sessions. A take may raise several."
    )
    alt = f"A map with a row per reason and a column per session, darker is more alarms. Most: {told}."
    return Figure("alarms", "Alarms by session", caption, alt, (WIDE_IN, 0.8 + 0.22 * max(3, len(counts))), draw, data)


def rejections(takes: pd.DataFrame) -> pd.DataFrame:
    """`reason, takes, sessions, songs, settings, first, last` of the rejected takes, most frequent first. A take counts
    under each of its reasons."""
    each = takes[takes["status"] == REJECTED].explode("reasons").rename(columns={"reasons": "reason"})
    each["reason"] = each["reason"].fillna("no reason noted")
    table = each.groupby("reason").agg(
        takes=("take_id", "nunique"),
        sessions=("session_id", "nunique"),
        songs=("song_id", "nunique"),
        settings=("setting_id", "nunique"),
        first=("started_at", "min"),
        last=("started_at", "max"),
    )
    return table.reset_index().sort_values(["takes", "reason"], ascending=[False, True]).reset_index(drop=True)

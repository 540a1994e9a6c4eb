"""What the settings do to the music: gain reduction by setting, by control and by pair of controls.

Every table is a mean or a quantile over accepted takes. `positions`: for every varied control its position at each row
of `settings`, with the panel's order as categories.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .drawing import (
    BLUE,
    RUST,
    VECTORS_UP_TO,
    WIDE_IN,
    Figure,
    height_of,
    legend_above,
    mark_of,
    name_cells,
    name_places,
    name_ticks,
    shade_key,
    shades,
)
from .wording import count, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Positions = dict[str, pd.Categorical]
PANELS_A_ROW = 3
NUMBERED_UP_TO = 8  # positions on both sides of a map whose cells have their numbers in them


def setting_table(takes: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """`setting_id, takes, mean_db, p10_db, p90_db, max_db, origin`, least reduction first."""
    measured = takes.dropna(subset="gain_reduction_mean_db")
    mean = measured.groupby("setting_id")["gain_reduction_mean_db"]
    data = pd.DataFrame({"takes": mean.size(), "mean_db": mean.mean()})
    data["p10_db"], data["p90_db"] = mean.quantile(0.1), mean.quantile(0.9)
    data["max_db"] = measured.groupby("setting_id")["gain_reduction_max_db"].max()
    data = data.reset_index().merge(settings[["setting_id", "origin"]], on="setting_id")
    return data.sort_values(["mean_db", "setting_id"]).reset_index(drop=True)


def by_setting(takes: pd.DataFrame, settings: pd.DataFrame) -> Figure:
    """Mean gain reduction of every setting over the songs, and how far songs differ."""
    data = setting_table(takes, settings)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        size, width = mark_of(len(data))
        pixels = len(data) > VECTORS_UP_TO
        for origin, colour, mark in (("grid", BLUE, "o"), ("random", RUST, "D")):
            those = data[data["origin"] == origin]
            if those.empty:
                continue
            span = axes.hlines(those.index, those["p10_db"], those["p90_db"], color=colour, alpha=0.35, lw=width)
            span.set_rasterized(pixels)
            words = f"{origin}: mean, 10-90 % of songs"
            axes.plot(those["mean_db"], those.index, mark, color=colour, ms=size, label=words, rasterized=pixels)
            words = f"{origin}: largest 100 ms"
            axes.plot(those["max_db"], those.index, "|", color=colour, ms=size + 1, label=words, rasterized=pixels)
        name_places(axes, data["setting_id"], "settings, least reduction below")
        axes.set_xlabel("gain reduction (dB)")
        axes.set_xlim(min(0.0, float(data["p10_db"].min())) - 0.2, max(1.0, axes.get_xlim()[1]))
        legend_above(axes, 2)

    least, most = data.iloc[0], data.iloc[-1]
    told = (
        f"from {number(least['mean_db'])} dB at {least['setting_id']} to {number(most['mean_db'])} dB at "
        f"{most['setting_id']}, median {number(data['mean_db'].median())} dB"
    )
    caption = (
        f"{count(len(data), 'setting')}, mean of {count(int(data['takes'].sum()), 'take')}: {told}; the largest 100 ms "
        f"lose {number(data['max_db'].max())} dB. Measured against the gain below threshold."
    )
    alt = f"One row per setting, ordered by mean gain reduction, with the range of songs: {told}."
    height = height_of(len(data))
    return Figure("gain_reduction_by_setting", "Gain reduction by setting", caption, alt, (WIDE_IN, height), draw, data)


def control_table(takes: pd.DataFrame, settings: pd.DataFrame, positions: Positions) -> pd.DataFrame:
    """`control, position, takes, p10_db, median_db, p90_db`, positions in the panel's order."""
    joined = _joined(takes, settings, positions)
    tables = []
    for control in positions:
        groups = joined.groupby(control, observed=True)["gain_reduction_mean_db"]
        quantiles = {name: groups.quantile(q) for name, q in (("p10_db", 0.1), ("median_db", 0.5), ("p90_db", 0.9))}
        table = pd.DataFrame({"takes": groups.size(), **quantiles}).rename_axis("position").reset_index()
        table.insert(0, "control", control)
        tables.append(table.astype({"position": str}))
    return pd.concat(tables, ignore_index=True)


def by_control(takes: pd.DataFrame, settings: pd.DataFrame, positions: Positions) -> Figure:
    """Gain reduction against the position of each varied control."""
    data = control_table(takes, settings, positions)
    rows = -(-len(positions) // 4)

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(rows, min(4, len(positions)), sharey=True, squeeze=False).flat
        for axes, control in zip(panels, positions, strict=False):
            those = data[data["control"] == control]
            places = np.arange(len(those))
            axes.vlines(places, those["p10_db"], those["p90_db"], color=BLUE, alpha=0.35, lw=4)
            axes.plot(places, those["median_db"], "o-", color=BLUE, ms=5, lw=1)
            name_ticks(axes, list(those["position"]))
            axes.set_xlim(-0.6, len(those) - 0.4)
            axes.set_title(control)
            axes.grid(visible=False, axis="x")
        for axes in list(canvas.axes)[len(positions) :]:
            axes.set_visible(False)
        canvas.axes[0].set_ylabel("gain reduction (dB)")
        canvas.axes[0].set_ylim(min(0.0, data["p10_db"].min()) - 0.3, max(1.0, canvas.axes[0].get_ylim()[1]))

    spans = data.groupby("control", sort=False)["median_db"].agg(lambda values: values.max() - values.min())
    told = ", ".join(f"{control} {number(span)} dB" for control, span in spans.items())
    caption = (
        f"Median and 10-90 % of the takes at each position. From its least to its most the median spans {told}. The "
        "other controls differ, too, from position to position."
    )
    alt = f"A panel per control, gain reduction up, positions across. Span of the medians: {told}."
    size = (WIDE_IN, 0.3 + 2.0 * rows)
    return Figure("gain_reduction_by_control", "Gain reduction by control", caption, alt, size, draw, data)


def pair_table(takes: pd.DataFrame, settings: pd.DataFrame, positions: Positions) -> pd.DataFrame:
    """`control_a, position_a, control_b, position_b, settings, takes, mean_db` for every pair of positions that was
    captured."""
    joined = _joined(takes, settings, positions)
    tables = []
    for a, b in combinations(positions, 2):
        groups = joined.groupby([a, b], observed=True)
        table = groups.agg(
            settings=("setting_id", "nunique"),
            takes=("gain_reduction_mean_db", "size"),
            mean_db=("gain_reduction_mean_db", "mean"),
        ).reset_index()
        table = table.rename(columns={a: "position_a", b: "position_b"})
        table.insert(0, "control_a", a)
        table.insert(2, "control_b", b)
        tables.append(table.astype({"position_a": str, "position_b": str}))
    return pd.concat(tables, ignore_index=True)


def by_pair(takes: pd.DataFrame, settings: pd.DataFrame, positions: Positions) -> Figure:
    """Mean gain reduction over every pair of controls, as maps on one scale. Needs two varied controls."""
    data = pair_table(takes, settings, positions)
    pairs = list(combinations(positions, 2))
    rows, columns = -(-len(pairs) // PANELS_A_ROW), min(PANELS_A_ROW, len(pairs))
    low, high = min(0.0, float(data["mean_db"].min())), max(0.1, float(data["mean_db"].max()))

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(rows, columns, squeeze=False)
        image = None
        for axes, (a, b) in zip(panels.flat, pairs, strict=False):
            across, up = ([str(word) for word in positions[name].categories] for name in (a, b))
            those = data[(data["control_a"] == a) & (data["control_b"] == b)]
            table = those.pivot_table(index="position_b", columns="position_a", values="mean_db")
            values = table.reindex(index=up, columns=across).to_numpy()
            image = axes.imshow(values, origin="lower", aspect="auto", cmap=shades(), vmin=low, vmax=high)
            if len(across) <= NUMBERED_UP_TO and len(up) <= NUMBERED_UP_TO:
                for (row, column), value in np.ndenumerate(values):
                    if np.isfinite(value):
                        colour = "white" if value > low + 0.55 * (high - low) else "#22262b"
                        axes.text(column, row, number(value), ha="center", va="center", fontsize=6.5, color=colour)
            name_cells(axes, across, up)
            axes.set_xlabel(a)
            axes.set_ylabel(b)
        shade_key(canvas, panels, len(pairs), image, "mean gain reduction (dB)")

    most = data.loc[data["mean_db"].idxmax()]
    told = (
        f"{most['control_a']} {most['position_a']} with {most['control_b']} {most['position_b']}: "
        f"{number(most['mean_db'])} dB over {count(int(most['takes']), 'take')}"
    )
    caption = f"Mean over the takes at each pair of positions; white: nothing there. The most is at {told}."
    alt = f"A map per pair of controls, darker is more gain reduction. The darkest cell: {told}."
    size = (WIDE_IN if columns > 1 else 4.5, 0.3 + 1.9 * rows)
    return Figure("gain_reduction_by_pair", "Gain reduction by pair of controls", caption, alt, size, draw, data)


def _joined(takes: pd.DataFrame, settings: pd.DataFrame, positions: Positions) -> pd.DataFrame:
    """Gain reduction of every take beside the words of its positions."""
    words = settings[["setting_id"]].assign(**positions)
    return takes[["setting_id", "gain_reduction_mean_db"]].dropna().merge(words, on="setting_id")

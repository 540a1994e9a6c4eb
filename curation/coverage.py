"""Which places of the panel the settings reach: every pair of controls, seen (grid) and unseen (random) apart.

A model is trained at seen settings and asked at unseen ones: a place with random settings alone is asked without an
example near it, and a place with neither is not asked at all.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..manifests.unit import Unit, shown
from .drawing import BLUE, RUST, VECTORS_UP_TO, WIDE_IN, Figure, name_cells, shade_key, shades
from .gain_reduction import PANELS_A_ROW, Positions
from .wording import count, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def coverage_table(settings: pd.DataFrame, unit: Unit, positions: Positions, captured: set[str]) -> pd.DataFrame:
    """`control_a, position_a, control_b, position_b, seen, unseen, captured`: how many settings stand at each pair of
    positions, and how many of them are `captured`. Every pair that the panel allows has a row, empty ones too.
    `positions` is that of `gain_reduction`."""
    words = pd.DataFrame({control: list(column.astype(str)) for control, column in positions.items()})
    words["seen"] = (settings["origin"] == "grid").to_numpy()
    words["unseen"] = ~words["seen"]
    words["captured"] = settings["setting_id"].isin(captured).to_numpy()
    tables = []
    for a, b in combinations(positions, 2):
        every = pd.MultiIndex.from_product([on_panel(unit, a), on_panel(unit, b)], names=["position_a", "position_b"])
        counts = words.groupby([a, b])[["seen", "unseen", "captured"]].sum().reindex(every, fill_value=0)
        table = counts.astype(int).reset_index()
        table.insert(0, "control_a", a)
        table.insert(2, "control_b", b)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def on_panel(unit: Unit, control: str) -> list[str]:
    """The positions of a control as people write them, in the panel's order."""
    return [shown(position) for position in unit.controls[control].positions]


def coverage(settings: pd.DataFrame, unit: Unit, positions: Positions, captured: set[str]) -> Figure:
    """Seen and unseen settings at every pair of positions of the varied controls, of which there are two or more."""
    data = coverage_table(settings, unit, positions, captured)
    pairs = list(combinations(positions, 2))
    rows, columns = -(-len(pairs) // PANELS_A_ROW), min(PANELS_A_ROW, len(pairs))
    most_seen, most_unseen = (max(1, int(data[column].max())) for column in ("seen", "unseen"))

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(rows, columns, squeeze=False)
        image = None
        for axes, (a, b) in zip(panels.flat, pairs, strict=False):
            across, up = (on_panel(unit, name) for name in (a, b))
            those = data[(data["control_a"] == a) & (data["control_b"] == b)]
            counts = those.pivot(index="position_b", columns="position_a", values="seen").reindex(
                index=up, columns=across
            )
            seen_there = counts.where(counts > 0).to_numpy(dtype=float)
            image = axes.imshow(seen_there, origin="lower", aspect="auto", cmap=shades(), vmin=0, vmax=most_seen)
            asked = those[those["unseen"] > 0]
            x, y = asked["position_a"].map(across.index), asked["position_b"].map(up.index)
            area = 9 + 45 * asked["unseen"] / most_unseen
            marks = axes.scatter(x, y, area, color=RUST, marker="D", edgecolor="white", lw=0.7, label="unseen (random)")
            marks.set_rasterized(len(data) > VECTORS_UP_TO)
            name_cells(axes, across, up)
            axes.set_xlabel(a)
            axes.set_ylabel(b)
        bar = shade_key(canvas, panels, len(pairs), image, "seen settings (grid)")
        bar.ax.yaxis.get_major_locator().set_params(integer=True)
        handles, labels = canvas.axes[0].get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside upper left", fontsize=8, handletextpad=0.3)

    seen, unseen = data["seen"] > 0, data["unseen"] > 0
    told = (
        f"of {count(len(data), 'pair')} of positions that the panel allows, seen settings stand at {int(seen.sum()):,} "
        f"({number(100 * seen.mean(), 0)} %), unseen ones at {int(unseen.sum()):,}, {int((unseen & ~seen).sum()):,} of "
        f"them without a seen one, and none at {int((~seen & ~unseen).sum()):,}"
    )
    per_origin = settings["origin"].value_counts()
    caption = (
        f"{count(int(per_origin.get('grid', 0)), 'seen setting')} and "
        f"{count(int(per_origin.get('random', 0)), 'unseen one')}; {told}. Darker and larger: more of them."
    )
    alt = f"A map per pair of controls; shaded cells hold seen settings, diamonds stand at unseen ones. {told}."
    size = (WIDE_IN if columns > 1 else 4.5, 0.5 + 2.0 * rows)
    return Figure("coverage", "Coverage of the settings", caption, alt, size, draw, data)


def never_visited(unit: Unit, positions: Positions) -> dict[str, list[str]]:
    """For every varied control the positions of the panel at which no setting stands."""
    missing = {name: [p for p in on_panel(unit, name) if p not in set(column)] for name, column in positions.items()}
    return {name: words for name, words in missing.items() if words}


def capture_map(settings: pd.DataFrame, takes: pd.DataFrame) -> Figure:
    """Every song at every setting: accepted at the first attempt, later, planned, or open. One image, however many."""
    order = settings.sort_values("visit_order")["setting_id"]
    ranked = takes.assign(rank=takes["status"].map({"accepted": 3, "planned": 2, "rejected": 1, "superseded": 1}))
    ranked = ranked.assign(rank=np.where((ranked["rank"] == 3) & (ranked["attempt"] > 1), 4, ranked["rank"]))
    state = ranked.groupby(["setting_id", "song_id"])["rank"].max().unstack("song_id")  # several units: the best
    state = state.reindex(order).fillna(0).astype(int)
    counts = {
        name: (state == rank).sum(axis=1) for rank, name in ((3, "first"), (4, "later"), (2, "planned"), (1, "open"))
    }
    data = pd.DataFrame(counts).rename_axis("setting_id").reset_index()
    data.insert(1, "visit_order", range(len(data)))

    def draw(canvas: Canvas) -> None:
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        axes = canvas.subplots()
        colours = ["#ffffff", RUST, "#dfe3e8", BLUE, "#e0a93a"]
        axes.imshow(state, aspect="auto", cmap=ListedColormap(colours), vmin=-0.5, vmax=4.5, interpolation="nearest")
        axes.set_xlabel(f"{state.shape[1]:,} songs")
        axes.set_ylabel("settings, as visited")
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.yaxis.get_major_locator().set_params(integer=True)
        words = {3: "accepted at once", 4: "accepted later", 2: "to do", 1: "rejected, nothing planned"}
        patches = [
            Patch(color=colours[rank], label=text) for rank, text in words.items() if (state == rank).any(axis=None)
        ]
        axes.legend(handles=patches, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8, borderaxespad=0.2)

    totals = {name: int(data[name].sum()) for name in counts}
    cells = state.size
    told = (
        f"of {cells:,} pairs of song and setting {totals['first']:,} were accepted at the first attempt, "
        f"{totals['later']:,} later, {totals['planned']:,} are to do, "
        f"{totals['open']:,} are rejected and not planned again"
    )
    caption = f"Every song (across) at every setting (down, in the order of visits): {told}."
    alt = f"A map with a column per song and a row per setting, coloured by what came of it: {told}."
    size = (WIDE_IN, min(2.9, 1.0 + 0.12 * max(4, len(state))))
    return Figure("capture_map", "What is captured", caption, alt, size, draw, data)

"""This dataset beside the published ones: hours and settings on two logarithmic scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .drawing import BLUE, RUST, WIDE_IN, Figure
from .wording import count, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def datasets(table: pd.DataFrame) -> Figure:
    """`table` as `statistics.beside_others` makes it."""
    ours = table[table["is_ours"]].iloc[0]
    names = [f"{row.device or row.dataset}" + (" (this dataset)" if row.is_ours else "") for row in table.itertuples()]

    def draw(canvas: Canvas) -> None:
        from matplotlib.ticker import NullLocator

        panels = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        places = np.arange(len(table))
        colours = [RUST if is_ours else BLUE for is_ours in table["is_ours"]]
        for axes, (column, title) in zip(panels, {"hours": "hours", "combinations": "settings"}.items(), strict=True):
            values = table[column].astype(float).to_numpy()
            shown = np.where(values > 0, values, np.nan)
            left = np.nanmin(shown) / 2
            axes.hlines(places, left, shown, color=colours, alpha=0.45, lw=2.5)
            for mark, those in (("o", ~table["is_ours"]), ("D", table["is_ours"])):
                axes.plot(shown[those], places[those], mark, color=RUST if mark == "D" else BLUE, ms=5)
            for place, value in enumerate(values):
                text = number(int(value)) if column == "combinations" else number(value, 0 if value >= 100 else 2)
                bold = "bold" if table["is_ours"].iloc[place] else "normal"
                at = (shown[place] if value > 0 else left, place)
                axes.annotate(text, at, (6, 0), textcoords="offset points", va="center", fontsize=7.5, weight=bold)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlim(left, np.nanmax(shown) * 4)
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.set_title(title)
            axes.grid(visible=False, axis="y")
        panels[0].set_yticks(places, names)
        panels[0].set_ylim(-0.6, len(table) - 0.4)
        panels[0].get_yticklabels()[int(table.index[table["is_ours"]][0])].set_weight("bold")

    more_hours, more_settings = (int((table[name] > ours[name]).sum()) for name in ("hours", "combinations"))
    told = f"{number(float(ours['hours']), 2)} h at {count(int(ours['combinations']), 'setting')}"
    others = len(table) - 1
    caption = (
        f"Hours of wet audio and number of settings, both logarithmic. This dataset has {told}: {more_hours} of "
        f"{others} published ones have more hours, {more_settings} more settings. Its row is computed from its "
        "accepted takes; the others are Table 1 of “Solid State Bus-Comp” (2025)."
    )
    alt = f"Two rows of dots, one dot per dataset, for hours and for settings. This dataset: {told}, of {len(table)}."
    return Figure("datasets", "Hours and settings", caption, alt, (WIDE_IN, 2.6), draw, table)

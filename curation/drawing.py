"""How figures look: quiet, on white, readable in print; and how one becomes SVG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

INK, QUIET, LINE, BLUE, RUST = "#22262b", "#8b929c", "#d9dde2", "#2f6690", "#b5532a"
COLOURS = (BLUE, RUST, "#5b8e7d", "#8a6fa8", "#c9a227", "#6b7280", "#a44a5f", "#3f8fb0")
NAMED_UP_TO = 40  # more songs or settings than this are drawn without their names
VECTORS_UP_TO = 2000  # more points than this become pixels
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,  # a song may be called $$$
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceef1",
    "grid.linewidth": 0.7,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "buscomp",
}


def svg(width_in: float, height_in: float, draw: Callable[[Canvas], None]) -> str:
    """What `draw` draws, as SVG text. No global state of matplotlib is touched."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    page = io.StringIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*missing")  # the reader's browser has other fonts
        canvas = Canvas(figsize=(width_in, height_in), layout="constrained", dpi=200)
        draw(canvas)
        canvas.savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    text = page.getvalue().replace("'DejaVu Sans'", "system-ui, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif")
    return text[text.index("<svg") :]


def height_of(rows: int) -> float:
    return 0.9 + 0.2 * max(3, rows) if rows <= NAMED_UP_TO else 4.5


def mark_of(rows: int) -> tuple[float, float]:
    """Size of a dot, and width of a bar, that leave room between `rows` of them."""
    return (5.0, 3.0) if rows <= NAMED_UP_TO else (2.5, 1.0)


def name_places(axes: Axes, names: Any) -> None:
    """Names down the side, as long as they can be read."""
    if len(names) <= NAMED_UP_TO:
        axes.set_yticks(
            range(len(names)), [str(name) if len(str(name)) < 42 else str(name)[:40] + "…" for name in names]
        )
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(names)} in order")
    axes.grid(visible=False, axis="y")
    axes.set_ylim(-0.8, len(names) - 0.2)


def legend_above(axes: Axes, columns: int, right: bool = False) -> None:
    corner, place = ("lower right", (1, 1)) if right else ("lower left", (0, 1))
    axes.legend(loc=corner, bbox_to_anchor=place, ncols=columns, fontsize=8, handletextpad=0.3, borderaxespad=0.2)

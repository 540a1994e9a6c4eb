"""How figures look: quiet, on white, readable in print and by the colour-blind; and how one becomes a file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..manifests.storage import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure as Canvas

INK, QUIET, LINE, BLUE, RUST = "#22262b", "#8b929c", "#d9dde2", "#2f6690", "#b5532a"
# No two of these come closer than 12 in CIE Lab to any of the three kinds of colour blindness; past them: hatching.
COLOURS = (BLUE, RUST, "#e0a93a", "#86c5e6", INK, "#1f9e7a", "#cf93bd")
HATCHES = ("", "////", "....", "xxxx")
SHADES = ("#d8e5f0", "#a3c2da", "#5f94bd", BLUE, "#143a57")  # of one hue, light to dark: right in grey, too
NAMED_UP_TO = 40  # more songs or settings than this are drawn without their names
VECTORS_UP_TO = 2000  # more points than this become pixels
WIDE_IN, HALF_IN = 7.2, 3.5
PNG_DPI = 300
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
    "hatch.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "buscomp",
    "pdf.fonttype": 42,  # letters stay letters; journals refuse type 3
}


@dataclass(frozen=True)
class Figure:
    """One drawing, all that is said about it, and the numbers behind it."""

    name: str  # of its files
    title: str
    caption: str  # what is drawn, with its main numbers
    alt: str  # for whoever cannot see it: kind of drawing, axes, what it shows
    size_in: tuple[float, float]
    draw: Callable[[Canvas], None]
    data: pd.DataFrame

    @property
    def is_wide(self) -> bool:
        return self.size_in[0] > HALF_IN

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG text, with its title inside."""
        page = io.StringIO()
        with self._canvas() as canvas:
            canvas.savefig(page, format="svg", metadata={"Date": None, "Creator": None, "Title": self.title})
        text = page.getvalue().replace("'DejaVu Sans'", "system-ui, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif")
        return text[text.index("<svg") :]

    def write(self, folder: Path) -> list[Path]:
        """`<name>.png` at 300 dpi and `<name>.pdf` in `folder`. The same figure gives the same bytes."""
        written = []
        with self._canvas() as canvas:
            for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None, "Title": self.title})):

                def save(path: Path, kind: str = kind, metadata: dict[str, Any] = metadata) -> None:
                    canvas.savefig(path, format=kind, dpi=PNG_DPI, metadata=metadata)

                path = folder / f"{self.name}.{kind}"
                write_whole(path, save)
                written.append(path)
        return written

    @contextmanager
    def _canvas(self) -> Iterator[Canvas]:
        """The drawing, to be saved. No global state of matplotlib is touched."""
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas

        with mpl.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*[Gg]lyph.*missing")  # the reader's browser has other fonts
            canvas = Canvas(figsize=self.size_in, layout="constrained", dpi=200)
            self.draw(canvas)
            canvas.draw_without_rendering()
            canvas.set_layout_engine("none")  # laid out once, for all files of it
            yield canvas


def shades() -> Colormap:
    """More is darker."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("buscomp", SHADES)


def height_of(rows: int) -> float:
    return 0.9 + 0.2 * max(3, rows) if rows <= NAMED_UP_TO else 4.5


def mark_of(rows: int) -> tuple[float, float]:
    """Size of a dot, and width of a bar, that leave room between `rows` of them."""
    return (5.0, 3.0) if rows <= NAMED_UP_TO else (2.5, 1.0)


def name_places(axes: Axes, names: Any, what: str) -> None:
    """Names down the side, as long as they can be read; else how many of `what` there are."""
    if len(names) <= NAMED_UP_TO:
        axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(names):,} {what}")
    axes.grid(visible=False, axis="y")
    axes.set_ylim(-0.8, len(names) - 0.2)


def name_ticks(axes: Axes, names: list[str], side: bool = False) -> None:
    """Positions of a control along an axis: every second, third, ... where they would touch."""
    letters = 2 * len(names) if side else sum(max(2, len(name)) for name in names)
    step = 1 + letters // 26
    ticks = axes.set_yticks if side else axes.set_xticks
    ticks(range(0, len(names), step), names[::step], fontsize=7.5)


def shade_key(canvas: Canvas, panels: Any, used: int, image: Any, label: str) -> Any:
    """What the shades of a figure of several maps mean: one bar beside `panels`, of which `used` show a map."""
    for axes in list(panels.flat)[used:]:
        axes.set_visible(False)
    bar = canvas.colorbar(image, ax=panels, shrink=0.8, aspect=30, pad=0.015)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return bar


def name_cells(axes: Axes, across: list[str], up: list[str]) -> None:
    """Positions along both sides of a map, and a white line between its cells."""
    name_ticks(axes, across)
    name_ticks(axes, up, side=True)
    lines_between_cells(axes, len(across), len(up), "white")


def lines_between_cells(axes: Axes, columns: int, rows: int, colour: str) -> None:
    """Lines instead of a grid on minor ticks, which takes matplotlib five times as long."""
    axes.grid(visible=False)
    axes.vlines([place + 0.5 for place in range(columns - 1)], -0.5, rows - 0.5, color=colour, lw=1.2, zorder=1.5)
    axes.hlines([place + 0.5 for place in range(rows - 1)], -0.5, columns - 0.5, color=colour, lw=1.2, zorder=1.5)


def shortened(name: object, letters: int = 41) -> str:
    text = str(name)
    return text if len(text) <= letters else text[: letters - 1] + "…"


def legend_above(axes: Axes, columns: int, right: bool = False) -> None:
    corner, place = ("lower right", (1, 1)) if right else ("lower left", (0, 1))
    axes.legend(loc=corner, bbox_to_anchor=place, ncols=columns, fontsize=8, handletextpad=0.3, borderaxespad=0.2)


def bars(axes: Axes, names: Any, values: Any, labels: Any) -> None:
    """Bars lying down, the first on top, each with its value at the end."""
    drawn = axes.barh(range(len(names)), values, 0.72, color=BLUE)
    axes.set_yticks(range(len(names)), [shortened(name, 20) for name in names])
    axes.bar_label(drawn, labels, padding=3, fontsize=7.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")

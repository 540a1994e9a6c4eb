"""The report as text: the HTML page from its template, and CSV that a spreadsheet can open without harm."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..manifests.storage import write_text
from ..manifests.unit import shown


def render(content: Mapping[str, Any]) -> str:
    """The page. Everything that comes from a file is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "figures3": _figures3,
        "clock": _clock,
        "as_image": _as_image,
        "shown": shown,
    }
    return environment.get_template("report.html").render(content)


def _number(value: object, digits: int = 1) -> str:
    """A number for a table; a dash where there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}".replace("-", "−")


def _figures3(value: float | None) -> str:
    """A measure with three significant figures; a dash where there is none."""
    if value is None or value != value:
        return "–"
    digits = f"{value:.3g}" if value and abs(value) < 0.001 else f"{value:#.3g}".rstrip(".")
    return digits.replace("-", "−")


def _clock(seconds: float) -> str:
    """245.2 s as 4:05."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02}"


def _as_image(svg: str) -> str:
    """A data address: an SVG inside `<img>` runs no script and shares no ids with another."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """`rows` as CSV. A text that a spreadsheet would take for a formula gets a quote in front."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())
    return path


def _harmless(value: object) -> object:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

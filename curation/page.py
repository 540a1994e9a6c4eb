"""The report as text: the HTML page from its template, and CSV that a spreadsheet can open without harm."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..manifests.storage import write_text
from ..manifests.unit import shown
from .wording import clock, count, figures3, number

if TYPE_CHECKING:
    from markupsafe import Markup


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
        "number": number,
        "figures3": figures3,
        "clock": clock,
        "counted": count,
        "as_image": _as_image,
        "with_code": _with_code,
        "shown": shown,
    }
    return environment.get_template("report.html").render(content)


def _as_image(svg: str) -> str:
    """A data address: an SVG inside `<img>` runs no script and shares no ids with another."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _with_code(text: str) -> Markup:
    """The escaped text, words between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


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

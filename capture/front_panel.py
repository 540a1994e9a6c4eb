"""The front panel of a unit as SVG, drawn from its profile: knobs with their scales, switches, where each control
stands, where it has to go, and what is proven.

Everything drawn has a class, and the page's style sheet gives it its colours, in light and dark. Meaning never lies in
colour alone: each mark has a shape and a word of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import cos, radians, sin
from typing import Literal

from ..manifests.unit import Control, Position, Unit, shown
from .operator_panel import printed

Mark = Literal["move", "suspect", "proven", "unproven"]
WORDS: dict[Mark, str] = {"move": "turn", "suspect": "look here", "proven": "proven", "unproven": "not proven"}
CELL_WIDTH, CELL_HEIGHT, MARGIN, TITLE, FOOT = 200, 236, 14, 34, 12
CENTRE_X, CENTRE_Y = 100.0, 128.0
SWITCH_X = 66.0
KNOB, RING, TARGET, NUMBERS = 32.0, 40.0, 50.0, 71.0  # radii
SWEEP_DEG = 135.0  # from straight up to either end of a scale
MOST_NUMBERS = 11  # round one knob


def front_panel(
    unit: Unit,
    target: Mapping[str, Position],
    now: Mapping[str, Position | None],
    marks: Mapping[str, Mark],
    columns: int = 4,
) -> str:
    """The panel of `unit` as one `<svg>`. Every control points to where it stands `now` (None: nobody knows), and where
    that is not its `target` the way there is drawn."""
    columns = max(1, min(columns, len(unit.controls)))
    rows = -(-len(unit.controls) // columns)
    width = columns * CELL_WIDTH + 2 * MARGIN
    height = rows * CELL_HEIGHT + 2 * MARGIN + TITLE + FOOT
    name = f"{unit.make} {unit.model}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="front" role="img" '
        f'aria-label="{escape(f"Front panel of the {name}", quote=True)}">',
        f'<rect class="plate" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="12"/>',
        f'<text class="make" x="{MARGIN + 8}" y="{MARGIN + 18}">{escape(name)}</text>',
    ]
    for x, y in ((width - 20, 20), (width - 16, height - 13), (16, height - 13)):
        parts.append(f'<g class="screw"><circle cx="{x}" cy="{y}" r="6"/><path d="M{x - 4} {y - 4}l8 8"/></g>')
    for place, (control_name, control) in enumerate(unit.controls.items()):
        x = MARGIN + place % columns * CELL_WIDTH
        y = MARGIN + TITLE + place // columns * CELL_HEIGHT
        drawn = _control(control, target[control_name], now.get(control_name), marks.get(control_name, "unproven"))
        parts.append(f'<g transform="translate({x} {y})" data-control="{control_name}">{drawn}</g>')
    return "".join([*parts, "</svg>"])


def angle_deg(control: Control, position: Position) -> float:
    """Where a knob points at `position`: degrees clockwise from straight up."""
    return (2 * control.index(position) / (len(control.positions) - 1) - 1) * SWEEP_DEG


def _control(control: Control, target: Position, now: Position | None, mark: Mark) -> str:
    """One cell: label, knob or switch, where it goes, its mark."""
    moves = mark in ("move", "suspect")
    held = control.held is not None and not moves
    said = f"{control.label}: {printed(control, target)}"
    if moves and now is not None:
        said += f", stands at {printed(control, now)}"
    body = (_switch if len(control.positions) == 2 else _knob)(control, target, now)
    value = f'<text class="value" x="{CENTRE_X:g}" y="222">{escape(printed(control, target))}</text>'
    return (
        f'<g class="control {mark}{" held" if held else ""}"><title>{escape(f"{said} ({WORDS[mark]})")}</title>'
        f'<rect class="cell" x="4" y="4" width="{CELL_WIDTH - 8}" height="{CELL_HEIGHT - 8}" rx="10"/>'
        f'<text class="label" x="88" y="30"{_squeezed(control.label, 11, 136)}>{escape(control.label)}</text>'
        f"{body}{value}{_badge(mark)}</g>"
    )


def _knob(control: Control, target: Position, now: Position | None) -> str:
    """A knob with its scale: the pointer shows where it stands, the wedge where it has to go."""
    goal = angle_deg(control, target)
    parts = [_arc(RING, -SWEEP_DEG, SWEEP_DEG, "ring")]
    count = len(control.positions)
    step = -(-(count - 1) // (MOST_NUMBERS - 1))
    for place, position in enumerate(control.positions):
        angle = angle_deg(control, position)
        (x1, y1), (x2, y2) = _at(RING - 3, angle), _at(RING + 4, angle)
        parts.append(f'<path class="tick" d="M{x1} {y1}L{x2} {y2}"/>')
        near = abs(control.index(target) - place) < step
        if position == target or (not near and place % step == 0):
            x, y = _at(NUMBERS, angle)
            there = " there" if position == target else ""
            text = _number(control, position)
            parts.append(f'<text class="number{there}" x="{x}" y="{float(y) + 5:g}">{escape(text)}</text>')
    (tip_x, tip_y), (left_x, left_y), (right_x, right_y) = (
        _at(RING + 1, goal),
        _at(TARGET + 3, goal - 8),
        _at(TARGET + 3, goal + 8),
    )
    stands = now if now is not None else target
    angle = angle_deg(control, stands)
    if now is not None and now != target:
        parts.append(_arc(KNOB + 4, min(angle, goal), max(angle, goal), "way"))
    parts.append(f'<path class="goal" d="M{tip_x} {tip_y}L{left_x} {left_y}L{right_x} {right_y}Z"/>')
    (inner_x, inner_y), (outer_x, outer_y) = _at(8, angle), _at(KNOB - 3, angle)
    parts.append(f'<circle class="knob" cx="{CENTRE_X:g}" cy="{CENTRE_Y:g}" r="{KNOB:g}"/>')
    parts.append(
        f'<path class="pointer{" unknown" if now is None else ""}" d="M{inner_x} {inner_y}L{outer_x} {outer_y}"/>'
    )
    return "".join(parts)


def _switch(control: Control, target: Position, now: Position | None) -> str:
    """A switch with two positions, the second above: the lever shows where it stands, the wedge where it has to go."""
    parts = [f'<rect class="slot" x="{SWITCH_X - 15:g}" y="84" width="30" height="88" rx="15"/>']
    stands = now if now is not None else target
    for place, position in enumerate(control.positions):
        y = 150 - 44 * place
        there = " there" if position == target else ""
        word = _number(control, position)
        parts.append(
            f'<text class="number word{there}" x="{SWITCH_X + 28:g}" y="{y + 5}"{_squeezed(word, 6, 94)}>'
            f"{escape(word)}</text>"
        )
        if position == target:
            parts.append(f'<path class="goal" d="M{SWITCH_X - 18:g} {y}l-16 -8v16Z"/>')
        if position == stands:
            unknown = " unknown" if now is None else ""
            parts.append(f'<circle class="knob lever{unknown}" cx="{SWITCH_X:g}" cy="{y}" r="17"/>')
    return "".join(parts)


def _number(control: Control, position: Position) -> str:
    """What is printed beside a mark of the scale: without the unit, which stands below the knob."""
    if isinstance(position, bool | str):
        return shown(position).upper()
    return f"{position + control.panel_offset:g}"


def _badge(mark: Mark) -> str:
    """The mark as a shape: an arrow that turns, a warning triangle, a tick, a question mark."""
    shape = {
        "move": '<path class="turn" d="M-9 4a9 9 0 1 1 16 2"/><path class="tip" d="M1 5l11 -2l-3 9Z"/>',
        "suspect": '<path class="warn" d="M0 -12L13 11H-13Z"/><path class="bang" d="M0 -4v7M0 6.5v1.5"/>',
        "proven": '<circle class="disc" r="11"/><path class="hook" d="M-5 0l4 5l7 -9"/>',
        "unproven": '<circle class="hollow" r="11"/><text class="doubt" y="6">?</text>',
    }[mark]
    return f'<g class="badge" transform="translate({CELL_WIDTH - 26} 26)">{shape}</g>'


def _arc(radius: float, begin_deg: float, end_deg: float, name: str) -> str:
    (x1, y1), (x2, y2) = _at(radius, begin_deg), _at(radius, end_deg)
    large = 1 if end_deg - begin_deg > 180 else 0
    return f'<path class="{name}" d="M{x1} {y1}A{radius:g} {radius:g} 0 {large} 1 {x2} {y2}"/>'


def _at(radius: float, angle: float) -> tuple[str, str]:
    """A point round the knob's centre, `angle` degrees clockwise from straight up."""
    x, y = CENTRE_X + radius * sin(radians(angle)), CENTRE_Y - radius * cos(radians(angle))
    return f"{x:.1f}", f"{y:.1f}"


def _squeezed(text: str, fits: int, width: int) -> str:
    """Attributes that keep a long label inside its cell."""
    return f' textLength="{width}" lengthAdjust="spacingAndGlyphs"' if len(text) > fits else ""

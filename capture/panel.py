"""Panels bring the unit to a setting. What a panel says is a claim."""

from __future__ import annotations

import sys
from typing import Protocol, TextIO

import click

from ..manifests.errors import UsageError
from ..manifests.unit import Position, Setting, Unit, shown


class Panel(Protocol):
    """Whoever or whatever turns the knobs."""

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Return when the unit stands at `setting`; `before` is where it stood, if that is known."""


class OperatorPanel:
    """A person at the rack: told what to turn, answers with Enter."""

    def __init__(self, unit: Unit, answers: TextIO | None = None):
        self._unit = unit
        self._answers = answers or sys.stdin

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Print every control that has to move, and wait for Enter."""
        click.echo(f"\n==> Set the unit to {setting.setting_id}")
        for name, control in self._unit.controls.items():
            value = setting.values[name]
            moves = before is None or before.values[name] != value
            if not moves:
                continue
            coming_from = "" if before is None else f"   (from {self._printed(name, before.values[name])})"
            held = "   stays there for the whole dataset" if control.held is not None else ""
            click.echo(f"      {control.label:<12} {self._printed(name, value)}{coming_from}{held}")
        click.echo("    Press Enter when it stands there.")
        sys.stdout.flush()
        if not self._answers.readline():
            raise UsageError("nobody answered the operator panel", mend="run `buscomp capture` in a terminal")

    def _printed(self, name: str, value: Position) -> str:
        """The position as the panel of the unit prints it."""
        control = self._unit.controls[name]
        if isinstance(value, bool | str):
            return shown(value).upper()
        return f"{value + control.panel_offset:g} {control.unit}".strip()

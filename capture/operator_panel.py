"""The operator panel: a person at the rack, told what to turn, who answers with Enter.

It is asked in the terminal and, where the session has a `Desk`, by whatever shows the open question too; whoever
answers first wins.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

import click

from ..manifests.errors import UsageError
from ..manifests.unit import Control, Position, Setting, Unit, shown
from .big_letters import big
from .panel import AGAIN, Answer, OperatorStopped, Suspect
from .question import Desk, OpenQuestion, Question
from .typed_lines import GONE, TypedLines

BIG_LINES = 3  # more than three controls to move would fill the terminal; the list says it then
LABEL_WIDTH = 12
Move = tuple[Control, Position, Position | None]  # a control, where to, and where from, if that is known
POLL_S = 0.1  # how often an answer given elsewhere is looked for


class OperatorPanel:
    """Says what to move, from where to where, as the panel of the unit prints it."""

    hands_free = False

    def __init__(self, unit: Unit, answers: TextIO | None = None, serial: str | None = None, desk: Desk | None = None):
        self._unit, self._serial, self._desk = unit, serial, desk
        self._typed = TypedLines(answers or sys.stdin)

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Print every control that has to move, and wait for Enter. `r` reads it again, `q` is `OperatorStopped`;
        `UsageError` when nobody can answer."""
        self._typed.forget()
        self._say("Set the unit to", setting, before)
        with self._open(Question.to_bring(self._unit, self._serial, setting, before)) as question:
            while answer := self._ask("Press Enter when it stands there; r reads it again, q stops here.", question):
                if isinstance(answer, Answer):
                    return
                if answer == "q":
                    raise OperatorStopped
                if answer == "r":
                    self._say("Set the unit to", setting, before)

    def correct(self, setting: Setting, told: str, suspect: Suspect | None = None) -> Answer:
        """Print what the audio says and every control's position; Enter measures again, `a REASON` takes the setting
        as it is."""
        self._typed.forget()
        click.secho(f"\n!!! The audio says: {told}", bold=True, fg="red")
        self._say("Look at every control of", setting, None)
        asked = "Press Enter to measure again; a REASON takes it as it is, r reads it again, q stops here."
        with self._open(Question.to_correct(self._unit, self._serial, setting, told, suspect)) as question:
            while answer := self._ask(asked, question):
                if isinstance(answer, Answer):
                    return answer
                word, _, reason = answer.partition(" ")
                if word == "a" and reason.strip():
                    return Answer("accept", reason.strip())
                if word == "a":
                    click.echo("    It is taken as it is only with a reason: a REASON")
                elif answer == "q":
                    return Answer("stop")
                elif answer == "r":
                    self._say("Look at every control of", setting, None)
        return AGAIN

    def close(self) -> None:
        """Nothing to give back."""

    def _open(self, question: Question) -> AbstractContextManager[OpenQuestion | None]:
        return self._desk.open(question) if self._desk else nullcontext()

    def _ask(self, asked: str, question: OpenQuestion | None) -> str | Answer:
        """The typed answer, stripped, or the one that somebody gave elsewhere."""
        click.echo(f"    {asked}")
        sys.stdout.flush()
        gone = False
        while True:
            if question is not None and (answer := question.answer()) is not None:
                click.echo("    Answered on the page.")
                return answer
            line = None if gone else self._typed.line(POLL_S)
            if line == GONE:
                if question is None or not question.desk.page:
                    raise UsageError(
                        "nobody answered the operator panel",
                        mend="run `buscomp capture` in a terminal, or with --panel",
                    )
                gone = True
            elif line is not None:
                return line.strip()
            elif gone:
                time.sleep(POLL_S)

    def _say(self, what: str, setting: Setting, before: Setting | None) -> None:
        unit = "" if self._serial is None else f"   (unit {self._serial})"
        click.secho(f"\n==> {what} {setting.setting_id}{unit}", bold=True)
        moves = list(moves_of(self._unit, setting.values, None if before is None else before.values).values())
        if sys.stdout.isatty() and len(moves) <= BIG_LINES:
            columns = shutil.get_terminal_size().columns - 8
            for control, value, _ in moves:
                rows = big(f"{control.label} {printed(control, value)}", columns) or big(
                    printed(control, value), columns
                )
                click.secho("\n" + "\n".join(f"      {row}" for row in rows), bold=True, fg="bright_yellow")
            click.echo()
        for line in told_moves(moves):
            click.echo(f"      {line}")


def moves_of(unit: Unit, values: Mapping[str, Position], before: Mapping[str, Position] | None) -> dict[str, Move]:
    """The controls that have to move, by name: all of them where nobody knows how the unit stands."""
    return {
        name: (control, values[name], None if before is None else before[name])
        for name, control in unit.controls.items()
        if before is None or before[name] != values[name]
    }


def told_moves(moves: Iterable[Move]) -> Iterator[str]:
    """A line for each control that moves: label, where to, where from, how far and which way round."""
    for control, value, origin in moves:
        line = f"{control.label:<{LABEL_WIDTH}} {printed(control, value)}"
        if origin is not None:
            line += f"   (from {printed(control, origin)}{way(control, origin, value)})"
        if control.held is not None and control.position(control.held) == value:
            line += "   stays there for the whole dataset"
        yield line


def printed(control: Control, value: Position) -> str:
    """The position as the panel of the unit prints it."""
    if isinstance(value, bool | str):
        return shown(value).upper()
    return f"{value + control.panel_offset:g} {control.unit}".strip()


def way(control: Control, origin: Position, value: Position) -> str:
    """`: 2 detents clockwise`. A knob's positions are listed clockwise; what has only two positions is no knob."""
    steps = control.index(value) - control.index(origin)
    if len(control.positions) == 2 or not steps:
        return ""
    what = "detent" if control.kind == "switch" else "mark"
    return f": {abs(steps)} {what}{'s' * (abs(steps) > 1)} {'clockwise' if steps > 0 else 'anticlockwise'}"

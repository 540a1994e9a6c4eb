"""Panels bring the unit to a setting.

    panel        who turns the knobs                        file
    operator     a person, in the terminal or on the page   operator_panel.py
    midi         a unit that listens to MIDI                midi_panel.py
    command      a program of the user's: motors, a robot   command_panel.py
    virtual      the simulated unit turns its own           virtual.py

What a panel says is a claim: the fingerprint checks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field, model_validator

from ..manifests.midi_mapping import MidiChannel
from ..manifests.unit import Position, Setting, Unit
from ..manifests.yaml_file import Strict

if TYPE_CHECKING:
    from .question import Desk


@dataclass(frozen=True)
class Answer:
    """What shall be done about a setting that the audio does not confirm."""

    kind: Literal["again", "accept", "stop"]  # measure again, take it as it is, or end the session here
    reason: str = ""  # why it is taken as it is


AGAIN = Answer("again")


@dataclass(frozen=True)
class Suspect:
    """The control that most likely stands elsewhere, as the audio says."""

    control: str  # its name in the unit profile
    position: Position | None  # where it seems to stand; None where that is no position, or cannot be told


class OperatorStopped(KeyboardInterrupt):
    """The operator wants to stop before the setting stands: as orderly as one Ctrl-C, nothing is in progress."""


class Panel(Protocol):
    """Whoever or whatever turns the knobs of one unit."""

    hands_free: bool  # nobody has to be there

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Return when the unit stands at `setting`; `before` is where it stood, if that is known. `DeviceError` when
        it cannot be brought there, `UsageError` when nobody is there or the profile does not say how,
        `OperatorStopped`. A `KeyboardInterrupt` ends it at once."""

    def correct(self, setting: Setting, told: str, suspect: Suspect | None = None) -> Answer:
        """The audio does not confirm `setting`: `told` says what it looks like, `suspect` which control it is, if it is
        one. Returns when the knobs were looked at or sent once more, with what to do now. Raises as `bring` does."""

    def close(self) -> None:
        """Give back what the panel holds."""


class PanelChoice(Strict):
    """Which panel a unit has: `panel:` in a device profile."""

    kind: Literal["operator", "midi", "command"] = "operator"
    port: str | None = None  # midi: part of the port's name
    channel: MidiChannel | None = None  # midi: instead of every channel in the unit profile, where units share a port
    command: tuple[str, ...] = ()  # command: program and arguments; no shell
    timeout_s: float = Field(default=60.0, gt=0, le=3600)  # command: killed after that
    wait_s: float = Field(default=0.5, ge=0, le=600)  # midi, command: what the unit needs to get there afterwards

    @model_validator(mode="after")
    def _check(self) -> PanelChoice:
        if self.kind == "midi" and not (self.port or "").strip():
            raise ValueError("a midi panel needs port, a part of the MIDI port's name")
        if self.kind == "command" and not self.command:
            raise ValueError("a command panel needs command, a list of a program and its arguments")
        for word, kind in (("port", "midi"), ("channel", "midi"), ("command", "command")):
            if getattr(self, word) and self.kind != kind:
                raise ValueError(f"{word} is for kind: {kind}")
        return self


def open_panel(choice: PanelChoice, unit: Unit, serial: str | None = None, desk: Desk | None = None) -> Panel:
    """The panel of one unit, tried out as far as that turns no knob. An operator is told `serial`, where several units
    stand at the rack, and is asked at `desk` too."""
    if choice.kind == "midi":
        from .midi_panel import MidiPanel

        assert choice.port is not None
        return MidiPanel(unit, choice.port, channel=choice.channel, wait_s=choice.wait_s)
    if choice.kind == "command":
        from .command_panel import CommandPanel

        return CommandPanel(unit, choice.command, timeout_s=choice.timeout_s, wait_s=choice.wait_s)
    from .operator_panel import OperatorPanel

    return OperatorPanel(unit, serial=serial, desk=desk)

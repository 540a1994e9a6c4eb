"""The unit: make, model, serial, and its controls with their positions.

A unit profile (`unit.yaml`) says what can be turned, how a setting is written into ids and columns, and how a
control is scaled for a model. Shipped profiles stand in `capture/`; a dataset keeps its own copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from .errors import UsageError
from .ids import check_id, id_from_name, number_in_id
from .midi_mapping import ControlMidi, UnitMidi
from .yaml_file import Strict, load_yaml

Position = bool | float | str  # a number, a switch state, or a word on the panel such as `auto`, `off`, `limit`
AUTO = "auto"


class Control(Strict):
    """One knob or switch of the unit."""

    label: str  # as printed on the panel
    kind: Literal["switch", "pot"]
    positions: tuple[Position, ...] = Field(min_length=2)  # in panel order: neighbours are one detent apart
    short: str  # how ids abbreviate it
    meaning: str
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"  # how a model should see the numbers
    move_cost_s: float = Field(default=10.0, ge=0)  # what one change costs the operator
    held: Position | None = None  # position for the whole dataset, when not varied
    panel_offset: float = 0.0  # printed on the panel = position + panel_offset
    midi: ControlMidi | None = Field(default=None, exclude=True)  # how it is turned is no part of what the unit is

    @model_validator(mode="after")
    def _check(self) -> Control:
        if not self.short.isalpha() or not self.short.islower():
            raise ValueError("short must be lower-case letters")
        if len({_canonical(p) for p in self.positions}) != len(self.positions):
            raise ValueError("positions must differ from each other")
        if self.held is not None and _canonical(self.held) not in {_canonical(p) for p in self.positions}:
            raise ValueError(f"held must be one of the positions {', '.join(shown(p) for p in self.positions)}")
        if self.scale == "log" and any(number <= 0 for number in self.numbers):
            raise ValueError("a log scale needs positive positions")
        if self.midi is not None:
            try:
                _ = self.midi_values
            except UsageError as error:  # a position that the control lacks
                raise ValueError(str(error)) from None
        return self

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numeric positions, in panel order."""
        return tuple(float(p) for p in self.positions if not isinstance(p, bool | str))

    @property
    def column_type(self) -> Literal["float", "bool", "text"]:
        """float when any position is a number (words become null), bool for on/off, text otherwise."""
        if self.numbers:
            return "float"
        return "bool" if all(isinstance(p, bool) for p in self.positions) else "text"

    @property
    def has_auto(self) -> bool:
        return AUTO in self.positions

    @property
    def midi_values(self) -> tuple[int, ...]:
        """What is sent for each position, in panel order; empty for a control that MIDI does not move."""
        if self.midi is None:
            return ()
        places = [None if isinstance(p, bool | str) else log(p) if self.scale == "log" else p for p in self.positions]
        values, ends = (
            {self.index(key): value for key, value in given.items()} for given in (self.midi.values, self.midi.ends)
        )
        return self.midi.complete(values, ends, places, [shown(p) for p in self.positions])

    def position(self, value: object, name: str = "value") -> Position:
        """The position that `value` means, or a `UsageError` that lists the allowed ones.

        YAML reads a bare `off` as false; where the panel has the word `off`, that is what is meant.
        """
        if value is False and "off" in self.positions:
            value = "off"
        for position in self.positions:
            if isinstance(value, bool | float | int | str) and _canonical(position) == _canonical(value):
                return position
        raise UsageError(
            f"{name} must be a position of the unit", got=value, allowed=[shown(p) for p in self.positions]
        )

    def index(self, value: object) -> int:
        """How many detents `value` stands from the first position."""
        return self.positions.index(self.position(value))


@dataclass(frozen=True)
class Setting:
    """One position of the whole panel: what a take was made with."""

    setting_id: str
    origin: str  # grid or random
    values: Mapping[str, Position]  # every control of the unit, held ones too


class Unit(Strict):
    """A compressor as the plan and the tables see it."""

    make: str
    model: str
    serial: str = "unknown"
    controls: dict[str, Control] = Field(min_length=1)
    slow_release_s: float = Field(default=1.0, gt=0)  # slowest recovery at `auto`, or of any setting without it
    midi: UnitMidi = Field(default_factory=UnitMidi, exclude=True)

    @model_validator(mode="after")
    def _check(self) -> Unit:
        for name in self.controls:
            if not name.isidentifier() or not name.islower():
                raise ValueError(f"control name {name!r} must be lower case letters, digits and _")
        shorts = [control.short for control in self.controls.values()]
        if len(set(shorts)) != len(shorts):
            raise ValueError("two controls have the same short")
        addresses = Counter(c.midi.address(self.midi.channel) for c in self.controls.values() if c.midi is not None)
        if any(count > 1 for count in addresses.values()):
            raise ValueError("two controls have the same midi message")
        return self

    @property
    def unit_id(self) -> str:
        """Make, model and serial as one id."""
        return id_from_name(f"{self.make}-{self.model}-{self.serial}")

    @property
    def held(self) -> dict[str, Position]:
        """The controls that stay where they are, and where."""
        return {name: control.held for name, control in self.controls.items() if control.held is not None}

    def setting(self, values: Mapping[str, object], origin: str) -> Setting:
        """The setting with `values`; held controls may be left out. `UsageError` for a missing or impossible one."""
        complete: dict[str, Position] = {}
        for name, control in self.controls.items():
            if name in values:
                complete[name] = control.position(values[name], name)
            elif control.held is not None:
                complete[name] = control.position(control.held, name)
            else:
                raise UsageError(f"no position given for {name}", allowed=[shown(p) for p in control.positions])
        if unknown := set(values) - set(self.controls):
            raise UsageError("no such control", got=", ".join(sorted(unknown)), allowed=self.controls)
        return Setting(self.setting_id(complete), origin, complete)

    def setting_id(self, values: Mapping[str, Position]) -> str:
        """`thr-28_att0p1_relauto_rat4`: every control that is not at its held position, in profile order."""
        words = [
            control.short + (number_in_id(value) if not isinstance(value, bool | str) else shown(value))
            for name, control in self.controls.items()
            if _canonical(value := values[name]) != _canonical(control.held)
        ]
        return check_id("_".join(words) or "held", "setting_id")

    def to_row(self, values: Mapping[str, Position]) -> dict[str, bool | float | str | None]:
        """A setting's values as table columns: words in numeric columns are null, `auto` has a column of its own."""
        row: dict[str, bool | float | str | None] = {}
        for name, control in self.controls.items():
            value = values[name]
            if control.column_type == "float":
                row[name] = None if isinstance(value, str) else float(value)
                if control.has_auto:
                    row[auto_column(name)] = value == AUTO
            else:
                row[name] = value
        return row

    def from_row(self, row: Mapping[str, object]) -> dict[str, Position]:
        """The inverse of `to_row`."""
        values: dict[str, Position] = {}
        for name, control in self.controls.items():
            value = row[name]
            if control.column_type == "float" and (value is None or value != value):  # null comes back as NaN
                words = [p for p in control.positions if isinstance(p, str)]
                value = AUTO if control.has_auto and row[auto_column(name)] else next(w for w in words if w != AUTO)
            values[name] = control.position(bool(value) if control.column_type == "bool" else value, name)
        return values


def auto_column(control: str) -> str:
    """`release_s` has its automatic position in the column `release_auto`."""
    return control.rsplit("_", 1)[0] + "_auto"


def shown(position: Position) -> str:
    """A position as people write it: 0.1, auto, on."""
    if isinstance(position, bool):
        return "on" if position else "off"
    return position if isinstance(position, str) else f"{position:g}"


def _canonical(position: object) -> object:
    """Equal for 4 and 4.0, never for 1 and true."""
    return (type(position).__name__ == "bool", float(position) if isinstance(position, int | float) else position)


def load_unit(path: Path) -> Unit:
    """The unit profile at `path`."""
    return load_yaml(path, Unit)

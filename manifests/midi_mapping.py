"""How a control of a unit is moved over MIDI: by which message, and by which value at which position.

    midi: {cc: 20, ends: {-40: 0, 0: 127}}              # control change, numbers between on a line
    midi: {nrpn: [1, 8], values: {0.1: 0, auto: 9000}}  # non-registered parameter, 14 bits
    midi: {program_change: true, values: {2: 0, 4: 1}}  # the position is a stored program

Channels count from 1, as on the units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .yaml_file import Strict

LARGEST = {7: 127, 14: 16383}
LAST_COARSE = 31  # control changes 0-31 have a fine part of 7 more bits at number + 32 (MIDI 1.0)
Seven = Annotated[int, Field(ge=0, le=127, strict=True)]
Value = Annotated[int, Field(ge=0, le=16383, strict=True)]
MidiChannel = Annotated[int, Field(ge=1, le=16, strict=True)]
PositionKey = bool | float | str


class ControlMidi(Strict):
    """The message that moves one control. Every position of the control has a value of its own."""

    cc: Annotated[int, Field(ge=0, le=119, strict=True)] | None = None  # above 119 are orders to the whole unit
    nrpn: tuple[Seven, Seven] | None = None  # parameter number: most and least significant 7 bits
    program_change: Literal[True] | None = None
    bits: Literal[7, 14] | None = None  # null: 14 for nrpn, 7 for the others
    channel: MidiChannel | None = None  # null: the unit's
    values: dict[PositionKey, Value] = Field(default_factory=dict)  # position: value
    ends: dict[PositionKey, Value] = Field(default_factory=dict)  # two positions; numbers between lie on their line

    @model_validator(mode="after")
    def _check(self) -> ControlMidi:
        if sum(kind is not None for kind in (self.cc, self.nrpn, self.program_change)) != 1:
            raise ValueError("midi needs one of cc, nrpn and program_change")
        if self.program_change and self.bits == 14:
            raise ValueError("a program change has 7 bits")
        if self.cc is not None and self.cc > LAST_COARSE and self.bits == 14:
            raise ValueError(f"a control change of 14 bits has a number up to {LAST_COARSE}, got {self.cc}")
        if len(self.ends) not in (0, 2):
            raise ValueError(f"ends must hold two positions, got {len(self.ends)}")
        if not self.values and not self.ends:
            raise ValueError("midi needs values or ends")
        return self

    @property
    def value_bits(self) -> int:
        """7 or 14."""
        return self.bits or (14 if self.nrpn is not None else 7)

    def address(self, unit_channel: int) -> tuple[object, ...]:
        """What the message is addressed to; two controls must not share it."""
        return self.channel or unit_channel, self.cc, self.nrpn, self.program_change

    def complete(
        self, values: Mapping[int, int], ends: Mapping[int, int], places: Sequence[float | None], names: Sequence[str]
    ) -> tuple[int, ...]:
        """One value per position, in panel order. `values` and `ends` are this mapping's by index of the position,
        `places` where each position lies on the control's scale (None for a word), `names` for messages.

        `ValueError` when a position has no value, two have the same, or one is out of range."""
        found: list[int] = []
        line = _line(ends, places)
        for index, (place, name) in enumerate(zip(places, names, strict=True)):
            if index in values:
                value = values[index]
            elif line is not None and place is not None:
                value = floor(round(line[0] + line[1] * place, 6) + 0.5)  # the same on every machine
            else:
                raise ValueError(f"midi has no value for the position {name}")
            if not 0 <= value <= LARGEST[self.value_bits]:
                raise ValueError(f"midi values lie within 0 and {LARGEST[self.value_bits]}, got {value} for {name}")
            if value in found:
                raise ValueError(f"midi sends {value} both for {names[found.index(value)]} and for {name}")
            found.append(value)
        return tuple(found)


class UnitMidi(Strict):
    """What holds for all of a unit's MIDI."""

    channel: MidiChannel = 1
    program_change: Seven | None = None  # stored program that is called first at every setting
    programs: dict[str, Seven] = Field(default_factory=dict)  # setting_id: a stored program that is the whole setting
    interval_ms: float = Field(default=2.0, ge=0, le=1000)  # pause after each message; a DIN cable needs 1 ms for one
    echo: bool = False  # the unit answers every message with the same one, and is believed only then


def _line(ends: Mapping[int, int], places: Sequence[float | None]) -> tuple[float, float] | None:
    """Offset and slope of the value over the place."""
    if not ends:
        return None
    (start, low), (end, high) = ((places[index], value) for index, value in (*ends.items(), *ends.items())[:2])
    if start is None or end is None or start == end:
        raise ValueError("ends must be two numbers on the panel")
    slope = (high - low) / (end - start)
    return low - slope * start, slope

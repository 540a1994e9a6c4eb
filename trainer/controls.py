"""A setting as the numbers a model sees, each in [0, 1].

Every control that is not held gives
- a knob or switch of numbers: one number, linear or logarithmic over the unit's positions, as the profile's `scale`
  says;
- each word among its numbers, such as `auto`: one flag more; the number is held at 0.5 while the flag is 1;
- on/off, or two words: one number, 0 for the first position and 1 for the second;
- more words: one flag each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..manifests.pcm import Float32
from ..manifests.unit import AUTO, Control, Position, Unit, auto_column

UNKNOWN = 0.5  # where a number stands while a word is chosen instead
PARITY_AUTO = -0.25  # with `auto_flag=False`, as for models with the 4 controls of the papers


def control_names(unit: Unit, auto_flag: bool = True) -> list[str]:
    """What each number of `control_vector` stands for."""
    return list(_numbers(unit, None, auto_flag))


def control_vector(unit: Unit, row: Mapping[str, Any], auto_flag: bool = True) -> Float32:
    """(controls,) of a row of `settings`. Without `auto_flag`, AUTO is the value -0.25 of its control, for parity with
    models that have as many controls as the panel."""
    return vector_at(unit, unit.from_row(row), auto_flag)


def vector_at(unit: Unit, values: Mapping[str, Position], auto_flag: bool = True) -> Float32:
    """`control_vector` of a value per control; numbers may lie between the unit's positions."""
    return np.array(list(_numbers(unit, values, auto_flag).values()), np.float32)


def _numbers(unit: Unit, values: Mapping[str, Position] | None, auto_flag: bool) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, control in unit.controls.items():
        if control.held is None:
            value = control.positions[0] if values is None else values[name]
            numbers |= (
                _of_numbers(name, control, value, auto_flag) if control.numbers else _of_words(name, control, value)
            )
    return numbers


def _of_numbers(name: str, control: Control, value: Position, auto_flag: bool) -> dict[str, float]:
    words = [position for position in control.positions if isinstance(position, str)]
    if not auto_flag and AUTO in words:
        words.remove(AUTO)
    number = PARITY_AUTO if value == AUTO and not auto_flag else UNKNOWN
    if not isinstance(value, str):
        scaled = math.log if control.scale == "log" else float
        low, high = scaled(min(control.numbers)), scaled(max(control.numbers))
        number = (scaled(float(value)) - low) / (high - low) if high > low else UNKNOWN
    flags = {auto_column(name) if word == AUTO else f"{name}={word}": float(value == word) for word in words}
    return {name: number} | flags


def _of_words(name: str, control: Control, value: Position) -> dict[str, float]:
    if len(control.positions) == 2:
        return {name: float(control.index(value))}
    return {f"{name}={position}": float(value == position) for position in control.positions}

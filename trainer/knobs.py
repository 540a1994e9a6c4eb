"""The knobs of a model that runs: `threshold_db=-18` in, the numbers that the model sees out.

Other than in a dataset, a knob of numbers may stand anywhere between its outermost positions.
"""

from __future__ import annotations

from ..manifests.errors import UsageError
from ..manifests.pcm import Float32
from ..manifests.unit import Control, Position, Unit, shown
from .controls import vector_at


class Knobs:
    """Where the knobs of `unit` stand; at first held where they are held, else in the middle of their positions."""

    def __init__(self, unit: Unit, auto_flag: bool = True):
        self._unit, self._auto_flag = unit, auto_flag
        self.values: dict[str, Position] = {
            name: _middle(control) if control.held is None else control.held for name, control in unit.controls.items()
        }

    def turn(self, word: str) -> None:
        """`threshold_db=-18`, `release_s=auto`, `engaged=on`. `UsageError` for what is no knob or no position."""
        name, equals, value = (part.strip() for part in word.partition("="))
        free = [known for known, control in self._unit.controls.items() if control.held is None]
        if not equals:
            raise UsageError("a knob is turned by name=value", got=word, allowed=[f"{known}=..." for known in free])
        if name not in free:
            raise UsageError("no such knob", got=name, allowed=free)
        self.values[name] = _position(self._unit.controls[name], name, value)

    def vector(self) -> Float32:
        """(controls,) as the model sees them."""
        return vector_at(self._unit, self.values, self._auto_flag)

    def __str__(self) -> str:
        free = (name for name, control in self._unit.controls.items() if control.held is None)
        return " ".join(f"{name}={shown(self.values[name])}" for name in free)


def _middle(control: Control) -> Position:
    return control.positions[len(control.positions) // 2]


def _position(control: Control, name: str, value: str) -> Position:
    words = {shown(position): position for position in control.positions}
    if value in words:
        return words[value]
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    numbers = control.numbers
    if numbers and min(numbers) <= number <= max(numbers):
        return number
    allowed = [*(word for word, position in words.items() if isinstance(position, str | bool))]
    if numbers:
        allowed.insert(0, f"{min(numbers):g} to {max(numbers):g}")
    raise UsageError(f"{name} cannot stand there", got=value, allowed=allowed)

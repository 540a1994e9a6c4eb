"""The unit of a dataset that somebody else captured: what its controls are called, their ranges, their positions.

A profile in this room (`import-*.yaml`) says what the publication says. Which positions were used is read from the
dataset; where only knob positions are known, they stay knob positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import yaml

from ..manifests.storage import write_text
from ..manifests.unit import Control, Position, Unit
from ..manifests.yaml_file import Strict, load_yaml


class Knob(Strict):
    """One control, and the range that its values must keep."""

    label: str
    short: str
    meaning: str
    kind: Literal["pot", "switch"] = "pot"
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    low: float | None = None  # null: no range is known
    high: float | None = None
    words: tuple[str, ...] = ()  # allowed beside the numbers, such as auto


class Profile(Strict):
    """What is known of a dataset before it is read."""

    title: str
    make: str
    model: str
    sample_rate: int | None = None  # Hz
    controls: dict[str, Knob]

    def out_of_range(self, values: Mapping[str, Position]) -> str | None:
        """What is wrong with a setting, or None."""
        for name, value in values.items():
            knob = self.controls[name]
            if isinstance(value, str):
                if value not in knob.words:
                    return f"{name}: {value} is no position (allowed: {', '.join(knob.words) or 'numbers'})"
            elif (
                not (-float("inf") if knob.low is None else knob.low)
                <= value
                <= (float("inf") if knob.high is None else knob.high)
            ):
                return f"{name}: {value:g} is out of range (allowed: {knob.low:g} to {knob.high:g})"
        return None

    def with_positions(self, settings: Iterable[Mapping[str, Position]]) -> Unit:
        """The unit with the positions that `settings` use, and the ends of the range, so that a model scales a control
        by its range and not by what a part of the dataset happens to hold."""
        used: dict[str, set[Position]] = {name: set() for name in self.controls}
        for values in settings:
            for name, value in values.items():
                used[name].add(value)
        return Unit(
            make=self.make,
            model=self.model,
            controls={name: _control(knob, used[name]) for name, knob in self.controls.items()},
        )


def _control(knob: Knob, used: set[Position]) -> Control:
    numbers = {float(value) for value in used if not isinstance(value, str)}
    numbers |= {end for end in (knob.low, knob.high) if end is not None}
    words = sorted(value for value in used if isinstance(value, str))
    positions: list[Position] = [*sorted(numbers), *words]
    if len(positions) == 1 and not isinstance(positions[0], str):  # a control that was never moved
        positions.append(float(positions[0]) + 1.0)
    return Control(
        label=knob.label,
        kind=knob.kind,
        short=knob.short,
        meaning=knob.meaning,
        unit=knob.unit,
        scale=knob.scale if all(number > 0 for number in numbers) else "linear",
        positions=tuple(positions),
    )


def load_profile(name: str) -> Profile:
    """The profile `import-<name>.yaml` of this room."""
    return load_yaml(Path(__file__).with_name(f"import-{name}.yaml"), Profile)


def write_unit(path: Path, unit: Unit) -> None:
    """`unit` as the dataset's unit.yaml."""
    document = unit.model_dump(mode="json", exclude_defaults=True)
    write_text(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

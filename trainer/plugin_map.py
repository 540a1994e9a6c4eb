"""How a setting of the unit becomes parameters of a plugin: a small YAML, read safely, in which nothing is executed.

name: ZamCompX2
plugin: /usr/lib/vst3/ZamCompX2.vst3     # or named by --plugin; pedalboard:Compressor is built in
set: {makeup_db: 0, stereo_detection: 1} # parameters that stay
map:                                     # parameters that follow a control
  threshold_db: {from: threshold_db}
  ratio: {from: ratio}
  attack_ms: {from: attack_ms}
  release_ms: {from: release_s, factor: 1000, words: {auto: 300}, limits: [1, 500]}
fit:                                     # searched for with --fit: the same for all settings
  threshold_db: {add: [-12, 12]}
  release_ms: {times: [0.3, 3]}
  makeup_db: {add: [0, 12]}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ..manifests.errors import UsageError
from ..manifests.unit import Position, Unit, shown
from ..manifests.yaml_file import Strict, load_yaml

Value = bool | float | str
Span = tuple[float, float]


class Source(Strict):
    """Where a parameter comes from. A number is looked up between `points` (straight lines, on a `log` scale in both
    directions; beyond the ends the end holds), or times `factor` plus `offset`; a word stands in `words`."""

    control: str = Field(alias="from")
    factor: float = 1.0
    offset: float = 0.0
    points: dict[float, float] = Field(default_factory=dict)
    scale: Literal["linear", "log"] = "linear"
    words: dict[str, Value] = Field(default_factory=dict)
    limits: Span | None = None  # of the plugin

    @model_validator(mode="after")
    def _check(self) -> Source:
        if self.points and (self.factor != 1.0 or self.offset != 0.0):
            raise ValueError("say either points, or factor and offset")
        if self.scale == "log" and not self.points:
            raise ValueError("a log scale is between points")
        if self.scale == "log" and any(number <= 0 for pair in self.points.items() for number in pair):
            raise ValueError("a log scale needs positive points")
        if self.limits is not None and not self.limits[0] <= self.limits[1]:
            raise ValueError("limits must be the lowest and the highest value")
        return self

    def value(self, position: Position) -> Value:
        """What the parameter becomes where the control stands at `position`."""
        if isinstance(position, bool | str) and shown(position) in self.words:
            return self.words[shown(position)]
        if isinstance(position, str):
            raise UsageError(
                f"the map does not say what {self.control} at {position} means", mend=f"add words: {{{position}: ...}}"
            )
        return self._held(self._number(float(position)))

    def _number(self, number: float) -> float:
        if not self.points:
            return self.factor * number + self.offset
        there = np.array(sorted(self.points.items()))
        if self.scale == "log":
            return float(np.exp(np.interp(np.log(number), np.log(there[:, 0]), np.log(there[:, 1]))))
        return float(np.interp(number, there[:, 0], there[:, 1]))

    def _held(self, number: float) -> float:
        return number if self.limits is None else float(np.clip(number, *self.limits))


class Search(Strict):
    """Between which bounds a fit may move a parameter: `add` to it, or `times` it."""

    add: Span | None = None
    times: Span | None = None

    @model_validator(mode="after")
    def _check(self) -> Search:
        if (self.add is None) == (self.times is None):
            raise ValueError("say either add or times")
        low, high = self.bounds
        if not low < high or (self.times is not None and low <= 0):
            raise ValueError("bounds must rise, and be positive for times")
        return self

    @property
    def bounds(self) -> Span:
        """The two numbers, whichever they are of."""
        chosen = self.add if self.add is not None else self.times
        assert chosen is not None
        return chosen


class PluginMap(Strict):
    """A whole map."""

    name: str = Field(min_length=1)
    plugin: str | None = None
    set: dict[str, Value] = Field(default_factory=dict)
    map: dict[str, Source] = Field(default_factory=dict)
    fit: dict[str, Search] = Field(default_factory=dict)
    channels: Literal["linked", "separate"] = "linked"  # separate: each channel by itself, for mono plugins

    @model_validator(mode="after")
    def _check(self) -> PluginMap:
        if twice := set(self.set) & set(self.map):
            raise ValueError(f"{', '.join(sorted(twice))} stands in both set and map")
        if unknown := set(self.fit) - set(self.set) - set(self.map):
            raise ValueError(f"fit moves {', '.join(sorted(unknown))}, which is neither set nor mapped")
        return self

    def parameters(self, setting: Mapping[str, Position], moves: Mapping[str, float] | None = None) -> dict[str, Value]:
        """The plugin's parameters at `setting` (control -> position), moved as a fit found (parameter -> number)."""
        found: dict[str, Value] = dict(self.set)
        found |= {name: source.value(setting[source.control]) for name, source in self.map.items()}
        for name, move in (moves or {}).items():
            number = found[name]
            if isinstance(number, bool | str):
                continue  # a word is nowhere near
            source, moved = self.map.get(name), number + move if self.fit[name].add is not None else number * move
            found[name] = moved if source is None or source.limits is None else float(np.clip(moved, *source.limits))
        return found


def load_plugin_map(path: Path, unit: Unit) -> PluginMap:
    """The map at `path`, whose controls `unit` has; every mistake is a `UsageError`."""
    found = load_yaml(path, PluginMap)
    for parameter, source in found.map.items():
        control = unit.controls.get(source.control)
        if control is None:
            raise UsageError(
                f"{path.name}: {parameter} comes from a control that the unit lacks", got=source.control,
                allowed=unit.controls,
            )  # fmt: skip
        for position in control.positions if control.held is None else (control.held,):
            try:
                source.value(position)
            except UsageError as error:
                raise UsageError(f"{path.name}: {parameter}: {error}") from None
    return found

"""`grid.yaml`: which settings are visited, and how the capture goes about it.

    unit: ssl-500-bus                  # a unit profile
    factors:                           # the grid is every combination of these positions ...
      threshold_db: [-28, -24, -20, -16]
      ratio: [2, 4, 10]
    exclude:                           # ... without what a rule drops
      - match: {threshold_db: -28, ratio: [4, 10]}
      - {index_sum: [threshold_db, ratio], modulo: 4, equals: 3}
    expect: 8                          # how many settings the grid promises
    random: {count: 20, seed: 500}     # more settings, drawn by seed, or `settings:` with a list

    order: gray                        # gray, tsp, joint or blocked-random (`order`)
    design: full                       # or which songs at which setting (`design`)
    settling: silence                  # or contiguous (`settling`)
    fingerprint: true                  # knobs are checked by ear
    calibrate: [attack_ms]             # controls whose positions are fingerprinted before the first pass (`visits`)
    anchor: {every: 12}                # a fingerprint at one and the same setting before every 12th pass (`visits`)
    warm_up: {minutes_most: 60}        # no take before the gain stands still (`warm_up`)
    shifts: {start: 2026-12-01, ...}   # when somebody is at the rack (`shifts`)

Controls that are no factor stand at the unit's held position. Nothing below `random` has to be there.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from ..manifests.errors import UsageError
from ..manifests.unit import Position, Setting, Unit, shown
from ..manifests.yaml_file import Strict, line_of, load_yaml
from .blocks import Songs
from .design import Design
from .order import BLOCK, Order
from .profiles import find_profile
from .settling import Settling
from .shifts import Shifts
from .warm_up import WarmUpRule

MOST_COMBINATIONS = 500_000  # seconds of counting; nobody visits that many
Levels = dict[str, tuple[Position, ...]]


class Exclude(Strict):
    """One rule that drops combinations: those whose positions `match`, or those whose level indices (counted from 0
    in the factor's own list) add up over `index_sum` to `equals`, modulo `modulo`."""

    match: dict[str, Position | tuple[Position, ...]] = Field(default={}, min_length=1)
    index_sum: tuple[str, ...] = Field(default=(), min_length=1)
    modulo: int = Field(default=0, ge=2)
    equals: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Exclude:
        if self.model_fields_set not in ({"match"}, {"index_sum", "modulo", "equals"}):
            raise ValueError("a rule is either match, or index_sum with modulo and equals")
        if self.index_sum and self.equals >= self.modulo:
            raise ValueError(f"equals must be below modulo {self.modulo}, got {self.equals}")
        return self


class Random(Strict):
    """Settings beside the grid: `count` of them drawn by `seed`, or listed as `settings`."""

    count: int = Field(default=0, ge=1)
    seed: int = 0
    settings: tuple[dict[str, Position], ...] = Field(default=(), min_length=1)
    expect: int | None = None

    @model_validator(mode="after")
    def _check(self) -> Random:
        if self.model_fields_set - {"expect"} not in ({"count", "seed"}, {"settings"}):
            raise ValueError("random is either count with seed, or settings with a list")
        return self


class Anchor(Strict):
    """One setting that is visited again and again, so that drift shows."""

    every: int = Field(default=BLOCK, ge=1)  # passes
    setting: dict[str, Position] | None = None  # held controls may be left out; null: in the middle of the grid


class Grid(Strict):
    """The settings that a dataset promises, and how they are captured."""

    unit: str
    factors: dict[str, tuple[Position, ...]] = Field(min_length=1)
    exclude: tuple[Exclude, ...] = ()
    expect: int = Field(ge=1)
    random: Random | None = None
    order: Order = "gray"
    order_seed: int = 0  # of blocked-random
    design: Design = Design()
    settling: Settling = "silence"
    fingerprint: bool = True
    calibrate: tuple[str, ...] = ()
    anchor: Anchor | None = None
    warm_up: WarmUpRule | None = None
    shifts: Shifts | None = None
    _path: Path | None = PrivateAttr(default=None)  # where it was read, for messages

    @model_validator(mode="before")
    @classmethod
    def _anchored_blocks(cls, document: Any) -> Any:
        """Blocks without an anchor would tell nothing about drift."""
        if isinstance(document, dict) and document.get("order") == "blocked-random" and "anchor" not in document:
            return {**document, "anchor": {}}
        return document

    @model_validator(mode="after")
    def _check(self) -> Grid:
        if not self.fingerprint and (self.calibrate or self.anchor or self.warm_up):
            raise ValueError("calibrate, anchor and warm_up are fingerprints: they need fingerprint: true")
        if self.order != "blocked-random" and self.order_seed:
            raise ValueError("order_seed is for order: blocked-random")
        return self

    @property
    def combinations(self) -> int:
        """How many settings the factors multiply to, before `exclude`."""
        return math.prod(len(positions) for positions in self.factors.values())

    def unit_path(self, dataset_root: Path) -> Path:
        """The profile of the unit: the dataset's own `unit.yaml` if it has one, else the file that `unit` names from
        where the grid lies, else the profile of that name."""
        candidates = [dataset_root / "unit.yaml"]
        if self._path and self.unit.endswith((".yaml", ".yml")):
            candidates.append(self._path.parent / self.unit)
        found = next((path for path in candidates if path.is_file()), None)
        return found or find_profile(self.unit, dataset_root, "unit")

    def settings(self, unit: Unit) -> list[Setting]:
        """All settings on `unit`: the grid, then the random ones.

        `UsageError` when a control or a position is not the unit's, when something stands twice, and when the
        counts are not those that were promised."""
        levels = self._levels(unit)
        grid = self._grid_settings(unit, levels)
        if len(grid) != self.expect:
            raise UsageError(
                f"{self._at('expect')}the grid has another number of settings than it promises",
                got=len(grid),
                allowed=str(self.expect),
                mend=self._mend_of_count(len(grid)),
            )
        if self.random is None:
            return grid
        others = self._listed(unit, grid) if self.random.settings else self._drawn(unit, levels)
        if self.random.expect not in (None, len(others)):
            raise UsageError(
                f"{self._at('random', 'expect')}there is another number of random settings than promised",
                got=len(others),
                allowed=str(self.random.expect),
            )
        return grid + others

    def anchor_setting(self, unit: Unit, settings: Sequence[Setting]) -> Setting | None:
        """The setting of the anchor, None without one: as the file says, else the setting of the grid that stands
        nearest to the middle of every control (of two middles, the lower position)."""
        if self.anchor is None:
            return None
        if self.anchor.setting is not None:
            return self._written(unit, self.anchor.setting, "anchor", "anchor", "setting")
        grid = [setting for setting in settings if setting.origin == "grid"]
        off_middle = {setting.setting_id: 0 for setting in grid}
        for name, control in unit.controls.items():
            used = sorted({control.index(setting.values[name]) for setting in grid})
            for setting in grid:
                place = used.index(control.index(setting.values[name]))
                off_middle[setting.setting_id] += abs(place - (len(used) - 1) // 2)
        return min(grid, key=lambda setting: off_middle[setting.setting_id])

    def calibrated_controls(self, unit: Unit) -> tuple[str, ...]:
        """The controls that are to be calibrated."""
        for place, name in enumerate(self.calibrate):
            self._known(name, unit, "calibrate", place)
        return self.calibrate

    def songs_by_setting(
        self,
        songs: Iterable[Mapping[str, Any]],
        settings: Sequence[Setting],
        planned: Mapping[str, Collection[str]] | None = None,
    ) -> dict[str, Songs]:
        """The song_ids of each setting, by the design. `songs` are rows; `planned` stays as it is."""
        durations_s = {song["song_id"]: song["frames"] / song["sample_rate"] for song in songs}
        try:
            return self.design.songs_by_setting(durations_s, settings, planned)
        except ValueError as error:
            raise UsageError(f"{self._at('design', 'hours')}{error}", mend="raise design: hours:") from None

    def _levels(self, unit: Unit) -> Levels:
        """The factors as positions of the unit."""
        levels: Levels = {}
        for name, values in self.factors.items():
            self._known(name, unit, "factors", name)
            levels[name] = tuple(
                self._position(unit, name, value, "factors", name, place) for place, value in enumerate(values)
            )
            if not levels[name]:
                raise UsageError(f"{self._at('factors', name)}{name} has no position")
            if len(set(levels[name])) < len(values):
                listed = ", ".join(shown(value) for value in levels[name])
                raise UsageError(f"{self._at('factors', name)}{name} has a position twice", got=listed)
        for name in unit.controls:
            if name not in self.factors and name not in unit.held:
                raise UsageError(
                    f"{self._at('factors')}{name} is neither a factor nor held",
                    mend=f"give it positions here, or a held position in the profile of {unit.model}",
                )
        if self.combinations > MOST_COMBINATIONS:
            raise UsageError(f"{self._at('factors')}too many combinations", got=self.combinations, allowed="500000")
        return levels

    def _grid_settings(self, unit: Unit, levels: Levels) -> list[Setting]:
        rules = [self._rule(place, unit, levels) for place in range(len(self.exclude))]
        settings = []
        for indices in itertools.product(*(range(len(positions)) for positions in levels.values())):
            index_of = dict(zip(levels, indices, strict=True))
            if not any(_drops(rule, matched, index_of) for rule, matched in rules):
                values = {name: levels[name][index] for name, index in index_of.items()}
                settings.append(unit.setting(values, "grid"))
        return settings

    def _rule(self, place: int, unit: Unit, levels: Levels) -> tuple[Exclude, dict[str, set[int]]]:
        """Rule number `place`, and the level indices that its `match` means."""
        rule = self.exclude[place]
        key = "match" if rule.match else "index_sum"
        for name in rule.match or rule.index_sum:
            if name not in levels:
                raise UsageError(f"{self._at('exclude', place, key)}no such factor", got=name, allowed=levels)
        matched: dict[str, set[int]] = {}
        for name, wanted in rule.match.items():
            matched[name] = set()
            for value in wanted if isinstance(wanted, tuple) else (wanted,):
                position = self._position(unit, name, value, "exclude", place, "match", name)
                if position not in levels[name]:
                    raise UsageError(
                        f"{self._at('exclude', place, 'match', name)}{name} is not at this position in the grid",
                        got=shown(position),
                        allowed=[shown(level) for level in levels[name]],
                    )
                matched[name].add(levels[name].index(position))
        return rule, matched

    def _drawn(self, unit: Unit, levels: Levels) -> list[Setting]:
        """`count` settings over all positions of the factors' controls, none of them a combination of the factors
        (excluded or not): those whose SHA-256 of `seed:setting_id` is smallest.

        Hashing instead of a random generator, because it needs no library to keep its algorithm: the same seed gives
        the same settings for ever, in any language, and a smaller count gives a part of a larger one."""
        assert self.random is not None
        switches = {name: unit.controls[name].positions for name in levels}
        positions = math.prod(len(all_of_it) for all_of_it in switches.values())
        if positions > MOST_COMBINATIONS:
            raise UsageError(
                f"{self._at('random')}too many settings to draw from",
                got=positions,
                allowed=f"up to {MOST_COMBINATIONS}",
                mend="list them under random: settings:",
            )
        if self.random.count > positions - self.combinations:
            raise UsageError(
                f"{self._at('random', 'count')}more random settings than the unit has outside the factors",
                got=self.random.count,
                allowed=f"up to {positions - self.combinations}",
            )
        candidates = (
            unit.setting(dict(zip(switches, chosen, strict=True)), "random")
            for chosen in itertools.product(*switches.values())
            if not all(value in levels[name] for name, value in zip(switches, chosen, strict=True))
        )
        seed = self.random.seed
        return heapq.nsmallest(
            self.random.count, candidates, key=lambda s: hashlib.sha256(f"{seed}:{s.setting_id}".encode()).digest()
        )

    def _listed(self, unit: Unit, grid: list[Setting]) -> list[Setting]:
        """The settings of the list, none of them twice or in the grid."""
        assert self.random is not None
        taken = {setting.setting_id for setting in grid}
        others = []
        for place, listed in enumerate(self.random.settings):
            here = ("random", "settings", place)
            setting = self._written(unit, listed, "random", *here)
            if setting.setting_id in taken:
                raise UsageError(
                    f"{self._at(*here)}this setting stands twice, or is in the grid", got=setting.setting_id
                )
            taken.add(setting.setting_id)
            others.append(setting)
        return others

    def _written(self, unit: Unit, values: Mapping[str, Position], origin: str, *location: int | str) -> Setting:
        """The setting that stands in the file at `location`."""
        for name, value in values.items():
            self._known(name, unit, *location, name)
            self._position(unit, name, value, *location, name)
        try:
            return unit.setting(values, origin)
        except UsageError as error:
            raise UsageError(f"{self._at(*location)}{error}") from None

    def _known(self, name: str, unit: Unit, *location: int | str) -> None:
        if name not in unit.controls:
            raise UsageError(f"{self._at(*location)}no such control", got=name, allowed=unit.controls)

    def _position(self, unit: Unit, name: str, value: Position, *location: int | str) -> Position:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # so that a message shows 7 as it was written, not 7.0
        try:
            return unit.controls[name].position(value, name)
        except UsageError as error:
            raise UsageError(f"{self._at(*location)}{error}") from None

    def _at(self, *location: int | str) -> str:
        """`grid.yaml:7: `, or nothing for a grid that was not read from a file."""
        return line_of(self._path, *location) if self._path else ""

    def _mend_of_count(self, got: int) -> str:
        if got == 192 and self.expect == 144 and not self.exclude:
            return (
                "the factors printed in the paper multiply to 192, not 144: take the exclude rule of the shipped "
                "grid.yaml, or write expect: 192 (docs/explanations/144.md says why)"
            )
        return "correct factors, exclude or expect"


def _drops(rule: Exclude, matched: Mapping[str, set[int]], index_of: Mapping[str, int]) -> bool:
    if matched:
        return all(index_of[name] in indices for name, indices in matched.items())
    return sum(index_of[name] for name in rule.index_sum) % rule.modulo == rule.equals


def load_grid(path: Path) -> Grid:
    """The grid at `path`."""
    grid = load_yaml(path, Grid)
    grid._path = path
    return grid

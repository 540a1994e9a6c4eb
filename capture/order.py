"""In which order the settings are visited.

A move is one control turned between two settings. Its cost is the control's `move_cost_s`, and a little for every
detent it travels.

    gray            the grid with one move at a time, each to a neighbouring level, dear controls outermost (reflected
                    Gray order; where `exclude` rules left holes, what comes nearest to it); then the random settings
                    as at `tsp`
    tsp             the grid in the fewest seconds, then the random settings in the fewest seconds
    joint           grid and random settings in one path of the fewest seconds
    blocked-random  blocks in which every level stands about equally often, drawn by seed; within a block the fewest
                    seconds from the anchor. Drift of the rack over weeks is not mistaken for the effect of a knob

Costs are integer milliseconds, and nothing is drawn that depends on a library: the same settings come out in the same
order on every machine.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..manifests.unit import Setting, Unit
from .route import short_path

Order = Literal["gray", "tsp", "joint", "blocked-random"]
DETENT_COST_S = 0.25  # far below any move: among equal moves the shortest way wins
LARGEST_IMPROVED = 1000  # above it the search costs many seconds, and the snake has to do
BLOCK = 12  # settings in a block of `blocked-random` where no anchor says otherwise
LEAP, MOVE = 10**5, 10**10  # detents: more than any path has, and more than any path has leaps
Matrix = npt.NDArray[np.int64]
Costs = Callable[[Matrix, Unit], Matrix]


def moves(before: Setting, after: Setting) -> int:
    """How many controls differ."""
    return sum(before.values[name] != value for name, value in after.values.items())


def move_cost_s(before: Setting, after: Setting, unit: Unit) -> float:
    """Seconds that an operator needs to go from one setting to the other; the same both ways."""
    return float(_seconds(_positions([before, after], unit), unit)[0, 1]) / 1000


def path_cost_s(path: Sequence[Setting], unit: Unit) -> float:
    """Seconds of turning along the way."""
    if len(path) < 2:
        return 0.0
    positions = _positions(path, unit)
    detents = np.abs(np.diff(positions, axis=0))
    return float(((detents > 0) * _move_ms(unit) + detents * round(DETENT_COST_S * 1000)).sum()) / 1000


def visit_order(
    settings: Sequence[Setting],
    unit: Unit,
    order: Order = "gray",
    *,
    seed: int = 0,
    block: int = BLOCK,
    anchor: Setting | None = None,
) -> list[Setting]:
    """The settings, each once, in `order`. `seed`, `block` (settings a block) and `anchor` (visited before each
    block) are for `blocked-random`.

    The other orders never cost more seconds than the settings as given, grid first. Deterministic.
    """
    grid = [setting for setting in settings if setting.origin == "grid"]
    others = [setting for setting in settings if setting.origin != "grid"]
    if order == "blocked-random":
        path: list[Setting] = []
        for together in _blocks([*grid, *others], unit, seed, block):
            path += _short_path(anchor or (path[-1] if path else None), together, unit)
        return path
    if order == "joint":
        return _cheaper(_short_path(None, [*grid, *others], unit), [*grid, *others], unit)
    path = _short_path(None, grid, unit, _orderly if order == "gray" else _seconds)
    path += _short_path(path[-1] if path else None, others, unit)
    return _cheaper(path, [*grid, *others], unit)


def _cheaper(path: list[Setting], given: list[Setting], unit: Unit) -> list[Setting]:
    return path if path_cost_s(path, unit) <= path_cost_s(given, unit) else given


def _short_path(
    start: Setting | None, settings: list[Setting], unit: Unit, costs: Costs | None = None
) -> list[Setting]:
    """A cheap path through `settings`, coming from `start` if there is one, with its end free."""
    if not settings:
        return []
    positions = _positions(settings, unit)
    moved_ms = _move_ms(unit)
    dearest_first = sorted(range(len(moved_ms)), key=lambda control: -int(moved_ms[control]))
    snake = _snake(list(range(len(settings))), positions, dearest_first, set())
    if len(settings) > LARGEST_IMPROVED:
        return [settings[node] for node in snake]
    if start is None:
        between = (costs or _seconds)(positions, unit)
        guess = min((snake, sorted(snake)), key=lambda path: _length(path, between))
        return [settings[node] for node in short_path(between, guess)]
    between = (costs or _seconds)(_positions([*settings, start], unit), unit)
    home = len(settings)
    guess = min(([home, *snake], [home, *sorted(snake)]), key=lambda path: _length(path, between))
    return [settings[node] for node in short_path(between, guess, home)[1:]]


def _positions(settings: Sequence[Setting], unit: Unit) -> Matrix:
    """Detents of every control from its first position, (settings, controls)."""
    return np.array([[control.index(s.values[name]) for name, control in unit.controls.items()] for s in settings])


def _move_ms(unit: Unit) -> Matrix:
    """What one change of each control costs."""
    return np.array([round(control.move_cost_s * 1000) for control in unit.controls.values()], np.int64)


def _seconds(positions: Matrix, unit: Unit) -> Matrix:
    """Milliseconds from each setting to each, (settings, settings)."""
    costs = np.zeros((len(positions), len(positions)), np.int64)
    for column, move_ms in zip(positions.T, _move_ms(unit), strict=True):
        detents = np.abs(column[:, None] - column[None, :])
        costs += (detents > 0) * move_ms + detents * round(DETENT_COST_S * 1000)
    return costs


def _orderly(positions: Matrix, unit: Unit) -> Matrix:
    """The same for the eye: what the moves themselves cost comes first, then leaps over a level, then detents. A level
    is a position at which some of the settings stand."""
    costs = np.zeros((len(positions), len(positions)), np.int64)
    for column, move_ms in zip(positions.T, _move_ms(unit), strict=True):
        level = np.unique(column, return_inverse=True)[1].reshape(-1)
        steps = np.abs(level[:, None] - level[None, :])
        costs += (steps > 0) * (move_ms + 1) * MOVE + np.maximum(steps - 1, 0) * LEAP
        costs += np.abs(column[:, None] - column[None, :])
    return costs


def _snake(nodes: list[int], positions: Matrix, controls: list[int], downwards: set[int]) -> list[int]:
    """Nested order by `controls`, the first outermost, each turning back where it stands (reflected Gray order).
    `downwards` holds the controls whose next run goes down."""
    if not controls:
        return nodes
    control, *inner = controls
    path: list[int] = []
    for level in sorted({int(positions[node, control]) for node in nodes}, reverse=control in downwards):
        at_level = [node for node in nodes if positions[node, control] == level]
        path += _snake(at_level, positions, inner, downwards)
    downwards ^= {control}
    return path


def _length(path: Sequence[int], costs: Matrix) -> int:
    return sum(int(costs[before, after]) for before, after in pairwise(path))


def _blocks(settings: list[Setting], unit: Unit, seed: int, size: int) -> list[list[Setting]]:
    """The settings in blocks of at most `size`, equally large but for one setting. They are dealt out by their SHA-256
    of `seed:setting_id`, and then change places two by two until no exchange makes the levels of the blocks more
    even."""
    count = -(-len(settings) // size)
    dealt = sorted(settings, key=lambda s: hashlib.sha256(f"{seed}:{s.setting_id}".encode()).digest())
    levels = list(dict.fromkeys(level for setting in dealt for level in setting.values.items()))
    stands = np.array([[setting.values[name] == v for name, v in levels] for setting in dealt], np.int64)
    blocks = [list(range(number, len(dealt), count)) for number in range(count)]
    pairs = list(itertools.combinations(blocks, 2))
    while any([_exchange(one, other, stands, len(unit.controls)) for one, other in pairs]):
        pass
    return [[dealt[number] for number in block] for block in blocks]


def _exchange(one: list[int], other: list[int], stands: Matrix, controls: int) -> bool:
    """Swap the two settings of two blocks whose exchange lowers the sum of the squares of all counts of levels most.
    Whether any does. `stands` (settings, levels) is 1 where a setting stands at a level."""
    excess = stands @ (stands[one].sum(axis=0) - stands[other].sum(axis=0))
    differ = controls - stands[one] @ stands[other].T
    change = 2 * (excess[other][None, :] - excess[one][:, None]) + 4 * differ
    here, there = divmod(int(change.argmin()), len(other))
    if change[here, there] >= 0:
        return False
    one[here], other[there] = other[there], one[here]
    return True

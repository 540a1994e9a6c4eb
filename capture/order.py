"""In which order the settings are visited, so that a hand at the rack turns as little as possible.

A move is one control turned between two settings. Its cost is the control's `move_cost_s`, and a little for every
detent it travels. The cheapest order is a travelling-salesman path: nested reflected (snake) order, most expensive
control outermost, is the start; 2-opt and Or-opt improve it, and kicks (double bridges) with a fixed seed lead out of
local minima (iterated local search; Lourenco, Martin & Stuetzle 2003). Costs are integer milliseconds and the random
numbers are Python's own, so that the same settings come out in the same order on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..manifests.unit import Setting, Unit

DETENT_COST_S = 0.25  # far below any move: among equal moves the shortest way wins
KICKS = 100  # 144 + 76 settings take about a second
KICK_SPAN = 30  # a kick rearranges neighbours, never the whole path
LARGEST_IMPROVED = 1000  # above it a search step costs seconds, and the snake has to do
Matrix = npt.NDArray[np.int64]


def moves(before: Setting, after: Setting) -> int:
    """How many controls differ."""
    return sum(before.values[name] != value for name, value in after.values.items())


def move_cost_s(before: Setting, after: Setting, unit: Unit) -> float:
    """Seconds that an operator needs to go from one setting to the other; the same both ways."""
    return float(_costs_ms(_positions([before, after], unit), unit)[0, 1]) / 1000


def visit_order(settings: Sequence[Setting], unit: Unit) -> list[Setting]:
    """The settings, each once, on a cheap path: all of the grid, then the random ones from where it ends.

    Never dearer than the given order (grid first). Deterministic."""
    grid = [setting for setting in settings if setting.origin == "grid"]
    others = [setting for setting in settings if setting.origin != "grid"]
    ordered = _cheap_path(None, grid, unit)
    ordered += _cheap_path(ordered[-1] if ordered else None, others, unit)
    given = grid + others
    return ordered if _path_cost_s(ordered, unit) <= _path_cost_s(given, unit) else given


def _path_cost_s(path: Sequence[Setting], unit: Unit) -> float:
    return sum(move_cost_s(before, after, unit) for before, after in pairwise(path))


def _cheap_path(start: Setting | None, settings: list[Setting], unit: Unit) -> list[Setting]:
    """A cheap path through `settings`, from `start` if there is one, with its end free."""
    if not settings:
        return []
    positions = _positions(settings, unit)
    dearest_first = sorted(range(positions.shape[1]), key=lambda c: -list(unit.controls.values())[c].move_cost_s)
    snake = _snake(list(range(len(settings))), positions, dearest_first, set())
    if len(settings) > LARGEST_IMPROVED:
        return [settings[node] for node in snake]
    # Node 0 is where the path starts, and stays in front. Without a start it costs nothing to leave.
    costs = _costs_ms(_positions([start or settings[0], *settings], unit), unit)
    if start is None:
        costs[0, :] = 0
    starts = [[0, *(node + 1 for node in nodes)] for nodes in (snake, range(len(settings)))]
    path = _improve(min(starts, key=lambda nodes: _length(nodes, costs)), costs)
    return [settings[node - 1] for node in _kick(path, costs)[1:]]


def _positions(settings: Sequence[Setting], unit: Unit) -> Matrix:
    """Detents of every control from its first position, (settings, controls)."""
    return np.array([[control.index(s.values[name]) for name, control in unit.controls.items()] for s in settings])


def _costs_ms(positions: Matrix, unit: Unit) -> Matrix:
    """Cost of going from each setting to each, (settings, settings)."""
    costs = np.zeros((len(positions), len(positions)), np.int64)
    for column, control in zip(positions.T, unit.controls.values(), strict=True):
        detents = np.abs(column[:, None] - column[None, :])
        costs += (detents > 0) * round(control.move_cost_s * 1000) + detents * round(DETENT_COST_S * 1000)
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


def _length(path: list[int], costs: Matrix) -> int:
    return int(costs[path[:-1], path[1:]].sum())


def _kick(path: list[int], costs: Matrix) -> list[int]:
    """The best of many local minima: swap two neighbouring stretches, improve, keep what is not dearer."""
    if len(path) < 5:
        return path
    chance = random.Random(0)
    length = _length(path, costs)
    for _ in range(KICKS):
        first = chance.randrange(1, len(path) - 2)
        a, b, c = sorted(chance.sample(range(first, min(first + KICK_SPAN, len(path)) + 1), 3))
        candidate = _improve(path[:a] + path[b:c] + path[a:b] + path[c:], costs)
        candidate_length = _length(candidate, costs)
        if candidate_length <= length:
            path, length = candidate, candidate_length
    return path


def _improve(path: list[int], costs: Matrix) -> list[int]:
    """The local minimum below `path`: the best 2-opt or Or-opt step is taken until none saves anything.
    `path[0]` stays; leaving the last node is free."""
    size = len(path)
    while True:
        along = np.zeros((size, size + 1), np.int64)  # [i, j]: from the i-th node of the path to its j-th; j=size: end
        along[:, :size] = costs[np.ix_(path, path)]
        step = along[np.arange(size), np.arange(1, size + 1)]  # what leaving the i-th node costs now
        saving, changed = 0, path
        for gain, candidate in (_best_reversal(path, along, step), *_best_shifts(path, along, step)):
            if gain > saving:
                saving, changed = gain, candidate
        if not saving:
            return path
        path = changed


def _best_reversal(path: list[int], along: Matrix, step: Matrix) -> tuple[int, list[int]]:
    """2-opt: turn round the stretch from the first to the last node that saves most. What it saves, and the path."""
    size = len(path)
    saved = np.triu(step[:-1, None] + step - along[:-1, :size] - along[1:, 1:], 2)  # [first - 1, last]
    row, last = divmod(int(saved.argmax()), size)
    first = row + 1
    return int(saved[row, last]), path[:first] + path[first : last + 1][::-1] + path[last + 1 :]


def _best_shifts(path: list[int], along: Matrix, step: Matrix) -> list[tuple[int, list[int]]]:
    """Or-opt: for stretches of one to three nodes, forwards and turned round, the shift that saves most."""
    size = len(path)
    found = []
    for count in range(1, min(3, size - 2) + 1):
        first, last = slice(1, size - count + 1), slice(count, size)  # of every stretch
        closed = step[: size - count] + step[last] - along[np.arange(size - count), np.arange(count + 1, size + 1)]
        for head, tail in ((first, last), (last, first)):
            opened = along[:, head].T + along[tail, 1:] - step  # [first - 1, place before the stretch]
            saved = closed[:, None] - opened
            for inside in range(-1, count):  # places where the stretch stands already
                saved.flat[inside + 1 :: size + 1] = 0
            row, place = divmod(int(saved.argmax()), size)
            stretch = path[row + 1 : row + 1 + count]
            rest = path[: row + 1] + path[row + 1 + count :]
            at = place + 1 if place <= row else place + 1 - count
            found.append(
                (int(saved[row, place]), rest[:at] + (stretch if head is first else stretch[::-1]) + rest[at:])
            )
    return found

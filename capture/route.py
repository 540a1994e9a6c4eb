"""A short way through places that are all connected: a travelling-salesman path, by iterated local search.

2-opt turns a stretch round, Or-opt shifts up to three places elsewhere; both look at near neighbours only, and only at
places whose surroundings have changed. When nothing saves anything any more, a double bridge between places close
together on the way leads out of the local minimum, and the way that comes out is kept unless it is longer (Lourenco,
Martin & Stuetzle 2003; Johnson & McGeoch 1997). Costs are integers and the random numbers are Python's own, so that
the same costs give the same way on every machine.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.int64]
NEAR = 12  # neighbours that a step looks at
KICK_SPAN = 50  # places along the way that a kick rearranges
KICKS_PER_PLACE = 10
FEWEST_KICKS, MOST_KICKS = 100, 3000  # the most take about a second
LONGEST_SHIFT = 3
SEED = 3  # of the ways out: one number for ever, so that a plan stays as it is


def short_path(costs: Matrix, guess: Sequence[int], begins_at: int | None = None) -> list[int]:
    """The places 0, 1, ... in an order that is cheap to walk, never dearer than `guess` (an order of all of them).

    `costs` (places, places) is symmetric and not negative. The path ends anywhere, and begins anywhere or at
    `begins_at`, which then is the first place of `guess`."""
    if len(guess) < 3:
        return list(guess)
    # A round trip over one place more, which costs nothing to reach, is a path with free ends. A beginning is held in
    # place by an edge to there that is worth more than everything else.
    count = len(costs)
    closed = np.zeros((count + 1, count + 1), np.int64)
    closed[:count, :count] = costs
    tour = _Tour([count, *guess], closed)
    if begins_at is not None:
        tour.hold(count, begins_at)
    tour.search(min(max(FEWEST_KICKS, KICKS_PER_PLACE * count), MOST_KICKS))
    end = tour.order.index(count)
    path = tour.order[end + 1 :] + tour.order[:end]
    return path[::-1] if begins_at is not None and path[0] != begins_at else path


class _Tour:
    """A round trip that is being made shorter."""

    def __init__(self, order: list[int], costs: Matrix):
        self.order = order
        self._costs: list[list[int]] = costs.tolist()
        to_others = costs + np.diag(np.full(len(costs), costs.max() + 1))
        self._near: list[list[int]] = np.argsort(to_others, axis=1, kind="stable")[:, :NEAR].tolist()
        self._place = [0] * len(order)  # of every node in `order`
        self._number(range(len(order)))

    def hold(self, one: int, other: int) -> None:
        """Never part two neighbours."""
        worth = 1 + len(self.order) * max(map(max, self._costs))
        self._costs[one][other] = self._costs[other][one] = -worth

    def search(self, kicks: int) -> None:
        """Improve, then try `kicks` ways out."""
        self._improve(reversed(self.order))
        chance = random.Random(SEED)
        span = min(KICK_SPAN, len(self.order) - 1)
        for _ in range(kicks if span >= 3 else 0):
            before = self.order
            begin = chance.randrange(len(before))
            a, b, c = sorted(chance.sample(range(1, span + 1), 3))
            turned = before[begin:] + before[:begin]
            self._become(turned[:a] + turned[b:c] + turned[a:b] + turned[c:])
            cuts = [(turned[cut - 1], turned[cut % len(turned)]) for cut in (a, b, c)]
            (a_end, a_next), (b_end, b_next), (c_end, c_next) = cuts
            joins = [(a_end, b_next), (c_end, a_next), (b_end, c_next)]
            longer = sum(self._costs[one][other] for one, other in joins)
            longer -= sum(self._costs[one][other] for one, other in cuts)
            if self._improve(dict.fromkeys(itertools.chain(*cuts))) < longer:
                self._become(before)

    def _become(self, order: list[int]) -> None:
        self.order = order
        self._number(range(len(order)))

    def _number(self, places: Iterable[int]) -> None:
        for place in places:
            self._place[self.order[place]] = place

    def _improve(self, nodes: Iterable[int]) -> int:
        """Take every step that saves something, around `nodes` and wherever that leads. What is saved."""
        queue = list(nodes)
        queued = set(queue)
        saved = 0
        while queue:
            node = queue.pop()
            queued.discard(node)
            while step := self._reversal(node) or self._shift(node):
                gain, touched = step
                saved += gain
                new = [other for other in touched if other not in queued]
                queue += new
                queued.update(new)
        return saved

    def _reversal(self, node: int) -> tuple[int, tuple[int, ...]] | None:
        """2-opt: make `node` a neighbour of a nearer one, if that saves anything. What it saves, and whose neighbours
        have changed."""
        order, place, costs = self.order, self._place, self._costs
        size, here, from_node = len(order), self._place[node], self._costs[node]
        for way in (1, -1):
            left = order[(here + way) % size]
            for other in self._near[node]:
                gain = from_node[left] - from_node[other]
                if gain <= 0:
                    break
                lost = order[(place[other] + way) % size]
                gain += costs[other][lost] - costs[left][lost]
                if gain > 0:
                    first, last = (left, other) if way == 1 else (other, left)
                    self._turn_round(place[first], place[last])
                    return gain, (node, left, other, lost)
        return None

    def _turn_round(self, first: int, last: int) -> None:
        """Reverse the stretch from place `first` to place `last`, or, which is the same, the rest, if it is shorter."""
        size = len(self.order)
        length = (last - first) % size + 1
        if 2 * length > size:
            first, last, length = (last + 1) % size, (first - 1) % size, size - length
        if first <= last:
            self.order[first : last + 1] = self.order[first : last + 1][::-1]
            self._number(range(first, last + 1))
        elif length:
            stretch = (self.order[first:] + self.order[: last + 1])[::-1]
            self.order[first:], self.order[: last + 1] = stretch[: size - first], stretch[size - first :]
            self._number(range(first, size))
            self._number(range(last + 1))

    def _shift(self, node: int) -> tuple[int, tuple[int, ...]] | None:
        """Or-opt: put a stretch of up to three that begins with `node` beside a nearer one, if that saves anything."""
        order, place, costs = self.order, self._place, self._costs
        size, here, from_node = len(order), self._place[node], self._costs[node]
        least = from_node[self._near[node][0]]
        for way in (1, -1):
            before = order[(here - way) % size]
            after = node
            for further in range(min(LONGEST_SHIFT, size - 3)):
                end, after = after, order[(here + way * (further + 1)) % size]
                from_end = costs[end]
                closed = from_node[before] + from_end[after] - costs[before][after]
                if closed <= least:
                    continue
                for other in self._near[node]:
                    gain = closed - from_node[other]
                    if gain <= 0:
                        break
                    if (place[other] - here) * way % size <= further:  # it stands in the stretch
                        continue
                    for side in (1, -1):
                        beyond = order[(place[other] + side) % size]
                        if (beyond, other) in ((node, before), (end, after)):  # where the stretch stands already
                            continue
                        opened = from_end[beyond] - costs[other][beyond]
                        if gain > opened:
                            self._put(here, way, further, other, beyond)
                            return gain - opened, (node, end, before, after, other, beyond)
        return None

    def _put(self, here: int, way: int, further: int, other: int, beyond: int) -> None:
        """Shift the stretch, whose first node stands at place `here`, between `other` (beside its first) and
        `beyond`, which are neighbours."""
        size = len(self.order)
        stretch = [self.order[(here + way * step) % size] for step in range(further + 1)]
        inside = set(stretch)
        rest = [node for node in self.order if node not in inside]
        at = rest.index(other)
        if rest[(at + 1) % len(rest)] == beyond:
            rest[at + 1 : at + 1] = stretch
        else:
            rest[at:at] = stretch[::-1]
        self._become(rest)

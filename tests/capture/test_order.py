"""`capture.order`: every setting once, and few turns of the knobs."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.grid import load_grid
from buscomp.capture.order import Order, move_cost_s, moves, path_cost_s, visit_order
from buscomp.capture.profiles import find_profile
from buscomp.manifests.unit import Control, Setting, Unit, load_unit

NOWHERE = Path("/nonexistent")
SSL = load_unit(find_profile("ssl-500-bus", NOWHERE, "unit"))
VARIED = ("threshold_db", "attack_ms", "release_s", "ratio")


def setting(threshold_db: float, attack_ms: float, release_s: object, ratio: float, origin: str = "grid") -> Setting:
    return SSL.setting(dict(zip(VARIED, (threshold_db, attack_ms, release_s, ratio), strict=True)), origin)


ORDERS: tuple[Order, ...] = get_args(Order)


@cache
def visited(grid: str, order: Order = "gray") -> list[Setting]:
    return visit_order(load_grid(find_profile(grid, NOWHERE, "grid")).settings(SSL), SSL, order)


def turned(path: list[Setting], *names: str) -> int:
    return sum(before.values[name] != after.values[name] for before, after in pairwise(path) for name in names)


def cost_s(path: list[Setting]) -> float:
    return sum(move_cost_s(before, after, SSL) for before, after in pairwise(path))


def test_a_move_costs_what_its_controls_cost_and_a_quarter_second_a_detent() -> None:
    here, there = setting(-28, 0.1, "auto", 2), setting(-20, 0.1, 0.8, 2)
    assert moves(here, there) == moves(there, here) == 2
    assert move_cost_s(here, there, SSL) == move_cost_s(there, here, SSL) == 30 + 2 * 0.25 + 8 + 2 * 0.25
    assert move_cost_s(here, here, SSL) == moves(here, here) == 0


@pytest.mark.parametrize(("grid", "count"), [("grid", 144), ("grid-192", 192)])
def test_the_shipped_grids_turn_one_knob_at_a_time_and_threshold_three_times(grid: str, count: int) -> None:
    path = [setting for setting in visited(grid) if setting.origin == "grid"]
    assert len(path) == count
    assert [moves(before, after) for before, after in pairwise(path)] == [1] * (count - 1)
    assert turned(path, "threshold_db") == 3
    assert turned(path, "attack_ms") == 12


@pytest.mark.parametrize(("grid", "leaps"), [("grid-192", 0), ("grid", 15)])
def test_gray_leaps_over_no_level_of_a_full_grid_and_over_as_few_as_parity_allows_where_rules_left_holes(
    grid: str, leaps: int
) -> None:
    """A step to a neighbouring level changes the parity of the sum of all level indices. Of the 144 settings 80 are
    even and 64 odd, so at least 80 - 64 - 1 steps have to go from even to even."""
    path = [setting for setting in visited(grid) if setting.origin == "grid"]
    steps = []
    parities: Counter[int] = Counter()
    levels = {name: sorted({SSL.controls[name].index(s.values[name]) for s in path}) for name in VARIED}
    places = [[levels[name].index(SSL.controls[name].index(s.values[name])) for name in VARIED] for s in path]
    for before, after in pairwise(places):
        steps.append(sum(abs(one - other) for one, other in zip(before, after, strict=True)))
    parities.update(sum(place) % 2 for place in places)
    assert Counter(steps) == Counter({1: len(path) - 1 - leaps, 2: leaps})
    assert leaps == max(abs(parities[0] - parities[1]) - 1, 0)


@pytest.mark.parametrize("order", ["gray", "tsp"])
def test_the_76_random_settings_come_last_and_take_at_most_139_moves_ten_of_them_the_pot(order: Order) -> None:
    path = visited("grid", order)
    assert [setting.origin for setting in path] == ["grid"] * 144 + ["random"] * 76
    assert turned(path[143:], *VARIED) <= 139
    assert turned(path[143:], "threshold_db") <= 11  # there are 11 dots
    assert path_cost_s(path[144:], SSL) <= 1530


def test_grid_and_random_settings_jointly_take_at_most_270_moves_and_fewer_seconds_than_one_after_the_other() -> None:
    joint = visited("grid", "joint")
    assert turned(joint, *VARIED) <= 270  # 272 is the best that was found for draws like this one
    assert turned(joint, "threshold_db") == 10
    assert path_cost_s(joint, SSL) < 0.95 * path_cost_s(visited("grid", "tsp"), SSL)


def test_blocked_random_confounds_no_knob_with_time_where_the_path_along_the_grid_does() -> None:
    def against_time(path: list[Setting]) -> list[float]:
        places = [[SSL.controls[name].index(s.values[name]) for s in path] for name in VARIED]
        return [abs(float(np.corrcoef(place, np.arange(len(path)))[0, 1])) for place in places]

    assert max(against_time(visited("grid", "blocked-random"))) < 0.05
    assert max(against_time([s for s in visited("grid") if s.origin == "grid"])) > 0.2


def test_every_block_of_twelve_holds_every_level_of_the_grid_about_equally_often() -> None:
    grid = [s for s in load_grid(find_profile("grid-192", NOWHERE, "grid")).settings(SSL) if s.origin == "grid"]
    path = visit_order(grid, SSL, "blocked-random", block=12)
    for begin in range(0, 192, 12):
        for name, least, most in (("threshold_db", 2, 4), ("attack_ms", 2, 4), ("release_s", 2, 4), ("ratio", 3, 5)):
            counts = Counter(setting.values[name] for setting in path[begin : begin + 12])
            assert least <= min(counts.values()) <= max(counts.values()) <= most, (begin, name, counts)


def test_another_seed_draws_other_blocks_and_the_same_seed_the_same() -> None:
    grid = load_grid(find_profile("grid-demo", NOWHERE, "grid")).settings(SSL)
    one, two, again = (visit_order(grid, SSL, "blocked-random", seed=seed, block=3) for seed in (1, 2, 1))
    assert one == again
    assert one != two


def test_the_order_does_not_change_from_run_to_run() -> None:
    path = visited("grid-demo")
    again = visit_order(load_grid(find_profile("grid-demo", NOWHERE, "grid")).settings(SSL), SSL)
    assert [setting.setting_id for setting in again] == [setting.setting_id for setting in path]


def test_nothing_and_one_setting_are_orders_too() -> None:
    assert visit_order([], SSL) == []
    only = setting(-28, 1, 0.1, 2)
    assert visit_order([only], SSL) == [only]


SOME = st.lists(
    st.builds(
        setting,
        *(st.sampled_from(SSL.controls[name].positions) for name in VARIED),
        origin=st.sampled_from(["grid", "random"]),
    ),
    max_size=30,
    unique_by=lambda setting: setting.setting_id,
)


@settings(deadline=None, max_examples=20)
@given(given_order=SOME, order=st.sampled_from(["gray", "tsp"]))
def test_any_settings_come_out_once_each_grid_first_and_never_dearer_than_given(
    given_order: list[Setting], order: Order
) -> None:
    path = visit_order(given_order, SSL, order)
    assert sorted(s.setting_id for s in path) == sorted(s.setting_id for s in given_order)
    grid_first = sorted(given_order, key=lambda s: s.origin)
    assert [s.origin for s in path] == [s.origin for s in grid_first]
    assert cost_s(path) <= cost_s(grid_first) + 1e-9
    assert path_cost_s(path, SSL) == pytest.approx(cost_s(path))


@settings(deadline=None, max_examples=20)
@given(given_order=SOME, block=st.integers(1, 7), seed=st.integers())
def test_joint_and_blocked_random_keep_every_setting_too(given_order: list[Setting], block: int, seed: int) -> None:
    joint = visit_order(given_order, SSL, "joint")
    blocked = visit_order(given_order, SSL, "blocked-random", seed=seed, block=block)
    ids = sorted(s.setting_id for s in given_order)
    assert sorted(s.setting_id for s in joint) == sorted(s.setting_id for s in blocked) == ids
    assert cost_s(joint) <= cost_s(sorted(given_order, key=lambda s: s.origin)) + 1e-9


@settings(deadline=None, max_examples=12)
@given(sizes=st.lists(st.integers(2, 4), min_size=1, max_size=4), costs=st.lists(st.integers(0, 40), min_size=4))
def test_gray_turns_one_knob_by_one_detent_at_a_time_through_any_full_factorial(
    sizes: list[int], costs: list[int]
) -> None:
    controls = {
        f"knob_{number}": Control(
            label="K", kind="pot", positions=tuple(range(size)), short="abcd"[number], meaning="", move_cost_s=cost
        )
        for number, (size, cost) in enumerate(zip(sizes, costs, strict=False))
    }
    unit = Unit(make="M", model="N", controls=controls)
    every = [
        unit.setting(dict(zip(controls, values, strict=True)), "grid")
        for values in itertools.product(*(range(size) for size in sizes))
    ]
    random.Random(0).shuffle(every)
    path = visit_order(every, unit, "gray")
    for before, after in pairwise(path):
        assert sum(abs(before.values[name] - after.values[name]) for name in controls) == 1  # type: ignore[operator]
    dearest = max(controls, key=lambda name: controls[name].move_cost_s)
    if len({control.move_cost_s for control in controls.values()}) == len(controls):
        assert turned(path, dearest) == len(controls[dearest].positions) - 1


def test_more_settings_than_can_be_searched_are_walked_as_a_snake() -> None:
    every = [
        setting(t, a, r, q)  # type: ignore[arg-type]
        for t, a, r, q in itertools.product(*(SSL.controls[name].positions for name in VARIED))
    ]
    assert len(every) == 2376
    path = visit_order(every, SSL)
    assert [moves(before, after) for before, after in pairwise(path)] == [1] * 2375
    assert turned(path, "threshold_db") == 10


@pytest.mark.parametrize("seed", range(8))
def test_seven_settings_come_out_in_the_cheapest_of_all_5040_orders(seed: int) -> None:
    chance = random.Random(seed)
    some: dict[str, Setting] = {}
    while len(some) < 7:
        one = setting(*(chance.choice(SSL.controls[name].positions) for name in VARIED))  # type: ignore[arg-type]
        some[one.setting_id] = one
    between = {(a, b): move_cost_s(some[a], some[b], SSL) for a, b in itertools.permutations(some, 2)}
    cheapest = min(sum(between[step] for step in pairwise(order)) for order in itertools.permutations(some))
    assert cost_s(visit_order(list(some.values()), SSL, "tsp")) == pytest.approx(cheapest)

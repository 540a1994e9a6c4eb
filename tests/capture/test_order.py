"""`capture.order`: every setting once, and few turns of the knobs."""

from __future__ import annotations

import itertools
import random
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.grid import load_grid
from buscomp.capture.order import move_cost_s, moves, visit_order
from buscomp.capture.profiles import find_profile
from buscomp.manifests.unit import Setting, load_unit

NOWHERE = Path("/nonexistent")
SSL = load_unit(find_profile("ssl-500-bus", NOWHERE, "unit"))
VARIED = ("threshold_db", "attack_ms", "release_s", "ratio")


def setting(threshold_db: float, attack_ms: float, release_s: object, ratio: float, origin: str = "grid") -> Setting:
    return SSL.setting(dict(zip(VARIED, (threshold_db, attack_ms, release_s, ratio), strict=True)), origin)


@cache
def visited(grid: str) -> list[Setting]:
    return visit_order(load_grid(find_profile(grid, NOWHERE, "grid")).settings(SSL), SSL)


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


def test_the_76_random_settings_come_last_and_take_at_most_140_moves_ten_of_them_the_pot() -> None:
    path = visited("grid")
    assert [setting.origin for setting in path] == ["grid"] * 144 + ["random"] * 76
    assert turned(path[143:], *VARIED) <= 140
    assert turned(path[143:], "threshold_db") <= 11  # there are 11 dots


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


@settings(deadline=None, max_examples=30)
@given(given_order=SOME)
def test_any_settings_come_out_once_each_grid_first_and_never_dearer_than_given(given_order: list[Setting]) -> None:
    path = visit_order(given_order, SSL)
    assert sorted(s.setting_id for s in path) == sorted(s.setting_id for s in given_order)
    grid_first = sorted(given_order, key=lambda s: s.origin)
    assert [s.origin for s in path] == [s.origin for s in grid_first]
    assert cost_s(path) <= cost_s(grid_first) + 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_seven_settings_come_out_in_the_cheapest_of_all_5040_orders(seed: int) -> None:
    chance = random.Random(seed)
    some: dict[str, Setting] = {}
    while len(some) < 7:
        one = setting(*(chance.choice(SSL.controls[name].positions) for name in VARIED))  # type: ignore[arg-type]
        some[one.setting_id] = one
    between = {(a, b): move_cost_s(some[a], some[b], SSL) for a, b in itertools.permutations(some, 2)}
    cheapest = min(sum(between[step] for step in pairwise(order)) for order in itertools.permutations(some))
    assert cost_s(visit_order(list(some.values()), SSL)) == pytest.approx(cheapest)

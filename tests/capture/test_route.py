"""`capture.route`: a short way through places, as short as trying all orders finds it where that can be tried."""

from __future__ import annotations

import itertools
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.route import short_path


def symmetric(size: int, seed: int, largest: int = 100) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, largest, (size, size))
    costs = np.triu(drawn, 1)
    return costs + costs.T


def length(path: list[int], costs: np.ndarray) -> int:
    return sum(int(costs[one, other]) for one, other in pairwise(path))


@pytest.mark.parametrize("seed", range(6))
def test_seven_places_are_walked_on_the_cheapest_of_all_5040_paths(seed: int) -> None:
    costs = symmetric(7, seed)
    cheapest = min(length(list(path), costs) for path in itertools.permutations(range(7)))
    assert length(short_path(costs, range(7)), costs) == cheapest


@pytest.mark.parametrize("seed", range(6))
def test_a_path_with_a_beginning_is_the_cheapest_of_the_720_that_begin_there(seed: int) -> None:
    costs = symmetric(7, seed)
    guess = [3, 0, 1, 2, 4, 5, 6]
    path = short_path(costs, guess, begins_at=3)
    others = (place for place in range(7) if place != 3)
    cheapest = min(length([3, *rest], costs) for rest in itertools.permutations(others))
    assert path[0] == 3
    assert length(path, costs) == cheapest


def test_a_hundred_places_on_a_line_are_walked_from_one_end_to_the_other() -> None:
    at = np.random.default_rng(1).permutation(100)
    path = short_path(np.abs(at[:, None] - at[None, :]), range(100))
    assert length(path, np.abs(at[:, None] - at[None, :])) == 99


def test_150_random_places_in_a_square_are_within_8_percent_of_the_shortest_tour_that_theory_expects() -> None:
    at = np.random.default_rng(2).random((150, 2)) * 10_000
    costs = np.hypot(*(at[:, None] - at[None, :]).transpose(2, 0, 1)).round().astype(np.int64)
    expected = 0.7124 * np.sqrt(150 * 10_000**2) * (1 + 0.33 / 150)  # Johnson & McGeoch 1996, for closed tours
    assert length(short_path(costs, range(150)), costs) < 1.08 * expected


@settings(deadline=None, max_examples=25)
@given(size=st.integers(0, 25), seed=st.integers(0, 1000), begin=st.booleans(), largest=st.sampled_from([1, 3, 10**15]))
def test_every_place_comes_once_and_the_path_is_never_dearer_than_the_guess(
    size: int, seed: int, begin: bool, largest: int
) -> None:
    costs = symmetric(size, seed, largest)
    guess = np.random.default_rng(seed + 1).permutation(size).tolist()
    path = short_path(costs, guess, guess[0] if begin and size else None)
    assert sorted(path) == list(range(size))
    assert length(path, costs) <= length(guess, costs)
    if begin and size:
        assert path[0] == guess[0]


def test_the_same_costs_give_the_same_path() -> None:
    costs = symmetric(60, 5, 4)  # many paths are equally cheap
    assert short_path(costs, range(60)) == short_path(costs.copy(), list(range(60)))

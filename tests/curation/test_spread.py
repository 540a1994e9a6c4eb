"""`curation.spread`: measures of spread against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from buscomp.curation.spread import (
    coverage,
    equal_counts,
    frechet_distance,
    frechet_distances,
    joint_components,
    log_determinant,
    mean_pairwise_distance,
    spreads,
    vendi_score,
)


def cloud(count: int, scale: float = 1.0, seed: int = 0, dimensions: int = 5) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((count, dimensions))


def test_sets_share_their_axes_so_a_shift_between_them_is_seen() -> None:
    first = cloud(50, 0.1)
    found = joint_components({"a": first, "b": first + np.array([0, 0, 7, 0, 0])})
    assert found.places["b"].mean(axis=0) - found.places["a"].mean(axis=0) == pytest.approx([7, 0], abs=0.1)
    assert found.shares[0] > 0.99


def test_places_do_not_depend_on_the_order_of_the_sets() -> None:
    sets = {"a": cloud(20), "b": cloud(30, 2, seed=1)}
    turned = joint_components(dict(reversed(sets.items()))).places
    for name, places in joint_components(sets).places.items():
        assert turned[name] == pytest.approx(places, abs=1e-9)


def test_one_dimension_or_equal_points_still_have_places() -> None:
    assert joint_components({"a": np.array([[1.0], [3.0]])}).places["a"] == pytest.approx(np.array([[-1, 0], [1, 0]]))
    assert joint_components({"a": np.ones((3, 4))}).shares == (0, 0)


@pytest.mark.parametrize("bad", [np.ones(3), np.array([[np.nan, 1.0]])])
def test_vectors_that_are_none_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="vectors of a must be finite"):
        joint_components({"a": bad})


def test_twice_as_wide_in_two_dimensions_is_four_times_the_area_squared() -> None:
    points = cloud(100, dimensions=2)
    assert log_determinant(2 * points) - log_determinant(points) == pytest.approx(np.log(16))
    assert log_determinant(np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])) == pytest.approx(2 * np.log(4 / 3))


def test_a_line_and_too_few_points_have_no_area() -> None:
    assert log_determinant(np.outer(np.arange(9.0), [1, 2])) == -np.inf
    assert log_determinant(np.eye(2)) == -np.inf


def test_mean_distance_of_a_3_4_5_triangle_is_4() -> None:
    assert mean_pairwise_distance(np.array([[0.0, 0], [3, 0], [0, 4]])) == 4
    assert mean_pairwise_distance(np.array([[1.0, 0], [-1, 0]]), "cosine") == 2
    assert mean_pairwise_distance(np.array([[1.0, 0], [0, 0]]), "cosine") == 1
    assert mean_pairwise_distance(np.ones((1, 2))) == 0


def test_a_set_covers_itself_and_half_of_twice_as_much() -> None:
    near, far = cloud(40), cloud(40, seed=1) + 100
    assert coverage(near, near) == 1
    assert coverage(near, far) == 0
    assert coverage(np.concatenate([near, far]), near) == pytest.approx(0.5)


def test_coverage_needs_something_to_cover() -> None:
    with pytest.raises(ValueError, match="got 1 and 3"):
        coverage(cloud(1), cloud(3))


def test_frechet_distance_of_two_gaussians_is_the_closed_form_and_bears_the_embeddings_name() -> None:
    first = np.array([[-1.0], [1.0]])  # variance 2
    second = 3 * first + 5  # variance 18
    found = frechet_distance(first, second, "mert-layer12")
    assert found.distance == pytest.approx(25 + 2 + 18 - 2 * 6)
    assert (found.name, found.counts) == ("frechet-mert-layer12", (2, 2))


@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 1000))
def test_frechet_distance_is_symmetric_and_0_to_itself_even_of_few_items(
    count: int, dimensions: int, seed: int
) -> None:
    a, b = cloud(count, seed=seed, dimensions=dimensions), cloud(count + 1, 2, seed + 1, dimensions)
    assert frechet_distance(a, a, "x").distance == pytest.approx(0, abs=1e-5)
    assert frechet_distance(a, b, "x").distance == pytest.approx(frechet_distance(b, a, "x").distance, rel=1e-6)


@pytest.mark.parametrize("counts", [(6, 9), (60, 9), (60, 80)])
def test_frechet_distance_is_what_the_square_root_of_the_product_of_the_covariances_gives(
    counts: tuple[int, int],
) -> None:
    a, b = cloud(counts[0], 1, 0, 20) @ cloud(20, 1, 2, 20), cloud(counts[1], 2, 1, 20) + 0.5
    first, second = np.cov(a.T), np.cov(b.T)
    root = sqrtm(first @ second + 1e-9 * np.eye(20)).real
    expected = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + np.trace(first + second - 2 * root)
    assert frechet_distance(a, b, "x").distance == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("items", [1, 4, 9])
def test_as_many_orthogonal_items_are_worth_as_many(items: int) -> None:
    assert vendi_score(np.eye(items)) == pytest.approx(items)


def test_copies_of_one_item_are_worth_one_at_any_level() -> None:
    copies = np.outer([1.0, 2.0, 0.5], np.array([0.3, -1.0, 2.0]))
    assert vendi_score(copies) == pytest.approx(1)
    assert mean_pairwise_distance(copies, "cosine") == pytest.approx(0, abs=1e-12)


def test_equal_counts_draw_without_replacement_and_the_same_again() -> None:
    sets = {"few": cloud(5), "many": cloud(50)}
    first, second = list(equal_counts(sets, draws=2, seed=3))
    assert {name: len(vectors) for name, vectors in first.items()} == {"few": 5, "many": 5}
    assert len(np.unique(first["many"], axis=0)) == 5
    assert not np.array_equal(first["many"], second["many"])
    assert np.array_equal(first["many"], next(equal_counts(sets, seed=3))["many"])
    assert len(list(equal_counts({"a": cloud(4), "b": cloud(4, seed=1)}))) == 1


def test_a_narrow_set_spreads_less_on_every_measure() -> None:
    songs, noise = spreads({"songs": cloud(40), "noise": cloud(40, 0.1, 1) + 2}, "musicnn", "songs")
    assert (songs.embedding, songs.count, songs.coverage) == ("musicnn", 40, None)
    assert songs.log_determinant > noise.log_determinant
    assert songs.mean_distance > 5 * noise.mean_distance
    assert songs.mean_cosine_distance > noise.mean_cosine_distance
    assert songs.vendi_score > noise.vendi_score
    assert noise.coverage is not None
    assert noise.coverage < 0.5


def test_a_set_ten_times_as_large_seems_no_wider_and_two_items_are_not_measured() -> None:
    sets = {"songs": cloud(300), "noise": cloud(60, seed=1), "few": cloud(2, 50, 2)}
    songs, noise = spreads(sets, "musicnn", "songs")
    assert (songs.items, songs.count, noise.items, noise.count) == (300, 60, 60, 60)
    assert songs.log_determinant == pytest.approx(noise.log_determinant, abs=0.8)
    assert songs.mean_distance == pytest.approx(noise.mean_distance, rel=0.2)
    assert songs.vendi_score == pytest.approx(noise.vendi_score, rel=0.2)
    assert spreads({"few": cloud(2)}, "musicnn") == []


def test_every_set_lies_as_far_from_the_songs_as_equal_counts_say_and_the_songs_from_themselves() -> None:
    sets = {"songs": cloud(200), "like": cloud(20, seed=1), "shifted": cloud(50, seed=2) + 3, "few": cloud(2)}
    found = frechet_distances(sets, "musicnn", "songs")
    assert {(one.name, one.counts, one.draws) for one in found.values()} == {("frechet-musicnn", (20, 20), 20)}
    assert list(found) == ["like", "shifted", "songs"]
    assert found["songs"].distance == pytest.approx(found["like"].distance, abs=0.5)  # both are the bias of 20 items
    assert found["shifted"].distance == pytest.approx(45 + found["songs"].distance, rel=0.2)
    assert "songs" not in frechet_distances({"songs": cloud(30), "like": cloud(20)}, "musicnn", "songs")
    assert frechet_distances({"songs": cloud(30)}, "musicnn", "songs") == {}

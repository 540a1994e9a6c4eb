"""`annotation.diversity`: measures of spread against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.annotation.diversity import (
    coverage,
    equal_counts,
    frechet_distance,
    joint_components,
    log_determinant,
    mean_pairwise_distance,
    spreads,
)
from buscomp.annotation.reference_inputs import KINDS, SAMPLE_RATE, reference_inputs, string


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


def test_equal_counts_draw_without_replacement_and_the_same_again() -> None:
    sets = {"few": cloud(5), "many": cloud(50)}
    cut = equal_counts(sets, seed=3)
    assert {name: len(vectors) for name, vectors in cut.items()} == {"few": 5, "many": 5}
    assert len(np.unique(cut["many"], axis=0)) == 5
    assert np.array_equal(cut["many"], equal_counts(sets, seed=3)["many"])


def test_a_narrow_set_spreads_less_on_every_measure() -> None:
    songs, noise = spreads({"songs": cloud(40), "noise": cloud(40, 0.1, 1) + 2}, "musicnn", "songs")
    assert (songs.embedding, songs.count, songs.coverage) == ("musicnn", 40, None)
    assert songs.log_determinant > noise.log_determinant
    assert songs.mean_distance > 5 * noise.mean_distance
    assert songs.mean_cosine_distance > noise.mean_cosine_distance
    assert noise.coverage is not None
    assert noise.coverage < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_reference_inputs_peak_at_minus_12_dbfs_differ_and_are_the_same_again(kind: str) -> None:
    first = dict(reference_inputs(kind, 8, seconds=1.0))
    assert len(first) == 8
    for audio in first.values():
        assert audio.shape == (SAMPLE_RATE, 1)
        assert np.abs(audio).max() == pytest.approx(10 ** (-12 / 20), rel=1e-6)
    assert len({audio.tobytes() for audio in first.values()}) == 8
    again = dict(reference_inputs(kind, 8, seconds=1.0))
    assert all(np.array_equal(audio, again[name]) for name, audio in first.items())


def test_pink_noise_falls_3_db_an_octave() -> None:
    pink = dict(reference_inputs("noise", 2, seconds=20.0))["pink-1"][:, 0]
    power = np.abs(np.fft.rfft(pink)) ** 2
    hz = np.fft.rfftfreq(len(pink), 1 / SAMPLE_RATE)
    octaves = [10 * np.log10(power[(hz > low) & (hz < 2 * low)].mean()) for low in (250, 500, 1000, 2000, 4000)]
    assert np.diff(octaves) == pytest.approx([-3.01] * 4, abs=0.3)


@pytest.mark.parametrize("hz", [41.2, 110.0, 220.0, 440.0])
def test_a_string_sounds_at_its_pitch_within_1_percent_and_dies_away(hz: float) -> None:
    sound = string(hz, 2 * SAMPLE_RATE, 0.996, np.random.default_rng(0))
    heard = np.fft.irfft(np.abs(np.fft.rfft(sound, 4 * len(sound))) ** 2)
    period = round(SAMPLE_RATE / hz)
    near = np.arange(round(0.9 * period), round(1.1 * period))
    assert SAMPLE_RATE / near[heard[near].argmax()] == pytest.approx(hz, rel=0.01)
    assert np.abs(sound[-4410:]).max() < 0.8 * np.abs(sound[:4410]).max()


def test_another_kind_of_input_is_refused() -> None:
    with pytest.raises(ValueError, match="noise, tones, plucked, got speech"):
        next(reference_inputs("speech", 1))

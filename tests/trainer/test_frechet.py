"""The Frechet distance of Gaussians whose distance is known, and what an embedding may be called."""

import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.curation import spread
from buscomp.manifests.errors import UsageError
from buscomp.trainer.frechet import Embedding, Gaussian, embedding_of, frechet_distance


def gaussian_of(*parts):
    gaussian = Gaussian()
    for part in parts:
        gaussian.add(part)
    return gaussian


def test_two_clouds_that_lie_3_and_4_apart_have_a_distance_of_25():
    cloud = np.random.default_rng(1).standard_normal((500, 2))
    assert frechet_distance(gaussian_of(cloud), gaussian_of(np.add(cloud, [3, 4]))) == pytest.approx(25, abs=1e-9)


def test_twice_the_size_costs_the_trace_of_what_it_grew_by():
    """For commuting covariances: the sum of squared differences of standard deviations."""
    cloud = np.random.default_rng(1).standard_normal((500, 3))
    cloud -= cloud.mean(axis=0)
    expected = np.trace(np.cov(cloud.T))  # (2 s - s)^2
    assert frechet_distance(gaussian_of(2 * cloud), gaussian_of(cloud)) == pytest.approx(expected, rel=1e-9)


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**16))
@settings(max_examples=25)
def test_pieces_give_what_the_whole_gives_and_what_the_reports_formula_gives(items, dimensions, seed):
    random = np.random.default_rng(seed)
    first, second = random.standard_normal((items, dimensions)), 2 * random.random((items + 3, dimensions))
    cut = seed % items
    in_pieces = gaussian_of(first[:cut], first[cut:])
    np.testing.assert_allclose(in_pieces.covariance, np.atleast_2d(np.cov(first.T)), atol=1e-12)
    found = frechet_distance(in_pieces, gaussian_of(second))
    assert found == pytest.approx(spread.frechet_distance(first, second, "test").distance, abs=1e-6)


def test_fewer_than_two_vectors_have_no_distance_and_a_hole_in_one_is_refused():
    assert frechet_distance(gaussian_of(np.ones((1, 2))), gaussian_of(np.ones((5, 2)))) is None
    with pytest.raises(ValueError, match="finite"):
        gaussian_of(np.array([[1.0, np.nan]]))


def test_an_embedding_is_known_or_a_function_named_with_its_module(monkeypatch):
    module = types.ModuleType("my_embedding")
    module.embed = lambda audio, sample_rate: audio[:1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_embedding", module)
    assert embedding_of("my_embedding:embed").name == "my_embedding:embed"
    known = Embedding("mine 1", lambda audio, sample_rate: audio)
    assert embedding_of("mine", lambda name: known if name == "mine" else None) is known
    for name, message in (("mine", "musicnn"), ("my_embedding:other", "cannot be loaded"), ("no_such:f", "no_such")):
        with pytest.raises(UsageError, match=message):
            embedding_of(name)

"""Diversity is measured in embeddings that annotation left, and only in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.curation.diversity import embeddings, mean_cosine_distance, project, vendi_score
from buscomp.curation.report import gather
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.tables import write_table


@pytest.mark.parametrize("songs", [1, 4, 9])
def test_as_many_orthogonal_songs_are_worth_as_many(songs: int) -> None:
    assert vendi_score(np.eye(songs)) == pytest.approx(songs)


def test_copies_of_one_song_are_worth_one_at_any_level() -> None:
    song = np.array([0.3, -1.0, 2.0])
    copies = np.outer([1.0, 2.0, 0.5], song)
    assert vendi_score(copies) == pytest.approx(1)
    assert mean_cosine_distance(copies) == pytest.approx(0, abs=1e-12)


def test_two_opposite_songs_are_at_distance_2() -> None:
    assert mean_cosine_distance(np.array([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(2)


@given(st.integers(3, 20), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_components_are_those_of_the_covariance(songs: int, dimensions: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((songs, dimensions))
    places, shares = project(vectors)
    values = np.sort(np.linalg.eigvalsh(np.atleast_2d(np.cov(vectors.T))))[::-1]
    expected = (values / values.sum())[:2]
    assert shares[: len(expected)] == pytest.approx(expected, abs=1e-9)
    assert places.var(axis=0, ddof=1)[: len(expected)] == pytest.approx(values[:2], abs=1e-9)


def test_equal_songs_lie_on_one_place() -> None:
    places, shares = project(np.ones((4, 5)))
    assert np.abs(places).max() < 1e-9
    assert shares.tolist() == [0, 0]


def rows_of(*vectors: tuple[str, list[float] | None, str]) -> pd.DataFrame:
    return pd.DataFrame(vectors, columns=["song_id", "embedding", "embedding_backend"])


def test_segments_of_a_song_are_averaged_and_embeddings_are_kept_apart() -> None:
    segments = rows_of(
        *(("a", [0.0, 1.0], "mert"), ("a", [2.0, 3.0], "mert"), ("b", [5.0, 5.0], "mert"), ("c", [7.0, 0.0], "mert")),
        *((song, [float(place)], "other") for place, song in enumerate("abc")),
    )
    found = {name: (songs, vectors.tolist()) for name, songs, vectors in embeddings(segments)}
    assert found["mert"] == (["a", "b", "c"], [[1.0, 2.0], [5.0, 5.0], [7.0, 0.0]])
    assert found["other"] == (["a", "b", "c"], [[0.0], [1.0], [2.0]])


def test_vectors_of_another_length_or_with_infinities_are_left_out() -> None:
    good = [(song, [1.0, 2.0], "m") for song in "abc"]
    bad: list[Any] = [("d", [1.0], "m"), ("e", [np.inf, 0.0], "m"), ("f", [np.nan, 0.0], "m"), ("g", None, "m")]
    ((_, songs, _),) = embeddings(rows_of(*good, *bad))
    assert songs == ["a", "b", "c"]


def test_an_embedding_of_songs_and_of_their_segments_is_one() -> None:
    songs = rows_of(("a", [1.0], "m"), ("b", [2.0], "m"), ("c", [4.0], "m"))
    segments = rows_of(*[(song_id, [9.0], name) for song_id in "abc" for name in ("m", "n")])
    found = [(name, vectors[0, 0]) for name, _, vectors in embeddings(songs, segments)]
    assert found == [("m", 1.0), ("n", 9.0)]


def test_two_songs_are_no_scatter() -> None:
    assert list(embeddings(rows_of(("a", [1.0], "m"), ("b", [2.0], "m")))) == []


def test_the_report_draws_an_embedding_that_is_there_and_else_says_that_there_is_none(dataset: Dataset) -> None:
    none = "No embedding of 3 songs or more is in the annotations, so diversity by embedding is not drawn."
    assert none in gather(dataset)["missing"]
    rows = [
        {"song_id": song["song_id"], "dry_sha256": song["dry_sha256"], "embedding_backend": "musicnn / ../x"}
        | {"embedding": [float(place), 1.0, float(place**2)]}
        for place, song in enumerate(dataset.rows("songs"))
    ]
    write_table(dataset.table_path("annotations"), "annotations", rows)
    content = gather(Dataset(dataset.root))
    figure = content["figures"]["diversity_1"]  # the name of an embedding is no name for a file
    assert none not in content["missing"]
    assert list(figure.data["song_id"]) == ["song-0", "song-1", "song-2"]
    assert "3 songs in musicnn / ../x (3 dimensions): mean cosine distance " in figure.caption
    assert figure.data["pc1"].sum() == pytest.approx(0, abs=1e-6)

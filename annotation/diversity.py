"""How widely a set of songs spreads in an embedding, beside other sets: figure 4 of the Solid State Bus-Comp paper.

    joint_components   two principal components, fitted once on the union of all sets
    spreads            the measures of every set: log determinant, mean distances, coverage
    coverage           the share of one set that another reaches
    frechet_distance   between two sets, always with the embedding's name

Vectors are `(items, dimensions)`. Figures of two fits, two embeddings or two counts do not compare: eight test tones
out-spread 43 songs on every measure of area, and the Frechet distance of two halves of one set falls from 22 to 3.4 as
the halves grow from 50 to 400. So every result carries its counts and the name of its embedding, and `equal_counts`
cuts sets to one size before they are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float64]  # (items, dimensions)


@dataclass(frozen=True)
class Components:
    """Every set on the same two axes. `places`: (items, 2) by set; `shares`: of the variance of the union, by axis."""

    places: Mapping[str, Vectors]
    shares: tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """How far the items of one set lie apart, in the embedding `embedding`. `log_determinant`: natural logarithm of
    the determinant of the covariance on the two joint components, -inf on a line; `mean_distance`: Euclidean, of all
    pairs, in all dimensions; `mean_cosine_distance`: 1 - cosine of all pairs, 0 alike, 2 opposite; `coverage`: of the
    set it was compared with, None for that set itself."""

    name: str
    embedding: str
    count: int
    log_determinant: float
    mean_distance: float
    mean_cosine_distance: float
    coverage: float | None


@dataclass(frozen=True)
class Frechet:
    """A Frechet distance; `name` says of which embedding: frechet-mert-layer12. It is biased by the counts: compare
    only what has the same."""

    name: str
    distance: float
    counts: tuple[int, int]


def joint_components(sets: Mapping[str, Vectors]) -> Components:
    """Principal components of the union of `sets`, centred on its mean and not scaled. Signs are fixed: the entry of
    largest size in each axis is positive. `ValueError` for no sets, unequal dimensions or values that are not finite.
    """
    union = np.concatenate([checked(name, vectors) for name, vectors in sets.items()])
    mean = union.mean(axis=0)
    _, sizes, axes = np.linalg.svd(union - mean, full_matrices=False)
    axes = np.vstack([axes[:2], np.zeros((max(0, 2 - len(axes)), union.shape[1]))])
    axes *= np.where(axes[np.arange(2), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[:, None]
    power = np.pad(sizes**2, (0, 2))
    shares = power[:2] / power.sum() if power.sum() > 0 else np.zeros(2)
    places = {name: (np.asarray(vectors, float) - mean) @ axes.T for name, vectors in sets.items()}
    return Components(places, (float(shares[0]), float(shares[1])))


def log_determinant(points: Vectors) -> float:
    """Natural logarithm of the determinant of the sample covariance of `points`; -inf where they fill no volume:
    fewer than dimensions + 1 of them, or all in one plane."""
    if len(points) <= points.shape[1]:
        return -np.inf
    covariance = np.atleast_2d(np.cov(points.T))
    if np.linalg.matrix_rank(covariance, hermitian=True) < len(covariance):
        return -np.inf
    return float(np.linalg.slogdet(covariance)[1])


def mean_pairwise_distance(vectors: Vectors, metric: str = "euclidean") -> float:
    """Mean over all pairs, `metric` being one of scipy's; 0 for fewer than two. A vector of zeros has the cosine
    distance 1 from every other."""
    from scipy.spatial.distance import pdist

    if len(vectors) < 2:
        return 0.0
    with np.errstate(invalid="ignore"):
        distances = pdist(np.asarray(vectors, float), metric)
    return float(np.mean(np.where(np.isnan(distances), 1.0, distances)))


def coverage(reference: Vectors, vectors: Vectors, neighbours: int = 5) -> float:
    """Share of `reference` that has at least one of `vectors` nearer than its own k-th neighbour in `reference`, 0 to 1
    (M. F. Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020).

    With few reference items k is one less than their number; `ValueError` for fewer than two, or no vectors."""
    from scipy.spatial import cKDTree

    if len(reference) < 2 or len(vectors) < 1:
        raise ValueError(f"coverage needs 2 reference items and 1 other, got {len(reference)} and {len(vectors)}")
    k = min(neighbours, len(reference) - 1)
    radius = cKDTree(reference).query(reference, k=[k + 1])[0][:, 0]  # the nearest of all is the item itself
    nearest = cKDTree(vectors).query(reference)[0]
    return float(np.mean(nearest <= radius))


def frechet_distance(first: Vectors, second: Vectors, embedding: str) -> Frechet:
    """Frechet distance of the Gaussians through `first` and `second`, squared as is usual (D. Dowson and B. Landau,
    1982; K. Kilgour et al., "Frechet audio distance", Interspeech 2019).

    Trace term by the eigenvalues of the product of the covariances, negative ones, which are rounding, held at 0.
    `ValueError` for fewer than two items in a set."""
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a Frechet distance needs 2 items in each set, got {len(first)} and {len(second)}")
    a, b = checked("first", first), checked("second", second)
    covariances = [np.atleast_2d(np.cov(each.T)) for each in (a, b)]
    values = np.linalg.eigvals(covariances[0] @ covariances[1]).real
    traces = sum(np.trace(covariance) for covariance in covariances)
    distance = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + traces - 2 * np.sum(np.sqrt(np.maximum(values, 0)))
    return Frechet(f"frechet-{embedding}", float(max(0.0, distance)), (len(a), len(b)))


def equal_counts(sets: Mapping[str, Vectors], seed: int = 0) -> dict[str, Vectors]:
    """`sets` cut to the size of the smallest, by a draw without replacement that `seed` repeats."""
    count = min(len(vectors) for vectors in sets.values())
    draw = np.random.default_rng(seed)
    return {name: vectors[np.sort(draw.permutation(len(vectors))[:count])] for name, vectors in sets.items()}


def spreads(sets: Mapping[str, Vectors], embedding: str, compared_with: str | None = None) -> list[Spread]:
    """The measures of every set, on components fitted to all of them. `compared_with`: the set whose coverage by each
    other is told; None tells none."""
    places = joint_components(sets).places

    def covers(name: str) -> float | None:
        return None if compared_with is None or name == compared_with else coverage(sets[compared_with], sets[name])

    return [
        Spread(
            name,
            embedding,
            len(vectors),
            log_determinant(places[name]),
            mean_pairwise_distance(vectors),
            mean_pairwise_distance(vectors, "cosine"),
            covers(name),
        )
        for name, vectors in sets.items()
    ]


def checked(name: str, vectors: Vectors) -> Vectors:
    """`vectors` as numbers; `ValueError` if they are not (items, dimensions) or not finite."""
    array = np.asarray(vectors, float)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"the vectors of {name} must be finite and (items, dimensions), got {array.shape}")
    return array

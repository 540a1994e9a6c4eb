"""How widely sets of items spread in an embedding, and how far they lie apart: figure 4 of "Solid State Bus-Comp".

    joint_components   two principal components, fitted once on the union of all sets
    spreads            the measures of every set, on equally many items
    coverage           the share of one set that another reaches
    frechet_distance   between two sets, always with the embedding's name

Vectors are `(items, dimensions)`. Figures of two fits, two embeddings or two counts do not compare: eight test tones
out-spread 43 songs on every measure of area, and the Frechet distance of two halves of one set falls from 22 to 3.4 as
the halves grow from 50 to 400. So every result carries its count and the name of its embedding, and sets are cut to one
size before they are compared, several times at random, of which the mean is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float64]  # (items, dimensions)
DRAWS = 20
FEWEST = 3  # two items always lie on a line


@dataclass(frozen=True)
class Components:
    """Every set on the same two axes. `places`: (items, 2) by set; `shares`: of the variance of the union, by axis."""

    places: Mapping[str, Vectors]
    shares: tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """How far the items of one set lie apart in `embedding`: means over draws of `count` of its `items`.

    `log_determinant`: natural logarithm of the determinant of the covariance on the two joint components, -inf on a
    line; `mean_distance`: Euclidean, of all pairs, in all dimensions; `mean_cosine_distance`: 1 - cosine of all pairs,
    0 alike, 2 opposite; `vendi_score`: how many items of equal difference it is worth; `coverage`: of the set it was
    compared with, None for that set itself."""

    embedding: str
    name: str
    items: int
    count: int
    log_determinant: float
    mean_distance: float
    mean_cosine_distance: float
    vendi_score: float
    coverage: float | None


@dataclass(frozen=True)
class Frechet:
    """A Frechet distance; `name` says of which embedding: frechet-mert-layer12. It is biased by the counts: compare
    only what has the same. `draws`: how many random cuts it is the mean of, 1 for the sets as they are."""

    name: str
    distance: float
    counts: tuple[int, int]
    draws: int = 1


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


def vendi_score(vectors: Vectors) -> float:
    """How many items of equal difference this set is worth: exp of the entropy of the eigenvalues of the cosine
    similarity over n. 1: all alike; n: all orthogonal (D. Friedman and A. Dieng, "The Vendi score", TMLR 2023)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    values = np.linalg.eigvalsh(unit @ unit.T / len(unit))
    values = values[values > 1e-12]
    return float(np.exp(-np.sum(values * np.log(values))))


def frechet_distance(first: Vectors, second: Vectors, embedding: str) -> Frechet:
    """Frechet distance of the Gaussians through `first` and `second`, squared as is usual (D. Dowson and B. Landau,
    "The Frechet distance between multivariate normal distributions", 1982; K. Kilgour et al., "Frechet audio distance",
    Interspeech 2019).

    With A and B the centred vectors over the root of their number less one, the covariances are A'A and B'B, and the
    root of their product has the trace of the singular values of AB': exact also where there are fewer items than
    dimensions, and never negative. `ValueError` for fewer than two items in a set."""
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a Frechet distance needs 2 items in each set, got {len(first)} and {len(second)}")
    a, b = checked("first", first), checked("second", second)
    roots = [_root(vectors) for vectors in (a, b)]
    spread = sum(float(np.sum(root**2)) for root in roots)
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    distance = float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)) + spread - 2 * shared
    return Frechet(f"frechet-{embedding}", max(0.0, distance), (len(a), len(b)))


def _root(vectors: Vectors) -> Vectors:
    """A matrix R with R'R the covariance of `vectors`, with no more rows than dimensions."""
    centred: Vectors = (vectors - vectors.mean(axis=0)) / np.sqrt(len(vectors) - 1)
    if len(centred) <= centred.shape[1]:
        return centred
    root: Vectors = np.linalg.qr(centred)[1]
    return root


def equal_counts(sets: Mapping[str, Vectors], draws: int = DRAWS, seed: int = 0) -> Iterator[dict[str, Vectors]]:
    """`draws` times: `sets` cut to the size of the smallest, drawn without replacement, the same again for one `seed`.
    Once, where nothing is to be cut."""
    sizes = {len(vectors) for vectors in sets.values()}
    draw = np.random.default_rng(seed)
    for _ in range(draws if len(sizes) > 1 else 1):
        yield {name: vectors[np.sort(draw.permutation(len(vectors))[: min(sizes)])] for name, vectors in sets.items()}


def measurable(sets: Mapping[str, Vectors]) -> dict[str, Vectors]:
    """Those of `sets` that hold items enough to be measured."""
    return {name: vectors for name, vectors in sets.items() if len(vectors) >= FEWEST}


def spreads(sets: Mapping[str, Vectors], embedding: str, compared_with: str | None = None) -> list[Spread]:
    """The measures of every set of three items or more, on components fitted to all of `sets`, on equally many items.
    `compared_with`: the set whose coverage by each other is told; None tells none."""
    wide = measurable(sets)
    if not wide:
        return []
    places = joint_components(sets).places
    # the components stand behind the other dimensions, so that one draw cuts both
    joined = {name: np.hstack([vectors, places[name]]) for name, vectors in wide.items()}
    draws = [{name: (cut[:, :-2], cut[:, -2:]) for name, cut in each.items()} for each in equal_counts(joined)]

    def covered(name: str) -> float | None:
        if compared_with is None or name == compared_with or compared_with not in wide:
            return None
        return float(np.mean([coverage(each[compared_with][0], each[name][0]) for each in draws]))

    return [
        Spread(
            embedding,
            name,
            len(vectors),
            len(draws[0][name][0]),
            float(np.mean([log_determinant(each[name][1]) for each in draws])),
            float(np.mean([mean_pairwise_distance(each[name][0]) for each in draws])),
            float(np.mean([mean_pairwise_distance(each[name][0], "cosine") for each in draws])),
            float(np.mean([vendi_score(each[name][0]) for each in draws])),
            covered(name),
        )
        for name, vectors in wide.items()
    ]


def frechet_distances(sets: Mapping[str, Vectors], embedding: str, compared_with: str) -> dict[str, Frechet]:
    """The distance of every other set of three items or more from `compared_with`, all on equally many items: means
    over draws. Where that set is large enough, it stands there under its own name, too: its distance between two
    disjoint draws of its own, which is what the count alone makes of no difference at all."""
    wide = measurable(sets)
    if compared_with not in wide:
        return {}
    ours, found = wide[compared_with], dict[str, list[float]]()
    count = min(len(vectors) for vectors in wide.values())
    name, draws = f"frechet-{embedding}", list(equal_counts(wide))
    for each in draws:
        for other in wide:
            if other != compared_with:
                found.setdefault(other, []).append(
                    frechet_distance(each[compared_with], each[other], embedding).distance
                )
    if found and len(ours) >= 2 * count:
        shuffled = [ours[np.random.default_rng(seed).permutation(len(ours))] for seed in range(DRAWS)]
        found[compared_with] = [
            frechet_distance(each[:count], each[count : 2 * count], embedding).distance for each in shuffled
        ]
    return {
        other: Frechet(name, float(np.mean(distances)), (count, count), len(distances))
        for other, distances in found.items()
    }


def checked(name: str, vectors: Vectors) -> Vectors:
    """`vectors` as numbers; `ValueError` if they are not (items, dimensions) or not finite."""
    array = np.asarray(vectors, float)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"the vectors of {name} must be finite and (items, dimensions), got {array.shape}")
    return array

"""The Frechet distance between what came out and what should have, in any embedding.

An embedding is a function from audio (frames, channels) and its sample rate to vectors (items, dimensions), with a
name that stands beside every figure: figures of two embeddings do not compare, nor do those of two counts, because the
distance falls as the counts grow. Nothing is kept but mean and covariance.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..manifests.errors import UsageError
from ..manifests.pcm import Float32

Vectors = npt.NDArray[np.floating]  # (items, dimensions)


@dataclass(frozen=True)
class Embedding:
    """`embed(audio, sample_rate)` gives vectors (items, dimensions); none where there is nothing to hear."""

    name: str
    embed: Callable[[Float32, int], Vectors]


class Gaussian:
    """Count, mean and covariance of the vectors that were added (T. Chan et al., 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: npt.NDArray[np.float64] = np.zeros(0)
        self._scatter: npt.NDArray[np.float64] = np.zeros((0, 0))

    def add(self, vectors: Vectors) -> None:
        """`vectors` (items, dimensions); `ValueError` unless they are finite and of one dimension."""
        if not len(vectors):
            return
        array = np.asarray(vectors, np.float64)
        if array.ndim != 2 or not np.isfinite(array).all():
            raise ValueError(f"an embedding must be finite and (items, dimensions), got {array.shape}")
        mean = array.mean(axis=0)
        scatter = (array - mean).T @ (array - mean)
        if self.count:
            step = mean - self._mean  # numpy refuses vectors of another dimension
            scatter += np.outer(step, step) * (self.count * len(array) / (self.count + len(array)))
            mean = self._mean + step * (len(array) / (self.count + len(array)))
            scatter += self._scatter
        self.count, self._mean, self._scatter = self.count + len(array), mean, scatter

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        return self._mean

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        return self._scatter / max(self.count - 1, 1)


def frechet_distance(first: Gaussian, second: Gaussian) -> float | None:
    """Squared, as is usual (D. Dowson and B. Landau, 1982; K. Kilgour et al., "Frechet audio distance", 2019). None for
    fewer than two vectors on either side.

    The trace of the square root of the product of two covariances A and B is that of the symmetric sqrt(A) B sqrt(A),
    whose eigenvalues are real; negative ones are rounding, and held at 0."""
    if min(first.count, second.count) < 2:
        return None
    values, axes = np.linalg.eigh(first.covariance)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    product = np.linalg.eigvalsh(root @ second.covariance @ root)
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    apart = np.sum((first.mean - second.mean) ** 2)
    return float(max(0.0, apart + traces - 2 * np.sum(np.sqrt(np.maximum(product, 0)))))


def embedding_of(name: str, known: Callable[[str], Embedding | None] = lambda name: None) -> Embedding:
    """The embedding `name`: one that is `known`, or a function of yours, as `module:function`."""
    if found := known(name):
        return found
    module, _, function = name.partition(":")
    if not function:
        raise UsageError("no such embedding", got=name, allowed="musicnn, or a function of yours as module:function")
    try:
        embed = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the embedding {name} cannot be loaded ({error})") from error
    return Embedding(name, embed)

"""How different the songs are from each other, in an embedding that annotation left behind.

An embedding stands in `annotations.parquet` or, several per song, in `segments.parquet`, as a column `embedding` (a
list of numbers), with `embedding_backend` beside it. Segments are averaged per song.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .drawing import HALF_IN, Figure
from .music import by_side
from .wording import count, figures3, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Vectors = npt.NDArray[np.float64]  # (songs, dimensions)
COLUMN, BACKEND = "embedding", "embedding_backend"


def embeddings(*tables: pd.DataFrame) -> Iterator[tuple[str, list[str], Vectors]]:
    """For every embedding in `tables`: its name, song ids, and one vector per song. Vectors that do not fit the
    others of their name, and those with infinities, are left out. A name is taken from the first table that has it: a
    song's own vector and the mean of its segments are one embedding."""
    seen: set[str] = set()
    for table in tables:
        if COLUMN not in table.columns:
            continue
        names = table[BACKEND].fillna("embedding") if BACKEND in table.columns else pd.Series("embedding", table.index)
        for name, those in table.assign(name=names).dropna(subset=COLUMN).groupby("name"):
            width = int(those[COLUMN].map(len).mode().iloc[0])
            fits = those[COLUMN].map(lambda vector, width=width: len(vector) == width and np.isfinite(vector).all())
            per_song = those[fits].groupby("song_id")[COLUMN].agg(lambda vectors: np.mean(np.stack(vectors), axis=0))
            if len(per_song) >= 3 and name not in seen:  # fewer always lie on a line
                seen.add(name)
                yield str(name), list(per_song.index), np.stack(per_song.to_list()).astype(float)


def project(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """The two principal components of every song `(songs, 2)`, and the share of the variance that each explains."""
    centred = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(vectors), 2))
    shares = np.zeros(2)
    kept = min(2, len(sizes))
    places[:, :kept] = left[:, :kept] * sizes[:kept]
    if (total := float(np.sum(sizes**2))) > 0:
        shares[:kept] = sizes[:kept] ** 2 / total
    return places, shares


def vendi_score(vectors: Vectors) -> float:
    """How many songs of equal difference this set is worth: exp of the entropy of the eigenvalues of the cosine
    similarity over n. 1: all alike; n: all orthogonal. (Friedman and Dieng, 2023)"""
    values = np.linalg.eigvalsh(_cosines(vectors) / len(vectors))
    values = values[values > 1e-12]
    return float(np.exp(-np.sum(values * np.log(values))))


def mean_cosine_distance(vectors: Vectors) -> float:
    """Mean of 1 - cosine over all pairs of songs."""
    upper = np.triu_indices(len(vectors), 1)
    return float(np.mean(1 - _cosines(vectors)[upper]))


def _cosines(vectors: Vectors) -> Any:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    return unit @ unit.T


def diversity(
    place: int, name: str, song_ids: list[str], vectors: Vectors, music: pd.DataFrame, sides: pd.Series
) -> Figure:
    """Songs on the two principal components of the embedding `name`, by side of the split. `place`: 1, 2, ... among
    the embeddings; a name out of a table is no name for a file."""
    places, shares = project(vectors)
    data = pd.DataFrame({"song_id": song_ids, "pc1": places[:, 0], "pc2": places[:, 1]})
    data = data.merge(music[["song_id", "title"]], on="song_id")
    data["side"] = data["song_id"].map(sides).fillna("no side")

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        by_side(axes, data, data["pc1"], data["pc2"])
        axes.set_xlabel(f"component 1 ({100 * shares[0]:.0f} % of the variance)")
        axes.set_ylabel(f"component 2 ({100 * shares[1]:.0f} %)")

    told = (
        f"mean cosine distance {figures3(mean_cosine_distance(vectors))}, Vendi score {figures3(vendi_score(vectors))}"
    )
    caption = (
        f"{count(len(data), 'song')} in {name} ({vectors.shape[1]:,} dimensions): {told}. Components are fitted to "
        "these songs alone: places and figures compare with no other fit or number of songs. Area proves no diversity."
    )
    alt = f"Scatter of songs on two principal components that explain {number(100 * shares.sum())} % of {name}; {told}."
    return Figure(f"diversity_{place}", f"Diversity in {name}", caption, alt, (HALF_IN, 2.6), draw, data)

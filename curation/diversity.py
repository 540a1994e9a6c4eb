"""How different the songs are from each other, in an embedding that annotation left behind, and beside other datasets.

A song's embedding stands in `annotations.parquet` or, several per song, in `segments.parquet`, as a column `embedding`
(a list of numbers) with `embedding_backend` and `embedding_version` beside it; a song's segments are averaged by their
length. What other datasets play stands in `references.parquet`, by the name of its set. Only vectors of one backend in
one version are ever put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .drawing import COLOURS, HALF_IN, VECTORS_UP_TO, Figure, shortened
from .music import by_side
from .spread import FEWEST, Vectors, frechet_distances, joint_components, spreads
from .wording import clock, count, figures3, listed, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

SONGS = "songs"  # the name of the set that is this dataset's own
MAKER = ["embedding_backend", "embedding_version"]
MARKS = ("o", "^", "s", "D", "x", "v", "P")
PAINTS = tuple(COLOURS[place] for place in (0, 1, 2, 5, 4, 6, 3))
IN_A_ROW = 3  # of the legend
CAUTION = (
    "Places and figures compare with no other embedding, fit or count, and area alone proves no diversity: a few test "
    "tones can out-spread many songs."
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Embedding:
    """Songs and references in one embedding. `items`: a row per vector with set, item and duration_s, in the order of
    `vectors`; the songs come first."""

    name: str
    version: str
    items: pd.DataFrame
    vectors: Vectors

    @property
    def sets(self) -> dict[str, Vectors]:
        """The vectors by set."""
        return {name: self.vectors[(self.items["set"] == name).to_numpy()] for name in self.items["set"].unique()}


def embeddings(
    music: pd.DataFrame, annotations: pd.DataFrame, segments: pd.DataFrame, references: pd.DataFrame
) -> list[Embedding]:
    """Every embedding that three songs of `music` have, by name, with what `references` hold in the same one.

    A song's own vector goes before the mean of its segments. Left out: vectors of other audio than the song has now,
    those with infinities, and those of another length than most. `music`: accepted songs, as `statistics` makes them.
    """
    songs = pd.concat([_of_songs(music, annotations), _of_songs(music, segments)])
    rows = pd.concat([songs, _of_references(references)]).drop_duplicates([*MAKER, "set", "item"])
    found = []
    for (name, version), those in rows.groupby(MAKER):
        width = those["vector"].map(len).mode().iloc[0]
        fits = those[[len(vector) == width and bool(np.isfinite(vector).all()) for vector in those["vector"]]]
        if (fits["set"] == SONGS).sum() >= FEWEST:  # fewer always lie on a line
            items = fits[["set", "item", "duration_s"]].reset_index(drop=True)
            found.append(Embedding(str(name), str(version), items, np.stack(fits["vector"].to_list())))
    return found


def _of_songs(music: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A vector per song and backend, from rows of `annotations` or of `segments`."""
    now = music[["song_id", "dry_sha256", "duration_s"]].dropna(subset="dry_sha256")
    rows = table.dropna(subset=["embedding", MAKER[0]]).merge(now, on=["song_id", "dry_sha256"])
    rows["embedding_version"] = rows["embedding_version"].fillna("")
    seconds = rows["end_s"] - rows["start_s"] if "end_s" in rows else pd.Series(1.0, rows.index)
    means = []
    for (song_id, *maker), those in rows.assign(seconds=seconds).groupby(["song_id", *MAKER]):
        vectors = those["embedding"].to_list()
        if len({len(vector) for vector in vectors}) == 1:
            whole = np.average(np.asarray(vectors, float), axis=0, weights=those["seconds"].astype(float))
            means.append((SONGS, song_id, those["duration_s"].iloc[0], whole, *maker))
    return pd.DataFrame(means, columns=["set", "item", "duration_s", "vector", *MAKER])


def _of_references(references: pd.DataFrame) -> pd.DataFrame:
    rows = references.dropna(subset=["embedding", *MAKER]).rename(columns={"reference": "set"})
    vectors = [np.asarray(vector, float) for vector in rows["embedding"]]
    return rows.assign(vector=vectors)[["set", "item", "duration_s", "vector", *MAKER]]


def spread_rows(found: Sequence[Embedding]) -> list[Row]:
    """How widely each set spreads in each embedding, on equally many items of every set."""
    return [asdict(spread) for one in found for spread in spreads(one.sets, one.name, SONGS)]


def frechet_rows(found: Sequence[Embedding]) -> list[Row]:
    """How far each set lies from the songs in each embedding, on equally many items of every set."""
    return [
        {
            "name": frechet.name,
            "from": SONGS,
            "to": f"{SONGS}, another draw" if other == SONGS else other,
            "count": frechet.counts[0],
            "draws": frechet.draws,
            "distance": frechet.distance,
        }
        for one in found
        for other, frechet in frechet_distances(one.sets, one.name, SONGS).items()
    ]


def diversity(place: int, found: Embedding, music: pd.DataFrame, sides: pd.Series) -> Figure:
    """Songs, and what other datasets play, on two principal components that are fitted to all of them at once; where
    there are songs alone, by side of the split. `place`: 1, 2, ... among the embeddings; a name out of a table is no
    name for a file."""
    fit = joint_components({"all": found.vectors})
    data = found.items.assign(pc1=fit.places["all"][:, 0], pc2=fit.places["all"][:, 1])
    titles = data["item"].map(music.set_index("song_id")["title"]).where(data["set"] == SONGS)
    sides_of = data["item"].map(sides).astype(object).fillna("no side").where(data["set"] == SONGS)
    data = data.assign(title=titles, side=sides_of)[["set", "item", "title", "side", "duration_s", "pc1", "pc2"]]
    counts = data["set"].value_counts(sort=False)
    alone = len(counts) == 1

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        if alone:
            by_side(axes, data, data["pc1"], data["pc2"])
        else:
            _by_set(axes, data)
        axes.set_xlabel(f"component 1 ({100 * fit.shares[0]:.0f} % of the variance)")
        axes.set_ylabel(f"component 2 ({100 * fit.shares[1]:.0f} %)")

    ours = spreads({SONGS: found.sets[SONGS]}, found.name)[0]
    told = f"mean cosine distance {figures3(ours.mean_cosine_distance)}, Vendi score {figures3(ours.vendi_score)}"
    songs = count(int(counts[SONGS]), "song")
    if alone:
        fitted = "Components are fitted to these songs alone."
        beside = ""
    else:
        beside = f" beside {listed(f'{size} of {name}' for name, size in counts.items() if name != SONGS)}"
        lengths = data.dropna(subset="duration_s").groupby(data["set"] == SONGS)["duration_s"].median()
        fitted = f"Components are fitted once, to all {len(data):,} items."
        if len(lengths) == 2:
            told_s = [clock(float(lengths[ours])) for ours in (True, False)]
            fitted += f" Songs last {told_s[0]} in the median, the others {told_s[1]}: a long mean scatters less."
    caption = f"{songs} in {found.name} ({found.vectors.shape[1]:,} dimensions): {told}{beside}. {fitted} {CAUTION}"
    share = number(100 * sum(fit.shares))
    alt = f"Scatter of songs{beside} on two principal components that explain {share} % of {found.name}; {told}."
    height = 2.6 if alone else 2.6 + 0.18 * -(-len(counts) // IN_A_ROW)
    return Figure(f"diversity_{place}", f"Diversity in {found.name}", caption, alt, (HALF_IN, height), draw, data)


def _by_set(axes: Axes, data: pd.DataFrame) -> None:
    """A scatter with a shape and a colour of its own for every set, the songs on top."""
    size, pixels = 4.5 if len(data) <= 120 else 3.5, len(data) > VECTORS_UP_TO
    for place, (name, those) in enumerate(data.groupby("set", sort=False)):
        mark, colour = MARKS[place % len(MARKS)], PAINTS[(place + place // len(MARKS)) % len(PAINTS)]
        look = {"color": colour, "ms": size, "alpha": 0.8, "mew": 0.8, "rasterized": pixels, "zorder": 3 - place / 100}
        axes.plot(those["pc1"], those["pc2"], mark, label=shortened(name, 11), **look)
    close = {"handletextpad": 0.1, "columnspacing": 0.9, "borderaxespad": 0.2}
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=IN_A_ROW, fontsize=8, **close)

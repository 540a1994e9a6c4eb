"""Diversity is drawn from embeddings that annotation left, beside what others play, and only within one embedding."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pandas as pd
import pytest

from buscomp.curation.diversity import Embedding, diversity, embeddings, frechet_rows, spread_rows
from buscomp.curation.report import gather, report
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.schema import column_names
from buscomp.manifests.tables import write_table

MUSIC = pd.DataFrame({"song_id": list("abcdefg"), "dry_sha256": [f"sha-{name}" for name in "abcdefg"]})
MUSIC = MUSIC.assign(title=MUSIC["song_id"].str.upper(), duration_s=200.0)


def table(name: str, *rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(column_names(name)))


def song(song_id: str, vector: Any, backend: str = "m", **more: Any) -> dict[str, Any]:
    own = {"song_id": song_id, "dry_sha256": f"sha-{song_id}", "embedding": vector, "embedding_backend": backend}
    return own | {"embedding_version": "1"} | more


def piece(song_id: str, vector: Any, backend: str = "m", start_s: float = 0.0, end_s: float = 10.0) -> dict[str, Any]:
    return song(song_id, vector, backend, start_s=start_s, end_s=end_s)


def reference(name: str, item: str, vector: Any, backend: str = "m", version: str = "1") -> dict[str, Any]:
    own = {"reference": name, "item": item, "embedding": vector, "embedding_backend": backend, "duration_s": 10.0}
    return own | {"embedding_version": version}


def found(
    songs: list[dict[str, Any]],
    segments: list[dict[str, Any]] | None = None,
    references: list[dict[str, Any]] | None = None,
) -> list[Embedding]:
    tables = {"annotations": songs, "segments": segments or [], "references": references or []}
    return embeddings(MUSIC, *(table(name, *rows) for name, rows in tables.items()))


def items(one: Embedding) -> list[str]:
    return list(one.items["item"])


def test_segments_of_a_song_are_averaged_by_their_length_and_embeddings_are_kept_apart() -> None:
    mert = [piece("a", [0.0, 1.0], "mert"), piece("a", [3.0, 4.0], "mert", 10.0, 15.0)]
    mert += [piece("b", [5.0, 5.0], "mert"), piece("c", [7.0, 0.0], "mert")]
    other = [piece(song_id, [float(place)], "other") for place, song_id in enumerate("abc")]
    first, second = found([], mert + other)
    assert (first.name, items(first), first.vectors.tolist()) == ("mert", list("abc"), [[1, 2], [5, 5], [7, 0]])
    assert (second.name, items(second), second.vectors.tolist()) == ("other", list("abc"), [[0], [1], [2]])


def test_a_songs_own_vector_goes_before_its_segments_song_by_song() -> None:
    segments = [piece(song_id, [9.0], name) for song_id in "abc" for name in ("m", "n")]
    first, second = found([song("a", [1.0]), song("b", [2.0])], segments)
    assert dict(zip(items(first), first.vectors[:, 0], strict=True)) == {"a": 1, "b": 2, "c": 9}
    assert (second.name, second.vectors.tolist()) == ("n", [[9], [9], [9]])


def test_vectors_of_another_length_of_other_audio_or_with_infinities_are_left_out() -> None:
    good = [song(song_id, [1.0, 2.0]) for song_id in "abc"]
    bad = [song("d", [1.0]), song("e", [np.inf, 0.0]), song("f", [np.nan, 0.0]), song("g", None)]
    stale = [song("g", [1.0, 2.0], dry_sha256="of-before"), song("nobody", [1.0, 2.0])]
    (one,) = found(good + bad + stale)
    assert items(one) == ["a", "b", "c"]


def test_two_versions_of_a_backend_are_two_embeddings() -> None:
    songs = [song(song_id, [1.0]) for song_id in "abc"]
    newer = [song(song_id, [2.0], embedding_version="2") for song_id in "defg"]
    told = [(one.name, one.version, len(one.vectors)) for one in found(songs + newer)]
    assert told == [("m", "1", 3), ("m", "2", 4)]


def test_references_stand_beside_songs_of_the_same_backend_and_version_only() -> None:
    songs = [song(song_id, [1.0, place]) for place, song_id in enumerate("abc")]
    fit = [reference("noise", "white", [0.0, 0.0]), reference("theirs", "a", [4.0, 4.0])]
    unfit = [reference("noise", "old", [0.0, 0.0], version="0"), reference("noise", "x", [0.0, 0.0], "other")]
    unfit += [reference("noise", "long", [0.0, 0.0, 0.0]), reference("noise", "silent", None)]
    (one,) = found(songs, [], fit + unfit)
    assert {name: len(vectors) for name, vectors in one.sets.items()} == {"songs": 3, "noise": 1, "theirs": 1}
    assert found([], [], fit) == []


def test_two_songs_are_no_scatter() -> None:
    assert found([song("a", [1.0]), song("b", [2.0])], [], [reference("noise", "white", [0.0])]) == []


def test_a_song_and_a_reference_of_one_name_are_two_items() -> None:
    songs = [song(song_id, [1.0, place]) for place, song_id in enumerate("abc")]
    (one,) = found(songs, [], [reference("noise", "a", [0.0, 0.0])])
    data = diversity(1, one, MUSIC, pd.Series({"a": "train"})).data
    assert data["set"].tolist() == ["songs", "songs", "songs", "noise"]
    assert data["side"].fillna("-").tolist() == ["train", "no side", "no side", "-"]
    assert data["title"].fillna("-").tolist() == ["A", "B", "C", "-"]


def crowd(counts: dict[str, int], seed: int = 0) -> Embedding:
    rows = [(name, f"{name}-{place}", 10.0) for name, count in counts.items() for place in range(count)]
    vectors = np.random.default_rng(seed).standard_normal((len(rows), 6))
    return Embedding("mert-layer12", "1", pd.DataFrame(rows, columns=["set", "item", "duration_s"]), vectors)


def test_sets_share_axes_and_are_told_apart_by_shape_and_colour() -> None:
    from matplotlib.figure import Figure as Canvas

    counts = {"songs": 9, "noise": 5, "tones": 4, "plucked": 3} | {f"set-{place}": 3 for place in range(10)}
    figure = diversity(1, crowd(counts), MUSIC, pd.Series(dtype=object))
    canvas = Canvas(figsize=figure.size_in)
    figure.draw(canvas)
    (axes,) = canvas.axes
    looks = {line.get_label(): (line.get_marker(), line.get_color()) for line in axes.lines}
    assert len(set(looks.values())) == len(counts)
    shapes, colours = zip(*[looks[name] for name in ("songs", "noise", "tones", "plucked")], strict=True)
    assert len(set(shapes)) == len(set(colours)) == 4
    assert {line.get_label(): len(line.get_xdata()) for line in axes.lines} == counts
    assert figure.data[["pc1", "pc2"]].mean().tolist() == pytest.approx([0, 0], abs=1e-9)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(counts)


def test_the_caption_counts_every_set_and_warns() -> None:
    told = diversity(1, crowd({"songs": 9, "noise": 5, "tones": 4}), MUSIC, pd.Series(dtype=object)).caption
    assert told.startswith("9 songs in mert-layer12 (6 dimensions): mean cosine distance ")
    assert "beside 5 of noise and 4 of tones. Components are fitted once, to all 18 items." in told
    assert "Songs last 0:10 in the median, the others 0:10" in told
    assert "area alone proves no diversity" in told


def test_every_set_is_measured_on_equal_counts_and_every_distance_bears_its_embedding() -> None:
    one = crowd({"songs": 40, "noise": 12, "tones": 30, "few": 2})
    rows = spread_rows([one])
    assert [(row["embedding"], row["name"], row["items"], row["count"]) for row in rows] == [
        ("mert-layer12", "songs", 40, 12),
        ("mert-layer12", "noise", 12, 12),
        ("mert-layer12", "tones", 30, 12),
    ]
    assert [row["coverage"] is None for row in rows] == [True, False, False]
    distances = frechet_rows([one])
    assert {(row["name"], row["from"], row["count"]) for row in distances} == {("frechet-mert-layer12", "songs", 12)}
    assert [row["to"] for row in distances] == ["noise", "tones", "songs, another draw"]


def embed(dataset: Dataset, references: bool) -> Dataset:
    rows = [
        {"song_id": song["song_id"], "dry_sha256": song["dry_sha256"], "embedding_backend": "musicnn / ../x"}
        | {"embedding": [float(place), 1.0, float(place**2)]}
        for place, song in enumerate(dataset.rows("songs"))
    ]
    write_table(dataset.table_path("annotations"), "annotations", rows)
    if references:
        others = [
            reference(name, f"{place}", [place, place**2 / 9, far], "musicnn / ../x", "")
            for far, name in ((9.0, "<b>"), (3.0, "noise"))
            for place in range(4)
        ]
        write_table(dataset.table_path("references"), "references", others)
    return Dataset(dataset.root)


def test_the_report_draws_an_embedding_that_is_there_and_else_says_that_there_is_none(dataset: Dataset) -> None:
    none = "No embedding of 3 songs or more is in the annotations, so diversity by embedding is not drawn."
    assert none in gather(dataset)["missing"]
    content = gather(embed(dataset, references=False))
    figure = content["figures"]["diversity_1"]  # the name of an embedding is no name for a file
    assert none not in content["missing"]
    alone = "Nothing stands beside the songs in musicnn / ../x: `buscomp annotate --references` does it."
    assert alone in content["missing"]
    assert list(figure.data["item"]) == ["song-0", "song-1", "song-2"]
    assert "3 songs in musicnn / ../x (3 dimensions): mean cosine distance " in figure.caption
    assert figure.data["pc1"].sum() == pytest.approx(0, abs=1e-6)
    assert [row["name"] for row in content["diversity_spreads"]] == ["songs"]
    assert content["frechet_distances"] == []
    assert alone not in gather(embed(dataset, references=True))["missing"]


def test_the_report_puts_songs_and_references_side_by_side_as_figure_table_and_csv(dataset: Dataset) -> None:
    made = report(embed(dataset, references=True))
    page = made.page.read_text()
    assert "beside 4 of &lt;b&gt; and 4 of noise" in page
    assert "<td>frechet-musicnn / ../x</td><td>songs</td><td>noise</td>" in page
    assert "<b>: " not in page
    with (made.folder / "diversity_1.csv").open() as file:
        assert [row["set"] for row in csv.DictReader(file)] == ["songs"] * 3 + ["<b>"] * 4 + ["noise"] * 4
    with (made.folder / "diversity_spreads.csv").open() as file:
        spread = {row["name"]: row for row in csv.DictReader(file)}
    assert {(row["embedding"], row["count"]) for row in spread.values()} == {("musicnn / ../x", "3")}
    assert 0 <= float(spread["noise"]["coverage"]) <= 1
    with (made.folder / "frechet_distances.csv").open() as file:
        assert [(row["name"], row["to"]) for row in csv.DictReader(file)] == [
            ("frechet-musicnn / ../x", "<b>"),
            ("frechet-musicnn / ../x", "noise"),
        ]

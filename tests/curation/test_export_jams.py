"""JAMS files that `jams` loads and validates, one a song."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from buscomp.curation.export import export
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError
from buscomp.manifests.tables import write_table
from buscomp.tests.curation.exporting import annotate, offline

__all__ = ["offline"]

# how jams calls jsonschema
pytestmark = pytest.mark.filterwarnings("ignore:Passing a schema to Validator.iter_errors:DeprecationWarning")


@pytest.fixture
def client(offline: None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the packages that it imports
        import jams
    return jams


def values(jam: Any, namespace: str) -> list[Any]:
    return [found.value for its in jam.annotations.search(namespace=namespace) for found in its.data]


def test_tempo_key_genres_and_instruments_come_back_validated(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    made = export(dataset, tmp_path / "out", "jams", title="bus comp")
    assert (made.songs, made.takes) == (3, 0)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jams")) == [f"song-{n}.jams" for n in range(3)]
    for song in dataset.rows("songs"):
        jam = client.load(str(tmp_path / "out" / f"{song['song_id']}.jams"))
        assert jam.validate(strict=True)
        assert jam.file_metadata.duration == song["duration_s"] == 1.0
        assert jam.file_metadata.title == song["title"]
        assert jam.file_metadata.identifiers.dry_sha256 == song["dry_sha256"]
        assert values(jam, "tempo") == [120.5]
        assert values(jam, "key_mode") == ["C#:major"]
        tags = ["genre:Rock", "genre:Krautrock", "instrument:accordion", "instrument:theremin"]
        assert values(jam, "tag_open") == tags
        assert values(jam, "tag_gtzan") == ["rock"]
        assert values(jam, "tag_medleydb_instruments") == ["accordion"]
        (tempo,) = jam.annotations.search(namespace="tempo")
        assert tempo.data[0].confidence == 0.75
        assert tempo.annotation_metadata.annotation_tools == "beats"
        assert tempo.annotation_metadata.corpus == "bus comp"


@pytest.mark.parametrize("key", ["C major", "Eb minor", "F# minor", "Bb major"])
def test_a_key_of_ours_is_a_key_of_theirs(client: Any, dataset: Dataset, tmp_path: Path, key: str) -> None:
    annotate(dataset, key=key)
    export(dataset, tmp_path / "out", "jams")
    jam = client.load(str(tmp_path / "out" / "song-0.jams"))
    assert values(jam, "key_mode") == [key.replace(" ", ":")]


def test_what_nobody_heard_is_left_out(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset, tempo_bpm=None, key=None, genres=None, instruments=["theremin"])
    export(dataset, tmp_path / "out", "jams")
    jam = client.load(str(tmp_path / "out" / "song-0.jams"))
    assert [its.namespace for its in jam.annotations] == ["tag_open"]
    assert values(jam, "tag_open") == ["instrument:theremin"]


def test_captions_of_segments_stand_at_their_times(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    rows = [
        {"song_id": "song-1", "segment": n, "start_s": n / 2, "end_s": (n + 1) / 2, "caption": text, "tags": []}
        for n, text in ((1, "drums"), (0, "a chord"))
    ]
    write_table(dataset.table_path("segments"), "segments", rows)
    export(dataset, tmp_path / "out", "jams")
    (captions,) = client.load(str(tmp_path / "out" / "song-1.jams")).annotations.search(namespace="segment_open")
    assert [(c.time, c.duration, c.value) for c in captions.data] == [(0.0, 0.5, "a chord"), (0.5, 0.5, "drums")]


def test_a_dataset_that_was_never_captured_has_annotations_all_the_same(dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    for table in ("takes", "splits", "settings", "sessions", "fingerprints"):
        dataset.table_path(table).unlink()
    assert export(dataset, tmp_path / "out", "jams").songs == 3
    assert json.loads((tmp_path / "out" / "song-0.jams").read_text())["annotations"]
    assert "What was heard in 3 songs" in (tmp_path / "out" / "README.md").read_text()


def test_without_annotations_there_is_nothing_to_write(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no song has annotations; type `buscomp annotate` first"):
        export(dataset, tmp_path / "out", "jams")
    assert not (tmp_path / "out").exists()

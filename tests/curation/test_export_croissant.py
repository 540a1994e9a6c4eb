"""Croissant that `mlcroissant` validates without a word and reads: every measured value, every sample."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from buscomp.curation.export import export
from buscomp.manifests.dataset import Dataset
from buscomp.tests.curation.exporting import annotate, assert_is_the_take, change_songs, offline

__all__ = ["offline"]

# how mlcroissant calls rdflib and pandas
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index:DeprecationWarning"),
]


@pytest.fixture
def client(offline: None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the packages that it imports
        import mlcroissant
    return mlcroissant


def test_the_description_is_valid_and_without_a_warning(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    export(dataset, tmp_path / "out", "croissant", title="bus comp", authors=["Lovelace, Ada", "A Lab"])
    read = client.Dataset(tmp_path / "out" / "croissant.json").metadata
    assert (read.ctx.issues.errors, read.ctx.issues.warnings) == (set(), set())
    assert read.conforms_to == ["http://mlcommons.org/croissant/1.1"]
    assert read.name == "bus comp"
    assert [creator.name for creator in read.creators] == ["Lovelace, Ada", "A Lab"]
    assert read.license == ["https://spdx.org/licenses/CC0-1.0.html"]
    assert "author = {Lovelace, Ada and A Lab}" in read.cite_as


def test_every_column_of_every_table_comes_back(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    dataset = change_songs(dataset, {"title": "Ünïcode"})
    export(dataset, tmp_path / "out", "croissant")
    read = client.Dataset(tmp_path / "out" / "croissant.json")
    for table in ("songs", "settings", "takes"):
        rows = dataset.rows(table)
        if table == "songs":  # which folder a song lay in is nobody's business
            rows = [row | {"source_path": Path(row["source_path"]).name} for row in rows]
        found = [
            {name.partition("/")[2]: _plain(value) for name, value in record.items()} for record in read.records(table)
        ]
        assert found == [{name: _plain(value) for name, value in row.items()} for row in rows]


def test_the_sound_of_every_take_comes_back_to_the_bit(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    made = export(dataset, tmp_path / "out", "croissant")
    read = client.Dataset(tmp_path / "out" / "croissant.json")
    for split, count in made.splits.items():
        name = f"audio_{split}"
        records = list(read.records(name))
        assert len(records) == count
        for record in records:
            take_id = record[f"{name}/take_id"].decode()  # text comes back as bytes
            assert_is_the_take(dataset, take_id, record[f"{name}/dry"], record[f"{name}/wet"])


def test_dry_audio_that_lies_once_has_a_record_set_of_its_own(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "croissant", dry_once=True)
    read = client.Dataset(tmp_path / "out" / "croissant.json")
    assert (read.metadata.ctx.issues.errors, read.metadata.ctx.issues.warnings) == (set(), set())
    songs = {row["audio_songs/song_id"].decode(): row["audio_songs/dry"] for row in read.records("audio_songs")}
    assert songs == {s["song_id"]: dataset.file(s["dry_path"]).read_bytes() for s in dataset.rows("songs")}
    assert set(next(iter(read.records("audio_train")))) == {"audio_train/take_id", "audio_train/wet"}


def test_the_tables_are_named_by_their_hash(dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "croissant")
    described = json.loads((tmp_path / "out" / "croissant.json").read_text())
    files = [file for file in described["distribution"] if file["@type"] == "cr:FileObject"]
    assert [file["contentUrl"] for file in files] == [
        *("manifests/songs.parquet", "manifests/settings.parquet", "manifests/takes.parquet")
    ]
    for file in files:
        assert file["sha256"] == hashlib.sha256((tmp_path / "out" / file["contentUrl"]).read_bytes()).hexdigest()


def test_a_column_is_described_with_its_unit(dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "croissant")
    described = json.loads((tmp_path / "out" / "croissant.json").read_text())
    (takes,) = (records for records in described["recordSet"] if records["@id"] == "takes")
    (field,) = (field for field in takes["field"] if field["name"] == "drift_samples")
    assert field["description"] == "latency after the song minus latency before it [samples]"
    assert field["dataType"] == "sc:Float"


def _plain(value: Any) -> Any:
    """As JSON would have it; the client gives text as bytes and times as those of pandas."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value

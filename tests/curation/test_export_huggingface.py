"""Parquet that Hugging Face `datasets` reads: sound to the bit, both channels, small row groups, bounded shards."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from buscomp.curation import export_huggingface
from buscomp.curation.export import export
from buscomp.curation.export_selection import select
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError
from buscomp.tests.curation.exporting import annotate, assert_is_the_take, offline, take_of

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when `datasets` is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__all__ = ["offline"]


@pytest.fixture
def client(offline: None, tmp_path: Path) -> Iterator[Any]:
    """The `datasets` package, without progress bars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the packages that it imports
        import datasets
    datasets.disable_progress_bars()
    yield datasets
    datasets.enable_progress_bars()


def load(client: Any, folder: Path, split: str, cache: Path, **words: Any) -> Any:
    """One configuration, with sounds as bytes."""
    takes = client.load_dataset(str(folder), split, split=split, cache_dir=str(cache), **words)
    for kind in ("dry", "wet"):
        assert isinstance(takes.features[kind], client.Audio)
        assert takes.features[kind].sampling_rate == 44_100
        takes = takes.cast_column(kind, client.Audio(decode=False))
    return takes


def test_every_take_comes_back_from_its_configuration_to_the_bit(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    made = export(dataset, tmp_path / "out")
    assert made.splits == {"train": 2, "validation": 2, "test_seen": 2, "test_unseen": 2, "unused": 4}
    seen = set()
    for split, count in made.splits.items():
        takes = load(client, tmp_path / "out", split, tmp_path / "cache")
        assert len(takes) == count
        for row in takes:
            assert_is_the_take(dataset, row["take_id"], row["dry"]["bytes"], row["wet"]["bytes"])
            assert row["split"] == split
            seen.add(row["take_id"])
    assert len(seen) == 12


def test_dry_audio_can_lie_once_to_be_joined_on_the_song(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    size_bytes = export(dataset, tmp_path / "each").size_bytes
    assert export(dataset, tmp_path / "out", dry_once=True).size_bytes < 0.75 * size_bytes
    songs = client.load_dataset(str(tmp_path / "out"), "songs", split="songs", cache_dir=str(tmp_path / "cache"))
    songs = songs.cast_column("dry", client.Audio(decode=False))
    dry = {row["song_id"]: row["dry"]["bytes"] for row in songs}
    assert "source_path" not in songs.column_names
    takes = client.load_dataset(str(tmp_path / "out"), "unused", split="unused", cache_dir=str(tmp_path / "cache"))
    assert "dry" not in takes.column_names
    for row in takes.cast_column("wet", client.Audio(decode=False)):
        assert_is_the_take(dataset, row["take_id"], dry[row["song_id"]], row["wet"]["bytes"])
    assert 'for kind in ("wet",):' in (tmp_path / "out" / "README.md").read_text()


def test_columns_come_back_with_their_types_nulls_and_lists(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    export(dataset, tmp_path / "out")
    takes = load(client, tmp_path / "out", "test_unseen", tmp_path / "cache")
    row = takes[0]
    take = take_of(dataset, row["take_id"])
    for name in ("song_id", "setting_id", "latency_samples", "frames", "wet_sha256", "started_at", "loudness_lufs"):
        assert row[name] == take[name]
    (setting,) = (s for s in dataset.rows("settings") if s["setting_id"] == take["setting_id"])
    assert {name: row[name] for name in setting} == setting
    assert row["sidechain_hpf_hz"] is None
    assert row["release_auto"] is False
    assert row["genres"] == ["Rock", "Krautrock"]
    assert (row["key"], row["tempo_bpm"], row["license"]) == ("C# major", 120.5, "CC0-1.0")
    assert "status" not in row


def test_streaming_gives_the_same_first_take(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out")
    row = next(iter(load(client, tmp_path / "out", "train", tmp_path / "cache", streaming=True)))
    assert_is_the_take(dataset, row["take_id"], row["dry"]["bytes"], row["wet"]["bytes"])


def test_without_a_name_the_first_split_is_the_default(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", splits=["test_seen"])
    takes = client.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert list(takes) == ["test_seen"]
    assert len(takes["test_seen"]) == 2


def test_shards_are_bounded_numbered_and_read_as_one(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    take_bytes = 2 * dataset.file("dry/song-0.flac").stat().st_size
    export(dataset, tmp_path / "out", shard_bytes=round(2.5 * take_bytes))
    names = sorted(path.name for path in (tmp_path / "out" / "data").glob("unused-*"))
    assert names == ["unused-00000-of-00002.parquet", "unused-00001-of-00002.parquet"]
    assert len(load(client, tmp_path / "out", "unused", tmp_path / "cache")) == 4


def test_a_take_that_is_larger_than_a_group_has_one_of_its_own_uncompressed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_huggingface, "GROUP_BYTES", 1)
    export(dataset, tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out" / "data" / "unused-00000-of-00001.parquet")
    groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [1, 1, 1, 1]
    assert {group.column(0).compression for group in groups} == {"UNCOMPRESSED"}
    assert file.metadata.serialized_size < 100_000  # no sound in its statistics


def test_a_dataset_without_a_split_is_one_configuration(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    dataset.table_path("splits").unlink()
    assert export(dataset, tmp_path / "out").splits == {"unsplit": 12}
    assert len(load(client, tmp_path / "out", "unsplit", tmp_path / "cache")) == 12


def test_the_front_matter_names_every_configuration(dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", title="A: b", authors=["Lovelace, Ada"])
    _, matter, page = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(matter)
    assert front["pretty_name"] == "A: b"
    assert front["license"] == "cc0-1.0"
    assert [config["config_name"] for config in front["configs"]] == [
        *("train", "validation", "test_seen", "test_unseen", "unused")
    ]
    assert [config.get("default") for config in front["configs"]] == [True, None, None, None, None]
    assert 'load_dataset("PATH", "train", split="train")' in page


def test_a_file_that_its_table_does_not_describe_ends_the_export_and_leaves_nothing(
    dataset: Dataset, tmp_path: Path
) -> None:
    take = dataset.rows("takes")[-1]
    dataset.file(take["wet_path"]).write_bytes(b"fLaC, but no more")
    with pytest.raises(DatasetError, match=r"song-2.flac is no audio.*buscomp verify"):
        export(dataset, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_duckdb_polars_and_pandas_read_the_same_sounds(dataset: Dataset, tmp_path: Path) -> None:
    import duckdb
    import pandas as pd
    import polars as pl

    export(dataset, tmp_path / "out", splits=["unused"])
    path = str(tmp_path / "out" / "data" / "unused-00000-of-00001.parquet")
    found = [
        dict(duckdb.execute(f"select take_id, wet.bytes from '{path}'").fetchall()),
        dict(pl.read_parquet(path).select("take_id", pl.col("wet").struct.field("bytes")).iter_rows()),
        {row.take_id: row.wet["bytes"] for row in pd.read_parquet(path).itertuples()},
    ]
    takes = {row["take_id"]: dataset.file(row["wet_path"]).read_bytes() for row in select(dataset, ["unused"]).rows()}
    assert found == [takes, takes, takes]


def test_a_sound_is_not_decoded_without_torchcodec(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    if client.config.TORCHCODEC_AVAILABLE:
        pytest.skip("torchcodec is here")
    export(dataset, tmp_path / "out", splits=["train"])
    takes = client.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ImportError, match="torchcodec"):
        takes[0]["wet"]

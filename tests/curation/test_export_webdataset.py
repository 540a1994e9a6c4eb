"""Shards that `webdataset` reads: a sample is dry, wet and JSON under a key without a dot."""

from __future__ import annotations

import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from buscomp.curation.export import export
from buscomp.manifests.dataset import Dataset
from buscomp.tests.curation.exporting import annotate, assert_is_the_take, offline, samples_of, take_of

__all__ = ["offline"]

# webdataset leaves the shards that it has read to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:unclosed file .*\.tar'>:ResourceWarning"),
    pytest.mark.filterwarnings(
        r"ignore:Exception ignored in. <_io.FileIO name='[^']*\.tar':pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture
def client(offline: None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the packages that it imports
        import webdataset
    return webdataset


def read(client: Any, *shards: Path) -> list[dict[str, Any]]:
    """All samples, with FLAC left as bytes."""
    urls = [str(path) for path in shards]
    return list(client.WebDataset(urls, shardshuffle=False, empty_check=False).decode())


def test_every_sample_holds_the_files_of_its_take_and_its_row(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    made = export(dataset, tmp_path / "out", "webdataset")
    keys = []
    for split, count in made.splits.items():
        samples = read(client, *sorted((tmp_path / "out" / split).glob("*.tar")))
        assert len(samples) == count
        for sample in samples:
            assert set(sample) == {"__key__", "__url__", "__local_path__", "dry.flac", "wet.flac", "json"}
            assert_is_the_take(dataset, sample["__key__"], sample["dry.flac"], sample["wet.flac"])
            assert sample["json"]["split"] == split
            keys.append(sample["__key__"])
    assert sorted(keys) == sorted(dataset.takes["take_id"])
    assert not any("." in key for key in keys)


def test_the_json_holds_plain_values(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    export(dataset, tmp_path / "out", "webdataset", splits=["test_seen"])
    row = read(client, tmp_path / "out" / "test_seen" / "test_seen-000000.tar")[0]["json"]
    take = take_of(dataset, row["take_id"])
    assert row["latency_samples"] == 137.25
    assert row["started_at"] == take["started_at"].isoformat()
    assert row["sidechain_hpf_hz"] is None
    assert row["instruments"] == ["accordion", "theremin"]


def test_a_soundfile_decoder_gives_both_channels(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "webdataset", splits=["train"])

    def flac(key: str, data: bytes) -> Any:
        return samples_of(data) if key.endswith(".flac") else None

    shard = str(tmp_path / "out" / "train" / "train-000000.tar")
    for sample in client.WebDataset(shard, shardshuffle=False).decode(flac):
        assert sample["wet.flac"].shape == sample["dry.flac"].shape == (44_100, 2)


def test_shards_are_bounded_and_the_index_counts_their_samples(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    take_bytes = 2 * dataset.file("dry/song-0.flac").stat().st_size
    export(dataset, tmp_path / "out", "webdataset", shard_bytes=round(1.5 * take_bytes))
    folder = tmp_path / "out" / "unused"
    index = json.loads((folder / "shards.json").read_text())
    assert index["shardlist"] == [{"url": f"unused-{n:06}.tar", "nsamples": 2} for n in range(2)]
    assert len(read(client, *(folder / shard["url"] for shard in index["shardlist"]))) == 4


def test_the_same_takes_give_the_same_bytes_in_an_order_that_mixes_settings(dataset: Dataset, tmp_path: Path) -> None:
    dataset.table_path("splits").unlink()
    shards = [tmp_path / name / "unsplit" / "unsplit-000000.tar" for name in ("one", "other")]
    for shard in shards:
        export(dataset, shard.parents[1], "webdataset")
    assert shards[0].read_bytes() == shards[1].read_bytes()
    with tarfile.open(shards[0]) as tar:
        order = [member.name.partition(".")[0] for member in tar if member.name.endswith(".json")]
    assert sorted(order) == sorted(dataset.takes["take_id"])
    assert order != sorted(order)

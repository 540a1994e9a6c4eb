"""A bag that `bagit` validates, around a dataset that opens and verifies."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buscomp.curation.export import export
from buscomp.manifests.dataset import Dataset, open_dataset
from buscomp.manifests.integrity import verify
from buscomp.tests.curation.exporting import annotate, change_songs, offline

__all__ = ["offline"]


@pytest.fixture
def client(offline: None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import bagit
    return bagit


def test_the_bag_is_valid_and_every_payload_file_has_its_sha256(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    annotate(dataset)
    export(dataset, tmp_path / "out", "bagit", title="bus comp", authors=["A Lab"])
    bag = client.Bag(str(tmp_path / "out"))
    bag.validate()
    assert bag.info["External-Identifier"] == "bus comp"
    assert bag.info["Contact-Name"] == "A Lab"
    assert bag.algorithms == ["sha256"]
    payload = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out" / "data").rglob("*.*")}
    payload = {name: path for name, path in payload.items() if path.is_file()}
    assert set(bag.payload_entries()) == set(payload)
    for name, hashes in bag.payload_entries().items():
        assert hashes["sha256"] == hashlib.sha256(payload[name].read_bytes()).hexdigest()


def test_one_changed_byte_is_found(client: Any, dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "bagit")
    path = tmp_path / "out" / "data" / "dry" / "song-1.flac"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(client.BagValidationError, match=r"data/dry/song-1.flac sha256 validation failed"):
        client.Bag(str(tmp_path / "out")).validate()


def test_what_is_in_the_bag_is_a_dataset_with_the_same_pairs(dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "bagit")
    bagged = open_dataset(tmp_path / "out" / "data")
    assert verify(bagged)[0] == []
    assert verify(bagged)[1] == 15
    for split in ("train", "test_unseen"):
        for ours, theirs in zip(dataset.pairs(split), bagged.pairs(split), strict=True):
            assert ours.take_id == theirs.take_id
            assert np.array_equal(ours.wet, theirs.wet)
            assert np.array_equal(ours.dry, theirs.dry)
            assert ours.setting == pytest.approx(theirs.setting, nan_ok=True)


def test_a_song_that_may_not_go_out_is_not_in_the_bag_at_all(dataset: Dataset, tmp_path: Path) -> None:
    dataset = change_songs(dataset, {"license": "CC-BY-ND-4.0", "title": "Secret"})
    export(dataset, tmp_path / "out", "bagit")
    bagged = open_dataset(tmp_path / "out" / "data")
    assert verify(bagged)[0] == []
    assert set(bagged.songs["song_id"]) == set(bagged.takes["song_id"]) == {"song-1", "song-2"}
    assert set(bagged.splits["song_id"]) == {"song-1", "song-2"}
    assert not list((tmp_path / "out").rglob("*song-0*"))
    assert not any(b"Secret" in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())

"""What the tests of the exports share: a dataset with annotations, offline clients, and the true samples."""

from __future__ import annotations

import io
import socket
from typing import Any

import numpy as np
import pytest
import soundfile

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import Int32, read_pcm
from buscomp.manifests.tables import write_table


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("an export is read without a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def annotate(dataset: Dataset, **columns: Any) -> None:
    """Annotations of every song: 120.5 BPM, C# major, genres and instruments, unless `columns` says otherwise."""
    heard = {
        "tempo_bpm": 120.5,
        "tempo_confidence": 0.75,
        "tempo_backend": "beats",
        "tempo_version": "1",
        "key": "C# major",
        "key_confidence": 0.25,
        "key_backend": "chroma-temperley",
        "key_version": "2",
        "genres": ["Rock", "Krautrock"],
        "genres_backend": "ears",
        "genres_version": "3",
        "instruments": ["accordion", "theremin"],
        "instruments_backend": "ears",
        "instruments_version": "3",
    }
    rows = [
        {"song_id": song["song_id"], "dry_sha256": song["dry_sha256"]} | heard | columns
        for song in dataset.rows("songs")
    ]
    write_table(dataset.table_path("annotations"), "annotations", rows)


def change_songs(dataset: Dataset, *changes: dict[str, Any]) -> Dataset:
    """The dataset with `changes` in its first songs, one each."""
    rows = dataset.rows("songs")
    for row, change in zip(rows, changes, strict=False):
        row |= change
    write_table(dataset.table_path("songs"), "songs", rows)
    return Dataset(dataset.root)


def take_of(dataset: Dataset, take_id: str) -> dict[str, Any]:
    (take,) = (row for row in dataset.rows("takes") if row["take_id"] == take_id)
    return take


def samples_of(data: bytes) -> Int32:
    """FLAC bytes as `(frames, channels)` int32."""
    pcm: Int32 = soundfile.read(io.BytesIO(data), dtype="int32", always_2d=True)[0]
    return pcm


def assert_is_the_take(dataset: Dataset, take_id: str, dry: bytes, wet: bytes) -> None:
    """`dry` and `wet` are the files of that take, byte by byte, and stereo."""
    take = take_of(dataset, take_id)
    for data, path in ((dry, dataset.dry_path(take["song_id"])), (wet, take["wet_path"])):
        assert data == dataset.file(path).read_bytes()
        assert np.array_equal(samples_of(data), read_pcm(dataset.file(path))[0])
    left, right = samples_of(wet).T
    assert not np.array_equal(left, right)

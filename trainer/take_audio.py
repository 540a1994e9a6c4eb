"""The takes that something is measured on, and their audio, each file decoded once where takes of a song follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.pcm import Float32, read_audio

Row = dict[str, Any]
MEMORY_BYTES = 1 << 29  # that the audio of takes in hand may fill
MOST_AT_ONCE = 8


@dataclass(frozen=True)
class TakeAudio:
    """`dry`, `wet` (frames, channels), and the gain-control voltage `cv` where one was recorded."""

    dry: Float32
    wet: Float32
    cv: Float32 | None


class TakeReader:
    """Reads takes, rows of `pair_table`, of `dataset`."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._dry = lru_cache(maxsize=1)(self._read)
        takes = dataset.takes
        self._cv = dict(zip(takes["take_id"], takes["cv_path"], strict=True)) if "cv_path" in takes else {}

    def _read(self, relative: str) -> Float32:
        return read_audio(self._dataset.file(relative))[0]

    def read(self, take: Mapping[str, Any]) -> TakeAudio:
        """`DatasetError` where wet, or the control voltage, does not fit dry."""
        cv_path = self._cv.get(take["take_id"])
        cv = self._read(cv_path) if isinstance(cv_path, str) else None
        audio = TakeAudio(self._dry(take["dry_path"]), self._read(take["wet_path"]), cv)
        if audio.dry.shape != audio.wet.shape or (cv is not None and len(cv) != len(audio.dry)):
            raise DatasetError(f"{take['wet_path']} does not fit its dry audio", mend="type `buscomp verify`")
        return audio


def spread_evenly(rows: Sequence[Row], count: int | None) -> list[Row]:
    """`count` of `rows`, evenly spread, the first and the last among them; all where there are not more."""
    if count is None or count >= len(rows):
        return list(rows)
    return [rows[index] for index in np.linspace(0, len(rows) - 1, count).round().astype(int)]


def batches(rows: Sequence[Row], copies: int, channels: int = 2) -> list[list[Row]]:
    """`rows` in batches of up to 8 takes, fewer where they are long: with `copies` of each in memory, 512 MiB hold a
    batch, or the batch is one take."""
    return list(_batches(rows, copies * channels * np.dtype(np.float32).itemsize))


def _batches(rows: Sequence[Row], bytes_per_frame: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        longest = max(int(each["frames"]) for each in (*batch, row))
        full = len(batch) == MOST_AT_ONCE or longest * bytes_per_frame * (len(batch) + 1) > MEMORY_BYTES
        if batch and full:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch

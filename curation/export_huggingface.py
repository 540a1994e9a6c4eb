"""Takes as Parquet for Hugging Face `datasets`: the audio files as they are, and every column beside them.

Written by pyarrow alone; what makes a column audio is a JSON text in the schema's metadata. Nothing is compressed,
because FLAC does not compress again, and a row group holds one take or a few, because whoever streams or looks at one
row fetches its whole group. Each split is a configuration of its own, so that nobody downloads the training takes to
get at the test ones. The dry audio stands in every row, or once, in a configuration `songs`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..manifests.errors import DatasetError
from ..manifests.schema import TYPES, Column
from .export_selection import Row, Selection, columns_of
from .export_tree import check_header

GROUP_BYTES = 32_000_000  # a take of four minutes is more, and then a group of its own
LARGEST_BYTES = (1 << 31) - 1  # of one value in an Arrow column
AUDIO_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
DTYPES = {"text": "string", "int": "int64", "float": "float64", "bool": "bool", "time": "timestamp[us, tz=UTC]"}


def write_huggingface(selection: Selection, folder: Path, shard_bytes: int, count: Callable[[], None]) -> None:
    """`folder`/data/<split>-00000-of-00003.parquet ..., each a little more than `shard_bytes` at most."""
    (folder / "data").mkdir()
    schema = row_schema(selection, selection.kinds, selection.columns)
    for split in selection.splits:
        with ShardWriter(folder / "data", split, schema, shard_bytes) as shards:
            for row in selection.rows(split):
                shards.write(row | audio_of(selection, row, selection.kinds))
                count()
    if selection.dry_once:
        columns = song_columns(selection)
        with ShardWriter(folder / "data", "songs", row_schema(selection, ("dry",), columns), shard_bytes) as shards:
            for song in selection.songs.values():
                row = {column.name: song[column.name] for column in columns}
                shards.write(row | audio_of(selection, song, ("dry",)))


def configs(selection: Selection) -> list[dict[str, Any]]:
    """The configurations for the front matter of README.md, one a split; the first one is the default."""
    return [
        {"config_name": split, "data_files": [{"split": split, "path": f"data/{split}-*.parquet"}]}
        | ({"default": True} if not place else {})
        for place, split in enumerate([*selection.splits, *(["songs"] if selection.dry_once else [])])
    ]


def song_columns(selection: Selection) -> list[Column]:
    """What goes beside a song's dry audio: its table, but for the file on somebody's disk."""
    table = columns_of(selection.dataset.table_path("songs"), "songs")
    return [column for column in table if column.name not in ("source_path", "status", "reasons")]


def row_schema(selection: Selection, kinds: Iterable[str], columns: Iterable[Column]) -> pa.Schema:
    """The Arrow schema of one row, with what `datasets` wants to know about it and our unit and meaning of each."""
    fields = [pa.field(kind, AUDIO_TYPE) for kind in kinds] + [
        pa.field(c.name, TYPES[c.type], metadata={"unit": c.unit, "meaning": c.meaning}) for c in columns
    ]
    audio = {"sampling_rate": selection.sample_rate, "_type": "Audio"}
    features: dict[str, Any] = dict.fromkeys(kinds, audio) | {c.name: _feature(c) for c in columns}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def audio_of(selection: Selection, row: Row, kinds: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """The audio columns of one row: the bytes of each file, and its path in the dataset."""
    audio: dict[str, dict[str, Any] | None] = dict.fromkeys(kinds)
    for kind, path in selection.audio_files(row, kinds).items():
        check_header(path, row)
        data = path.read_bytes()
        if len(data) > LARGEST_BYTES:
            raise DatasetError(
                f"{path.name} is too long for one row", got=f"{len(data)} bytes", allowed=f"{LARGEST_BYTES}"
            )
        audio[kind] = {"bytes": data, "path": row[f"{kind}_path"]}
    return audio


def _feature(column: Column) -> dict[str, Any]:
    if column.type == "texts":
        return {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
    return {"dtype": DTYPES[column.type], "_type": "Value"}


class ShardWriter:
    """Parquet files of bounded size in `folder`, named when their number is known."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema, shard_bytes: int):
        self.folder, self.name, self.schema, self.shard_bytes = folder, name, schema, shard_bytes
        self._shards: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._group: list[Mapping[str, Any]] = []
        self._group_bytes = self._written_bytes = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._close()
        if kind is None:
            for place, path in enumerate(self._shards):
                path.rename(self.folder / f"{self.name}-{place:05}-of-{len(self._shards):05}.parquet")

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row; its audio is held until the row group is full."""
        size = sum(len(value["bytes"]) for value in row.values() if isinstance(value, dict))
        if self._group and self._group_bytes + size > GROUP_BYTES:
            self._flush()
        if (
            self._written_bytes + self._group_bytes
            and self._written_bytes + self._group_bytes + size > self.shard_bytes
        ):
            self._flush()
            self._close()
        self._group.append(row)
        self._group_bytes += size

    def _flush(self) -> None:
        if not self._group:
            return
        if self._writer is None:
            self._shards.append(self.folder / f"{self.name}-{len(self._shards):05}.parquet")
            plain = [f.name for f in self.schema if f.type != AUDIO_TYPE and not pa.types.is_list(f.type)]
            self._writer = pq.ParquetWriter(
                self._shards[-1],
                self.schema,
                compression="none",
                use_dictionary=False,
                write_statistics=plain,  # of sounds they would be meaningless
                write_page_index=True,
                write_page_checksum=True,
            )
        self._writer.write_table(pa.Table.from_pylist(self._group, schema=self.schema), row_group_size=len(self._group))
        self._written_bytes += self._group_bytes
        self._group, self._group_bytes = [], 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._written_bytes = None, 0

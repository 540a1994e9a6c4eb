"""Parquet manifests: read with checks, written whole or not at all. None of them is the record of anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DatasetError
from .schema import SCHEMA_VERSION, TYPES, Column, arrow_schema
from .storage import write_whole

ROW_GROUP = 8192  # rows held in memory at a time
MADE_WITH = b"buscomp_made_with"
COLUMNS = b"buscomp_columns"  # Parquet has checksums for its pages, but none for the names and types in its footer


def write_table(
    path: Path,
    table: str,
    rows: Iterable[Mapping[str, Any]],
    columns: tuple[Column, ...] | None = None,
    made_with: Mapping[str, Any] | None = None,
) -> None:
    """Write `rows` as the manifest `table` at `path`. A key that is no column is an error; a missing one is null.

    `made_with`: the choices that led to this table (a seed, a mode), kept in the file's metadata.
    """
    schema = arrow_schema(table, columns)
    names = schema.names

    def complete(row: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := set(row) - set(names):
            raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}")
        return {name: row.get(name) for name in names}

    def parts() -> Iterator[pa.Table]:
        remaining = map(complete, rows)
        while group := list(islice(remaining, ROW_GROUP)):
            yield pa.Table.from_pylist(group, schema=schema)

    write_arrow(path, schema, parts(), made_with)


def write_arrow(
    path: Path, schema: pa.Schema, parts: Iterable[pa.Table], made_with: Mapping[str, Any] | None = None
) -> None:
    """Write `parts`, each of the types in `schema` (of `arrow_schema`), one after the other as the manifest `path`."""
    ours = {MADE_WITH: json.dumps(dict(made_with or {})), COLUMNS: _described(schema)}
    schema = schema.with_metadata({**schema.metadata, **ours})

    def write(temporary: Path) -> None:
        words = [field.name for field in schema if not pa.types.is_floating(field.type)]  # no measure comes twice
        with pq.ParquetWriter(
            temporary, schema, compression="zstd", use_dictionary=words, write_page_checksum=True
        ) as writer:
            for part in parts:
                writer.write_table(part.cast(schema))

    write_whole(path, write)


def read_arrow(path: Path, table: str) -> pa.Table:
    """The manifest at `path`; `DatasetError` when it is damaged, of another table or of a newer schema."""
    try:
        arrow = pq.read_table(path, page_checksum_verification=True)
        columns = _described(arrow.schema)
        metadata = {key: value.decode() for key, value in (arrow.schema.metadata or {}).items()}
    except FileNotFoundError:
        raise DatasetError(f"{path.name} does not exist yet", mend=MADE_BY[table]) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} is damaged ({error})", mend=REBUILT_BY[table]) from error
    found = metadata.get(b"buscomp_table")
    if found != table:
        raise DatasetError(f"{path.name} holds another table", got=found or "no buscomp table", allowed=table)
    written = metadata.get(b"buscomp_schema_version")
    if written != SCHEMA_VERSION:
        raise DatasetError(
            f"{path.name} has another schema version", got=written, allowed=SCHEMA_VERSION, mend="update buscomp"
        )
    if columns != metadata.get(COLUMNS):
        raise DatasetError(f"{path.name} is damaged (names or types of columns)", mend=REBUILT_BY[table])
    return arrow


def _described(schema: pa.Schema) -> str:
    """Names and types of all columns: `song_id text, reasons texts`."""
    return ", ".join(
        f"{field.name} {next((k for k, t in TYPES.items() if t == field.type), field.type)}" for field in schema
    )


def read_made_with(path: Path, table: str) -> dict[str, Any]:
    """The choices that led to the manifest at `path`; empty when none were noted."""
    choices: dict[str, Any] = json.loads((read_arrow(path, table).schema.metadata or {}).get(MADE_WITH, b"{}"))
    return choices


def read_table(path: Path, table: str) -> pd.DataFrame:
    """The manifest at `path` as a pandas table."""
    return read_arrow(path, table).to_pandas()


def read_rows(path: Path, table: str) -> list[dict[str, Any]]:
    """The manifest at `path` as dictionaries with plain Python values (null is None)."""
    rows: list[dict[str, Any]] = read_arrow(path, table).to_pylist()
    return rows


MADE_BY = {
    "songs": "type `buscomp catalog songs` first",
    "settings": "type `buscomp capture` first",
    "takes": "type `buscomp capture` first",
    "sessions": "type `buscomp capture` first",
    "fingerprints": "type `buscomp capture` first",
    "annotations": "type `buscomp annotate` first",
    "segments": "type `buscomp annotate` first",
    "references": "type `buscomp annotate --references` first",
    "splits": "type `buscomp split` first",
    "subsets": "type `buscomp subset` first",
    "results": "type `buscomp evaluate` first",
    "results_takes": "type `buscomp evaluate` first",
}
REBUILT_BY = {
    table: "type `buscomp verify --rebuild`"
    if table in ("takes", "sessions", "settings", "fingerprints")
    else made.replace(" first", " again")
    for table, made in MADE_BY.items()
} | {
    "annotations": "type `buscomp annotate --again`",
    "segments": "type `buscomp annotate --again`",
    "references": "type `buscomp annotate --references --again`",
}

"""Takes as Parquet, described by Croissant (MLCommons, croissant.json): the same shards as for Hugging Face.

The audio lies in the shards because the `mlcroissant` client reads Parquet but cannot hand out FLAC files. Record
sets: `takes`, `songs` and `settings` are the tables, with every measured column, and read fast; `audio_<split>` holds
the sound of each take beside its take_id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from .citation import Citation
from .data_card import licence_links
from .export_huggingface import write_huggingface
from .export_selection import Selection, kind_of
from .export_tables import write_tables

if TYPE_CHECKING:
    import mlcroissant

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
TABLES = ("songs", "settings", "takes")
KEYWORDS = ["audio", "music", "dynamic range compression", "virtual analog", "audio effects"]


def write_croissant(
    selection: Selection,
    folder: Path,
    citation: Citation,
    about: str,
    shard_bytes: int,
    count: Callable[[], None],
) -> None:
    """`folder`/data, `folder`/manifests and `folder`/croissant.json, valid and without a warning."""
    write_huggingface(selection, folder, shard_bytes, count)
    write_tables(selection, folder)
    described = describe(selection, folder, citation, about)
    (folder / "croissant.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def describe(selection: Selection, folder: Path, citation: Citation, about: str) -> dict[str, Any]:
    """The JSON-LD for the files in `folder`. `mlcroissant.ValidationError` would be our own mistake."""
    import mlcroissant as mlc

    tables = [folder / "manifests" / f"{table}.parquet" for table in TABLES]
    files = [
        mlc.FileObject(
            id=f"{path.stem}-table",
            name=path.name,
            content_url=path.relative_to(folder).as_posix(),
            content_size=f"{path.stat().st_size} B",
            encoding_formats=["application/x-parquet"],
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in tables
    ]
    shards = [
        mlc.FileSet(
            id=f"shards-{name}",
            name=f"shards-{name}",
            includes=[f"data/{name}-*.parquet"],
            encoding_formats=["application/x-parquet"],
        )
        for name in [*selection.splits, *(["songs"] if selection.dry_once else [])]
    ]
    records = [_table(path) for path in tables]
    records += [_audio(split, "take", selection.kinds) for split in selection.splits]
    if selection.dry_once:
        records.append(_audio("songs", "song", ("dry",)))
    metadata = mlc.Metadata(
        ctx=mlc.Context(conforms_to=CONFORMS_TO),
        name=citation.title,
        description=about,
        license=licence_links(selection),
        creators=[mlc.Person(name=author) for author in citation.authors],
        keywords=KEYWORDS,
        date_published=citation.released,
        version=citation.version,
        cite_as=citation.bibtex(),
        distribution=[*files, *shards],
        record_sets=records,
    )
    described: dict[str, Any] = metadata.to_json()
    return described


def _table(path: Path) -> mlcroissant.RecordSet:
    """A record set that is one of our tables, with unit and meaning of every column."""
    import mlcroissant as mlc

    name = path.stem
    fields = []
    for column in pq.read_schema(path):
        told = {key.decode(): text.decode() for key, text in (column.metadata or {}).items()}
        source = mlc.Source(file_object=f"{name}-table", extract=mlc.Extract(column=column.name))
        fields.append(_field(name, column.name, column.type, source, told))
    return mlc.RecordSet(id=name, name=name, key=f"{name}/{name[:-1]}_id", fields=fields)


def _field(records: str, name: str, kind: Any, source: mlcroissant.Source, told: dict[str, str]) -> mlcroissant.Field:
    import mlcroissant as mlc

    types = {
        "text": mlc.DataType.TEXT,
        "texts": mlc.DataType.TEXT,
        "int": mlc.DataType.INTEGER,
        "float": mlc.DataType.FLOAT,
        "bool": mlc.DataType.BOOL,
        "time": mlc.DataType.DATETIME,
    }
    column_type = kind_of(kind)
    meaning = told.get("meaning", "") + (f" [{told['unit']}]" if told.get("unit") else "")
    return mlc.Field(
        id=f"{records}/{name}",
        name=name,
        description=meaning or None,
        data_types=[types[column_type]],
        is_array=True if column_type == "texts" else None,
        source=source,
    )


def _audio(shard: str, noun: str, kinds: Iterable[str]) -> mlcroissant.RecordSet:
    """The sound of every take, or song, of the shards called so: FLAC bytes, as they were captured."""
    import mlcroissant as mlc

    name, shards = f"audio_{shard}", f"shards-{shard}"
    key = mlc.Field(
        id=f"{name}/{noun}_id",
        name=f"{noun}_id",
        description=f"the {noun} in the record set `{noun}s`",
        data_types=[mlc.DataType.TEXT],
        source=mlc.Source(file_set=shards, extract=mlc.Extract(column=f"{noun}_id")),
    )
    sounds = [
        mlc.Field(
            id=f"{name}/{kind}",
            name=kind,
            description=f"{kind}, as FLAC",
            data_types=[mlc.DataType.AUDIO_OBJECT],
            source=mlc.Source(
                file_set=shards, extract=mlc.Extract(column=kind), transforms=[mlc.Transform(json_path="bytes")]
            ),
        )
        for kind in kinds
    ]
    return mlc.RecordSet(id=name, name=name, key=f"{name}/{noun}_id", fields=[key, *sounds])

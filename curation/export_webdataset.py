"""Takes as WebDataset shards: plain tar files in which neighbours with one key are a sample.

Written with the standard library, since the `webdataset` package would load torch to do the same. A key ends at the
first dot for that client, so it is the take_id, which has none. Takes are shuffled once, by a hash of their ids: a
shard in capture order would hold one setting of the unit, and a reader shuffles little more than within a shard.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from .export_selection import Row, Selection
from .export_tree import check_header


def write_webdataset(selection: Selection, folder: Path, shard_bytes: int, count: Callable[[], None]) -> None:
    """`folder`/<split>/<split>-000000.tar ..., each a little more than `shard_bytes` at most, and
    `folder`/<split>/shards.json, the index that `wids` reads: every shard with its number of samples."""
    shuffled = _shuffled(selection)
    for split in selection.splits:
        (folder / split).mkdir()
        shards: list[dict[str, Any]] = []
        tar: tarfile.TarFile | None = None
        try:
            for row in shuffled.rows(split):
                if tar is None or tar.offset >= shard_bytes:
                    if tar is not None:
                        tar.close()
                    name = f"{split}-{len(shards):06}.tar"
                    shards.append({"url": name, "nsamples": 0})
                    tar = tarfile.open(folder / split / name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
                _add(tar, selection, row)
                shards[-1]["nsamples"] += 1
                count()
        finally:
            if tar is not None:
                tar.close()
        index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": split, "shardlist": shards}
        (folder / split / "shards.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _shuffled(selection: Selection) -> Selection:
    digests = [hashlib.sha256(take_id.encode()).hexdigest() for take_id in selection.takes["take_id"].to_pylist()]
    order = pa.array(sorted(range(len(digests)), key=digests.__getitem__))
    return dataclasses.replace(selection, takes=selection.takes.take(order))


def _add(tar: tarfile.TarFile, selection: Selection, row: Row) -> None:
    """One sample: <take_id>.dry.flac, .wet.flac, .cv.flac where there is one, and .json."""
    for kind, path in selection.audio_files(row).items():
        check_header(path, row)
        with path.open("rb") as file:
            tar.addfile(_member(f"{row['take_id']}.{kind}{path.suffix}", path.stat().st_size), file)
    text = json.dumps(row, default=_plain, ensure_ascii=False, allow_nan=False).encode()
    tar.addfile(_member(f"{row['take_id']}.json", len(text)), io.BytesIO(text))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Without time and owner: the same takes give the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _plain(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()

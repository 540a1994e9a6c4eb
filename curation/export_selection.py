"""Which takes go out, which songs may, and the row that describes each take: what every export format walks.

A song leaves only with a licence that allows it, and so do its takes: what came back from the unit is an adaptation of
what was sent. The takes stay in an Arrow table and become dictionaries a few hundred at a time, so that 38,500 of them
need no more memory than their table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..manifests.cells import with_splits
from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.ids import check_id
from ..manifests.licences import may_export, terms_of
from ..manifests.schema import ACCEPTED, SPLITS, TYPES, Column, arrow_schema
from ..manifests.tables import read_arrow

Row = dict[str, Any]
AUDIO = ("dry", "wet", "cv")  # what a take can consist of
UNSPLIT = "unsplit"  # where nothing is split yet; `datasets` keeps the word `all` for itself
ROWS = 256  # made into dictionaries at a time
SPLIT_COLUMN = Column("split", "text", "", f"{', '.join(SPLITS)}; {UNSPLIT} where the dataset is not split")
OF_SONG = ("title", "artist", "source", "license", "dry_path", "dry_sha256")
OF_ANNOTATION = ("tempo_bpm", "key", "genres", "instruments")
NOT_OF_TAKE = ("status", "sequence")


@dataclass(frozen=True)
class LeftOut:
    """A song that may not go out, why, and how many accepted takes stay behind with it."""

    song_id: str
    license: str | None
    why: str
    takes: int


@dataclass(frozen=True)
class Selection:
    """Takes in capture order, and what belongs to them."""

    dataset: Dataset
    takes: pa.Table  # columns of `takes`, and split
    columns: tuple[Column, ...]  # of `rows()`
    songs: dict[str, Row]  # only those that go out
    settings: dict[str, Row]  # only those of the takes
    annotations: dict[str, Row]
    left_out: tuple[LeftOut, ...]
    dry_once: bool = False  # the dry audio is no part of each row, but of its song

    @cached_property
    def splits(self) -> dict[str, int]:
        """Takes by split, in the order of `SPLITS`."""
        counts = Counter(self.takes["split"].to_pylist())
        return {name: counts[name] for name in (*SPLITS, UNSPLIT) if counts[name]}

    @cached_property
    def hours(self) -> float:
        """Duration of all wet audio."""
        seconds = pc.sum(pc.divide(self.takes["frames"].cast(pa.float64()), self.takes["sample_rate"]))
        return float(seconds.as_py() or 0.0) / 3600

    @cached_property
    def sample_rate(self) -> int | None:
        """Of every take in Hz; None where they differ."""
        rates = pc.unique(self.takes["sample_rate"]).to_pylist()
        return rates[0] if len(rates) == 1 else None

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What a row holds: dry, wet, and cv where one is recorded."""
        left_out = set() if self.takes["cv_path"].null_count < len(self.takes) else {"cv"}
        return tuple(kind for kind in AUDIO if kind not in (left_out | {"dry"} if self.dry_once else left_out))

    def rows(self, split: str | None = None) -> Iterator[Row]:
        """One dictionary a take (of `split`, if given), with the keys of `columns`: the take, its split, its setting,
        its song and what was heard in it."""
        names = [column.name for column in self.columns]
        takes = self.takes if split is None else self.takes.filter(pc.equal(self.takes["split"], split))
        for take in dictionaries(takes):
            song_id = take["song_id"]
            whole = take | self.settings[take["setting_id"]]
            whole |= {name: self.songs[song_id].get(name) for name in OF_SONG}
            whole |= {name: self.annotations.get(song_id, {}).get(name) for name in OF_ANNOTATION}
            yield {name: whole.get(name) for name in names}

    def audio_files(self, row: Mapping[str, Any], kinds: Iterable[str] | None = None) -> dict[str, Path]:
        """The files of one row, or song: those of `kinds` that there are."""
        paths = {kind: row.get(f"{kind}_path") for kind in (self.kinds if kinds is None else kinds)}
        return {kind: self.dataset.file(path) for kind, path in paths.items() if path}

    def audio_bytes(self, dry_with_each_take: bool) -> int:
        """How many bytes of audio go out. `DatasetError` when a file is missing, before anything is written."""
        sizes: dict[Path, int] = {}
        total = 0
        for row in self.rows():
            for kind, path in self.audio_files(row, AUDIO).items():
                new = path not in sizes
                if new:
                    if not path.is_file():
                        raise DatasetError(f"{row[f'{kind}_path']} does not exist", mend="type `buscomp verify`")
                    sizes[path] = path.stat().st_size
                if new or dry_with_each_take:
                    total += sizes[path]
        return total


def select(dataset: Dataset, splits: Iterable[str] = (), need_takes: bool = True) -> Selection:
    """The accepted takes of `dataset` (of `splits`, if given) whose songs may go out.

    With `need_takes` false every song that may go out is in `songs`, captured or not. `UsageError` for an unknown
    split; `DatasetError` when nothing is left, with what stands in the way.
    """
    wanted = tuple(splits)
    if unknown := [name for name in wanted if name not in SPLITS]:
        raise UsageError("no such split", got=", ".join(unknown), allowed=SPLITS)
    songs = {row["song_id"]: row for row in dataset.rows("songs") if row["status"] == ACCEPTED}
    refused = {song_id: why for song_id, row in songs.items() if (why := why_not(row))}
    takes = _takes(dataset, wanted) if need_takes or dataset.table_path("takes").exists() else None
    left: Counter[str] = Counter()
    if takes is not None:
        left.update(song_id for song_id in takes["song_id"].to_pylist() if song_id in refused)
        known = pa.array([song_id for song_id in songs if song_id not in refused], pa.string())
        if orphans := set(takes["song_id"].to_pylist()) - set(songs):
            raise DatasetError("takes name songs that are not in songs.parquet", got=", ".join(sorted(orphans)[:3]))
        takes = takes.filter(pc.is_in(takes["song_id"], known))
    stays = {song_id for song_id in refused if takes is None or not need_takes or left[song_id]}
    left_out = tuple(LeftOut(s, songs[s]["license"], refused[s], left[s]) for s in songs if s in stays)
    going = {song_id: row for song_id, row in songs.items() if song_id not in refused}
    if takes is not None and (need_takes or wanted):
        heard = set(takes["song_id"].to_pylist())
        going = {song_id: row for song_id, row in going.items() if song_id in heard}
    if not going:
        raise DatasetError("there is nothing to export", got=_nothing(left_out, wanted), mend=_mend(left_out))
    for song_id in going:
        check_id(song_id, "song_id")
    if takes is None:
        takes = arrow_schema("takes").append(pa.field("split", pa.string())).empty_table()
    used = set(takes["setting_id"].to_pylist()) if len(takes) else set()
    settings = {row["setting_id"]: row for row in dataset.rows("settings") if row["setting_id"] in used} if used else {}
    if missing := used - set(settings):
        raise DatasetError("takes name settings that are not in settings.parquet", got=", ".join(sorted(missing)[:3]))
    has_annotations = dataset.table_path("annotations").exists()
    heard_in = dataset.rows("annotations") if has_annotations else []
    annotations = {row["song_id"]: row for row in heard_in if row["song_id"] in going}
    columns = _row_columns(dataset, has_annotations) if len(takes) else ()
    return Selection(dataset, takes, columns, going, settings, annotations, left_out)


def why_not(song: Mapping[str, Any]) -> str | None:
    """Why this row of `songs` stays here; None when the song may go out."""
    if may_export(song):
        return None
    if not song["license"]:
        return "no licence is known"
    terms = terms_of(song["license"])
    if terms is None:
        return "its licence is not known here"
    return "songs.csv forbids it" if terms.redistribute else "its licence does not allow it"


def columns_of(path: Path, table: str) -> tuple[Column, ...]:
    """The columns that the manifest at `path` really has, with their units and meanings."""
    fields = read_arrow(path, table).schema
    told = [{key.decode(): text.decode() for key, text in (field.metadata or {}).items()} for field in fields]
    return tuple(
        Column(field.name, kind_of(field.type), its.get("unit", ""), its.get("meaning", ""))
        for field, its in zip(fields, told, strict=True)
    )


def kind_of(arrow_type: pa.DataType) -> str:
    """The name that `manifests/schema.py` has for an Arrow type."""
    return next(name for name, kind in TYPES.items() if kind == arrow_type)


def dictionaries(table: pa.Table) -> Iterator[Row]:
    """The rows of `table`, a few at a time, with None for what is no number."""
    for batch in table.to_batches(max_chunksize=ROWS):
        for row in batch.to_pylist():
            yield {name: None if value != value else value for name, value in row.items()}


def by_reason(left_out: Iterable[LeftOut]) -> list[str]:
    """`3 songs (12 takes): no licence is known`, one line for each reason and licence."""
    groups: dict[str, list[LeftOut]] = {}
    for song in left_out:
        groups.setdefault(f"{song.why}{f' ({song.license})' if song.license else ''}", []).append(song)
    return [
        f"{len(songs)} song{'s' * (len(songs) != 1)} ({sum(song.takes for song in songs)} takes): {why}"
        for why, songs in sorted(groups.items())
    ]


def _takes(dataset: Dataset, wanted: tuple[str, ...]) -> pa.Table:
    """Accepted takes in capture order, with their split."""
    takes = read_arrow(dataset.table_path("takes"), "takes")
    takes = takes.filter(pc.equal(takes["status"], ACCEPTED)).sort_by("sequence")
    names = pa.array([UNSPLIT] * len(takes), pa.string())
    if wanted or dataset.table_path("splits").exists():
        ids = takes.select(["song_id", "setting_id", "unit_id"]).to_pandas()
        names = pa.array(with_splits(ids, dataset.splits)["split"].fillna("unused"), pa.string())
    takes = takes.append_column("split", names)
    if wanted:
        takes = takes.filter(pc.is_in(takes["split"], pa.array(wanted, pa.string())))
    for take_id in takes["take_id"].to_pylist():
        check_id(take_id, "take_id")
    return takes


def _row_columns(dataset: Dataset, has_annotations: bool) -> tuple[Column, ...]:
    """Columns of `Selection.rows`. A control of the unit that is called like a column of takes is an error."""
    of = {table: columns_of(dataset.table_path(table), table) for table in ("takes", "settings", "songs")}
    takes = [column for column in of["takes"] if column.name not in NOT_OF_TAKE]
    settings = [column for column in of["settings"] if column.name != "setting_id"]
    songs = [column for column in of["songs"] if column.name in OF_SONG]
    heard: list[Column] = []
    if has_annotations:
        heard = [c for c in columns_of(dataset.table_path("annotations"), "annotations") if c.name in OF_ANNOTATION]
    columns = (takes[0], SPLIT_COLUMN, *songs, *heard, *settings, *takes[1:])
    twice = [name for name, count in Counter(column.name for column in columns).items() if count > 1]
    if twice or any(not re.fullmatch(r"\w+", column.name) or column.name in AUDIO for column in columns):
        raise DatasetError(
            "two columns of an exported row have one name", got=", ".join(twice) or "a name of the audio"
        )
    return columns


def _nothing(left_out: tuple[LeftOut, ...], wanted: tuple[str, ...]) -> str:
    if left_out:
        return "; ".join(by_reason(left_out))
    return f"no accepted take in {', '.join(wanted)}" if wanted else "no accepted take"


def _mend(left_out: tuple[LeftOut, ...]) -> str:
    if any(song.license is None for song in left_out):
        return "write the licences into songs.csv and type `buscomp catalog` again (`buscomp import` has --license)"
    return "only songs that may be passed on are exported" if left_out else "type `buscomp capture` first"

"""A dataset on disk: where everything lies, its tables, and its (dry, wet, setting) pairs.

my-dataset/
  songs/                             what the user drops in (read only)
  dry/<song_id>.flac                 exactly what is sent, before the boost
  wet/<setting_id>/<song_id>.flac    accepted takes, same frames as dry; with several units wet/<unit_id>/...
  cv/<setting_id>/<song_id>.flac     the gain-control voltage beside a take, where it is recorded
  attempts/<take_id>/                a take in progress or rejected, as WAV
  fingerprints/<fingerprint_id>.flac what a probe of a setting returned
  manifests/*.parquet                derived tables
  journal.sqlite                     the truth about takes; journal.backup.sqlite is a copy after the last pass
  grid.yaml  unit.yaml               what was planned, on which unit
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from .cells import chosen, windows_of, with_splits
from .errors import DatasetError, UsageError
from .ids import resolve_under
from .journal import Journal
from .journal_arrow import tables_of
from .pcm import Float32, read_audio
from .schema import ACCEPTED, arrow_schema, setting_columns
from .storage import full_disk_named, write_whole
from .tables import read_rows, read_table, write_arrow, write_table
from .unit import Unit, load_unit


@dataclass(frozen=True)
class Pair:
    """One accepted take beside what was sent: unpacks as `dry, wet, setting = pair`."""

    dry: Float32  # (frames, channels), peak at -12 dBFS
    wet: Float32  # (frames, channels), sample-aligned with dry
    setting: dict[str, Any]  # the row of `settings`: setting_id, origin, every control
    take_id: str
    song_id: str
    setting_id: str
    sample_rate: int
    unit_id: str
    start_frame: int = 0  # of dry and wet in the take; not 0 only for a window of a subset

    def __iter__(self) -> Iterator[Any]:
        return iter((self.dry, self.wet, self.setting))


class Dataset:
    """The folder `root`. Nothing is read before it is asked for; tables are read once."""

    def __init__(self, root: Path | str):
        self.root = Path(root)

    # where things lie

    @property
    def songs_folder(self) -> Path:
        return self.root / "songs"

    @property
    def unit_path(self) -> Path:
        return self.root / "unit.yaml"

    @property
    def grid_path(self) -> Path:
        return self.root / "grid.yaml"

    @property
    def journal_path(self) -> Path:
        return self.root / "journal.sqlite"

    @property
    def backup_path(self) -> Path:
        """A copy of the journal as it was after the last pass."""
        return self.root / "journal.backup.sqlite"

    def table_path(self, table: str) -> Path:
        return self.root / "manifests" / f"{table}.parquet"

    @property
    def attempts_folder(self) -> Path:
        return self.root / "attempts"

    def attempt_folder(self, take_id: str) -> Path:
        return self.attempts_folder / take_id

    @staticmethod
    def dry_path(song_id: str) -> str:
        """Relative path of a song's dry audio."""
        return f"dry/{song_id}.flac"

    @staticmethod
    def wet_path(setting_id: str, song_id: str, unit_id: str | None = None) -> str:
        """Relative path of an accepted take. `unit_id` is given where several units are captured at once."""
        return f"wet/{unit_id + '/' if unit_id else ''}{setting_id}/{song_id}.flac"

    @staticmethod
    def cv_path(setting_id: str, song_id: str, unit_id: str | None = None) -> str:
        """Relative path of the control voltage beside an accepted take."""
        return f"cv/{unit_id + '/' if unit_id else ''}{setting_id}/{song_id}.flac"

    @staticmethod
    def fingerprint_path(fingerprint_id: str) -> str:
        """Relative path of what a probe of a setting returned."""
        return f"fingerprints/{fingerprint_id}.flac"

    def file(self, relative: str) -> Path:
        """The path that a manifest names, proven to lie inside the dataset."""
        return resolve_under(self.root, relative)

    # tables

    @cached_property
    def unit(self) -> Unit:
        """The unit that was captured."""
        if not self.unit_path.exists():
            raise DatasetError("this dataset has no unit.yaml yet", mend="type `buscomp capture` first")
        return load_unit(self.unit_path)

    @cached_property
    def songs(self) -> pd.DataFrame:
        """One row per song."""
        return read_table(self.table_path("songs"), "songs")

    @cached_property
    def settings(self) -> pd.DataFrame:
        """One row per setting, in visiting order."""
        return read_table(self.table_path("settings"), "settings")

    @cached_property
    def takes(self) -> pd.DataFrame:
        """One row per attempt; look at `status`."""
        return read_table(self.table_path("takes"), "takes")

    @cached_property
    def splits(self) -> pd.DataFrame:
        """Which (song, setting) is for what."""
        return read_table(self.table_path("splits"), "splits")

    @cached_property
    def subsets(self) -> pd.DataFrame:
        """Windows of training takes, of every subset."""
        return read_table(self.table_path("subsets"), "subsets")

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """Key, tempo, genres and instruments of the songs."""
        return read_table(self.table_path("annotations"), "annotations")

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table as it is on disk now, as dictionaries of plain values."""
        return read_rows(self.table_path(table), table)

    # pairs

    def pair_table(
        self,
        split: str | None = None,
        *,
        song: str | None = None,
        setting: str | None = None,
        unit: str | None = None,
        fold: int | None = None,
        subset: str | None = None,
    ) -> pd.DataFrame:
        """One row per accepted take (of `split`, if given): take_id, song_id, setting_id, unit_id, dry_path, wet_path,
        sample_rate, start_frame, frames, the columns of `splits` when there is one, and every column of its setting.

        `song` (seen, validation or unseen), `setting` and `unit` (seen or unseen) address any cell, such as
        song="seen", setting="unseen". `fold` reads a split of several folds as if that one were the test. `subset`
        gives its windows instead of whole takes: start_frame and frames say where they lie.
        """
        takes = self.takes[self.takes["status"] == ACCEPTED]
        takes = takes[["take_id", "song_id", "setting_id", "unit_id", "wet_path", "sample_rate", "frames", "sequence"]]
        table = takes.merge(self.songs[["song_id", "dry_path"]], on="song_id", validate="many_to_one")
        table["start_frame"] = 0
        if subset is not None and split not in (None, "train"):
            raise UsageError("a subset is of the split train", got=split, mend="leave the split out")
        roles = {"song_role": song, "setting_role": setting, "unit_role": unit}
        asked = (split, fold, subset, *roles.values())
        if asked != (None,) * len(asked) or self.table_path("splits").exists():
            table = with_splits(table, self.splits, fold)
            if subset is not None:
                table = windows_of(table, self.subsets, subset)
            table = chosen(table, split, roles)
        table = table.merge(self.settings, on="setting_id", validate="many_to_one")
        return table.sort_values(["sequence", "start_frame"]).drop(columns="sequence").reset_index(drop=True)

    def pairs(
        self,
        split: str | None = None,
        *,
        song: str | None = None,
        setting: str | None = None,
        unit: str | None = None,
        fold: int | None = None,
        subset: str | None = None,
    ) -> Iterator[Pair]:
        """Every accepted take as `(dry, wet, setting)`, in capture order, one at a time; which ones, the words of
        `pair_table` say. With `subset` the audio is cut to its windows."""
        table = self.pair_table(split, song=song, setting=setting, unit=unit, fold=fold, subset=subset)
        setting_names = list(self.settings.columns)
        dry_of = lru_cache(maxsize=8)(read_audio)
        for row in table.to_dict("records"):
            where = (row["start_frame"], row["frames"]) if subset is not None else (0, None)
            dry, sample_rate = dry_of(self.file(row["dry_path"]), *where)
            wet, wet_rate = read_audio(self.file(row["wet_path"]), *where)
            if wet.shape != dry.shape or wet_rate != sample_rate:
                raise DatasetError(
                    f"{row['wet_path']} does not fit its dry audio",
                    got=f"{wet.shape} at {wet_rate} Hz",
                    allowed=f"{dry.shape} at {sample_rate} Hz",
                    mend="type `buscomp verify`",
                )
            setting_row = {name: row[name] for name in setting_names}
            yield Pair(
                dry,
                wet,
                setting_row,
                row["take_id"],
                row["song_id"],
                row["setting_id"],
                sample_rate,
                row["unit_id"],
                row["start_frame"],
            )

    # writing

    @contextmanager
    def lock(self, part: str | None = None) -> Iterator[None]:
        """Hold the dataset for writing, or only the `part` of it that one verb writes, such as its annotations. A
        second holder is a `UsageError` that names the first."""
        self.root.mkdir(parents=True, exist_ok=True)
        name = f".lock-{part}" if part else ".lock"
        lock = filelock.FileLock(self.root / name, timeout=0)
        holder = self.root / f"{name}-holder"
        try:
            lock.acquire()
        except filelock.Timeout:
            who = holder.read_text().strip() if holder.exists() else "another process"
            what = f"the {part} of this dataset are" if part else "this dataset is"
            raise UsageError(f"{what} in use by {who}", mend="wait for it, or stop it") from None
        try:
            started = datetime.now(UTC).isoformat(timespec="seconds")
            with full_disk_named(holder):
                holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {started}\n")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def journal(self) -> Journal:
        """The open journal; use it as a context manager."""
        return Journal(self.journal_path)

    def snapshot(self, journal: Journal) -> None:
        """Derive settings, takes, sessions, fingerprints and a copy of the journal itself, each file whole or as it
        was."""
        if settings := journal.fact("settings"):
            write_table(self.table_path("settings"), "settings", json.loads(settings), setting_columns(self.unit))
        write_arrow(self.table_path("takes"), arrow_schema("takes"), tables_of(journal, "takes"))
        write_table(self.table_path("sessions"), "sessions", journal.sessions())
        write_table(self.table_path("fingerprints"), "fingerprints", journal.fingerprints())
        write_whole(self.backup_path, journal.save_copy)


def open_dataset(path: Path | str) -> Dataset:
    """The dataset at `path`: the door for any downstream trainer.

    >>> dataset = open_dataset("my-dataset")                      # doctest: +SKIP
    >>> for dry, wet, setting in dataset.pairs(split="train"):    # doctest: +SKIP
    ...     print(wet.shape, setting["threshold_db"], setting["release_auto"])
    """
    dataset = Dataset(path)
    if not (dataset.root / "manifests").is_dir():
        raise DatasetError(
            f"{path} is not a dataset: it has no manifests folder", mend="type `buscomp catalog songs` in it"
        )
    return dataset

"""An export as a folder of files: itself a dataset, which `buscomp.open_dataset` opens and `buscomp verify` checks.

With `windows` only that piece of every song and of all its takes goes out, cut sample by sample and written as FLAC
again. Lengths, hashes and levels in the tables are then those of the piece; what else was measured, latency and noise
and gain reduction, still speaks of the whole take.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ..manifests import levels
from ..manifests.errors import DatasetError
from ..manifests.pcm import pcm_sha256, read_pcm, to_float, write_flac
from ..manifests.tables import read_rows
from .export_selection import Row, Selection
from .export_tables import write_tables

SIDE_FILES = ("unit.yaml", "grid.yaml", "calibration.json")


@dataclass(frozen=True)
class Window:
    """A piece of a song, in frames."""

    start_frame: int
    frames: int


def write_tree(
    selection: Selection,
    folder: Path,
    count: Callable[[], None],
    windows: Mapping[str, Window] | None = None,
) -> None:
    """Write audio, tables, unit and grid of `selection` into `folder`. `windows`: by song_id, for all songs or none."""
    songs: dict[str, Row] = {}
    takes: dict[str, Row] = {}
    for row in selection.rows():
        song_id, take_id = row["song_id"], row["take_id"]
        window = (windows or {}).get(song_id)
        for kind, path in selection.audio_files(row).items():
            if kind == "dry" and song_id in songs:
                continue
            target = folder / row[f"{kind}_path"]
            check_header(path, row)
            target.parent.mkdir(parents=True, exist_ok=True)
            if window is None:
                shutil.copyfile(path, target)
                changed = {}
            else:
                changed = _cut(path, target, window, kind)
            of, name = (songs, song_id) if kind == "dry" else (takes, take_id)
            of[name] = of.get(name, {}) | changed
        count()
    changes = {}
    if windows:
        heard = {song_id: {"dry_sha256": row["dry_sha256"]} for song_id, row in songs.items()}
        changes = {"songs": songs, "takes": takes, "annotations": heard}
    write_tables(selection, folder, changes)
    _write_fingerprints(selection, folder)
    for name in SIDE_FILES:
        if (selection.dataset.root / name).exists():
            shutil.copyfile(selection.dataset.root / name, folder / name)


def check_header(path: Path, row: Row) -> None:
    """`DatasetError` unless the file at `path` says that it has the rate and the frames of `row`. Samples are not
    decoded: that is the work of `buscomp verify`."""
    try:
        found = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise DatasetError(f"{path.name} is no audio: {error.error_string}", mend="type `buscomp verify`") from error
    if (found.frames, found.samplerate) != (row["frames"], row["sample_rate"]):
        raise DatasetError(
            f"{path.parent.name}/{path.name} is not what its table says",
            got=f"{found.frames} frames at {found.samplerate} Hz",
            allowed=f"{row['frames']} at {row['sample_rate']} Hz",
            mend="type `buscomp verify`",
        )


def _cut(source: Path, target: Path, window: Window, kind: str) -> Row:
    """Write the window of `source` to `target`; what the tables have to say of it instead."""
    pcm, sample_rate = read_pcm(source)
    piece = np.ascontiguousarray(pcm[window.start_frame : window.start_frame + window.frames])
    write_flac(target, piece, sample_rate)
    changed: Row = {f"{kind}_sha256": pcm_sha256(piece)}
    if kind == "dry":
        from .song_columns import dry_columns  # numba is loaded only where levels are measured

        return changed | dry_columns(piece, sample_rate)
    if kind == "wet":
        audio = to_float(piece)
        loudness_lufs = levels.loudness_lufs(audio, sample_rate)
        changed |= {"frames": len(piece), "peak_dbfs": levels.peak_dbfs(audio), "loudness_lufs": loudness_lufs}
    return changed


def _write_fingerprints(selection: Selection, folder: Path) -> None:
    """The audio of the fingerprints that the tables of the export name."""
    table = folder / "manifests" / "fingerprints.parquet"
    for row in read_rows(table, "fingerprints") if table.exists() else []:
        if row["audio_path"]:
            (folder / row["audio_path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(selection.dataset.file(row["audio_path"]), folder / row["audio_path"])

"""The folder a user drops songs into: which files are songs, under which ids, and what `songs.csv` says of them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..manifests.errors import UsageError
from ..manifests.ids import id_from_name
from ..manifests.licences import may_redistribute

SUFFIXES = (".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc")
CSV_NAME = "songs.csv"
CSV_COLUMNS = ("file", "title", "artist", "source", "license", "redistribute")
YES_NO = {"yes": True, "no": False}


def song_files(folder: Path) -> tuple[dict[str, str], list[str]]:
    """song_id -> file name of every audio file directly in `folder`, by song_id, and notes about what is ignored."""
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}", mend="put songs into it, or name another: buscomp catalog FOLDER")
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    names = [path.name for path in entries if path.suffix.lower() in SUFFIXES and (path.is_file() or path.is_symlink())]
    ignored = [path.name for path in entries if path.name not in names and path.name != CSV_NAME]
    if not names:
        raise UsageError(f"no audio files in {folder}", allowed="wav, flac, ogg, opus, mp3, aiff")
    files: dict[str, str] = {}
    for name in names:
        song_id = id_from_name(Path(name).stem)
        if song_id in files:
            raise UsageError(f"{files[song_id]} and {name} fold to one id, {song_id}", mend="rename one of them")
        files[song_id] = name
    notes = [f"ignored, not audio by its name: {text_of(name)}" for name in ignored]
    return dict(sorted(files.items())), notes


def read_songs_csv(folder: Path) -> dict[str, dict[str, str | None]]:
    """What `songs.csv` beside the audio says: file name -> title, artist, source, license, redistribute (None for an
    empty cell). Nothing when there is no such file.

    `UsageError` naming the line for an unknown column, a row with too few or too many cells, a file named twice, or a
    `redistribute` that is neither yes nor no.
    """
    try:
        text = (folder / CSV_NAME).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{CSV_NAME} cannot be read as UTF-8 text", mend="save it as CSV in UTF-8") from error
    described: dict[str, dict[str, str | None]] = {}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if "file" not in header or len(set(header)) != len(header) or not set(header) <= set(CSV_COLUMNS):
            got = ",".join(header) or "nothing"
            raise UsageError(f"{CSV_NAME}:1: the first line must name the columns", got=got, allowed=CSV_COLUMNS)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{CSV_NAME}:{reader.line_num}"
            if len(cells) != len(header):
                raise UsageError(
                    f"{where}: one cell per column",
                    got=f"{len(cells)} cells",
                    allowed=f"{len(header)}",
                    mend="put quotes around a cell that holds a comma",
                )
            row = {name: cell.strip() or None for name, cell in zip(header, cells, strict=True)}
            file = row.pop("file")
            if file is None:
                raise UsageError(f"{where}: the cell `file` is empty")
            if file in described:
                raise UsageError(f"{where}: a file is named twice", got=file)
            told = row.get("redistribute")
            if told is not None and told.lower() not in YES_NO:
                raise UsageError(f"{where}: whether exports may hold {file}", got=told, allowed=YES_NO)
            described[file] = row
    except csv.Error as error:
        raise UsageError(f"{CSV_NAME}:{reader.line_num}: not valid CSV: {error}") from None
    return described


def described_by(name: str, described: Mapping[str, Mapping[str, str | None]]) -> dict[str, Any]:
    """title, artist, source, license and redistributable. The title is the file's name where songs.csv gives none;
    redistributable is its cell `redistribute`, else what the license allows."""
    told = described.get(name, {})
    row: dict[str, Any] = {column: told.get(column) for column in ("title", "artist", "source", "license")}
    said = told.get("redistribute")
    allowed = may_redistribute(row["license"]) if said is None else YES_NO[said.lower()]
    return row | {"title": row["title"] or text_of(Path(name).stem), "redistributable": allowed}


def text_of(name: str) -> str:
    """A file name as valid Unicode, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "replace")

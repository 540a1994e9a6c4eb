"""annotations.csv: what a person knows better. It lies in the dataset's folder, and its words win.

    song_id,tempo_bpm,key,genres,instruments
    night-bus,97.3,F minor,rock;folk,guitar;vocal
    first-light,,,ambient,

An empty cell corrects nothing; a lone `-` says that there is none: no tempo, no key, no genre.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..manifests.errors import UsageError
from .vocabulary import VOCABULARIES, label_of, names

FILE = "annotations.csv"
COLUMNS = ("tempo_bpm", "key", *VOCABULARIES)
NONE = "-"
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
MAX_BYTES = 16 << 20
KEY = re.compile(r"([A-Ga-g])([#b]?)\s+(major|minor)", re.IGNORECASE)
SPELLED = {"db": "C#", "d#": "Eb", "gb": "F#", "g#": "Ab", "a#": "Bb", "cb": "B", "b#": "C", "e#": "F", "fb": "E"}


def read_corrections(path: Path, song_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """song_id -> what `path` says of it, by column; empty where there is no such file. `UsageError` with file and line
    for an unknown song, column, key, genre or instrument, and for a song that stands there twice."""
    if not path.exists():
        return {}
    found: dict[str, dict[str, Any]] = {}
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path.name} is too large to be hand-written", allowed="up to 16 MB")
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets begin a file with a mark
            rows = csv.DictReader(file, strict=True)
            header = [name.strip() for name in rows.fieldnames or ()]
            if "song_id" not in header or not set(header) <= {"song_id", *COLUMNS} or len(set(header)) < len(header):
                raise UsageError(
                    f"{path.name}:1: columns",
                    got=", ".join(header) or "none",
                    allowed=("song_id", *COLUMNS),
                    mend="separate cells by commas" if {";", "\t"} & set("".join(header)) else None,
                )
            rows.fieldnames = header
            for row in rows:
                where = f"{path.name}:{rows.line_num}"
                if None in row or None in row.values():
                    raise UsageError(f"{where}: as many cells as columns", allowed=str(len(header)))
                song_id = row.pop("song_id").strip()
                if song_id not in song_ids:
                    raise UsageError(f"{where}: no accepted song has this id", got=song_id or "an empty cell")
                if song_id in found:
                    raise UsageError(f"{where}: {song_id} stands here twice")
                cells = {column: text.strip() for column, text in row.items()}
                found[song_id] = {column: _value(column, text, where) for column, text in cells.items() if text}
    except (UnicodeDecodeError, csv.Error, IsADirectoryError) as error:
        mend = 'save it as "CSV UTF-8"' if isinstance(error, UnicodeDecodeError) else None
        raise UsageError(f"{path.name} is not a CSV file in UTF-8", got=str(error), mend=mend) from None
    return found


def _value(column: str, text: str, where: str) -> Any:
    if text == NONE:
        return [] if column in VOCABULARIES else None
    if column == "tempo_bpm":
        return _tempo_bpm(text, where)
    if column == "key":
        return key_named(text, where)
    words = [word.strip() for word in text.split(";") if word.strip()]
    for word in words:
        if label_of(column, word) is None:
            raise UsageError(f"{where}: no such word in {column}", got=word, allowed=names(column))
    return list(dict.fromkeys(label_of(column, word) for word in words))


def _tempo_bpm(text: str, where: str) -> float:
    try:
        tempo_bpm = float(text)
    except ValueError:
        tempo_bpm = math.nan
    if not SLOWEST_BPM <= tempo_bpm <= FASTEST_BPM:
        raise UsageError(f"{where}: tempo_bpm", got=text, allowed=f"{SLOWEST_BPM:g} to {FASTEST_BPM:g}")
    return tempo_bpm


def key_named(text: str, where: str) -> str:
    """A key as our tables spell it: "db MAJOR" is C# major. `UsageError` for anything that is no key."""
    match = KEY.fullmatch(text)
    if match is None:
        raise UsageError(f"{where}: key", got=text, allowed="a tonic, a space, major or minor: C# major, Bb minor")
    tonic = match[1].upper() + match[2].lower()
    return f"{SPELLED.get(tonic.lower(), tonic)} {match[3].lower()}"

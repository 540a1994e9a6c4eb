"""What the music is, as tables: hours by label, tempo and key, and this dataset beside the published ones.

Pure functions from the manifests. `music` everywhere is the table that `described` makes: one row per accepted song.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ..manifests.schema import ACCEPTED
from ..manifests.unit import AUTO, Unit, auto_column, shown

PUBLISHED = Path(__file__).with_name("datasets_table1.csv")  # Table 1 of "Solid State Bus-Comp" (2025)
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEY = re.compile(r"([A-Ga-g])([#b]*) (major|minor)")
SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}


def described(songs: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Accepted songs with `hours` and their annotations. An annotation of other audio than the song has now, or with
    no hash of what was heard, is left out: its columns are null."""
    heard = annotations.drop_duplicates("song_id", keep="last")
    music = songs[songs["status"] == ACCEPTED].merge(heard, on="song_id", how="left", suffixes=("", "_heard"))
    stale = (music["dry_sha256_heard"] != music["dry_sha256"]).fillna(True)
    columns = [name for name in annotations.columns if name not in ("song_id", "dry_sha256")]
    music[columns] = music[columns].astype(object).mask(stale)
    music["hours"] = music["duration_s"].astype(float) / 3600
    music["out_of_date"] = stale & music["song_id"].isin(heard["song_id"])
    return music.drop(columns="dry_sha256_heard")


def hours_by_label(music: pd.DataFrame, column: str) -> pd.DataFrame:
    """`label, songs, hours`, most hours first. A song with several labels counts under each of them."""
    labels = music[["song_id", "hours", column]].dropna(subset=column).explode(column).dropna(subset=column)
    labels = labels.drop_duplicates(["song_id", column])
    table = labels.groupby(column).agg(songs=("song_id", "size"), hours=("hours", "sum")).reset_index()
    table = table.rename(columns={column: "label"}).astype({"hours": float})
    return table.sort_values(["hours", "label"], ascending=[False, True]).reset_index(drop=True)


def tempo_histogram(music: pd.DataFrame, width_bpm: int = 10) -> pd.DataFrame:
    """`from_bpm, to_bpm, songs, hours` in steps of `width_bpm` without a hole; `to_bpm` is no part of its step."""
    known = music[["tempo_bpm", "hours"]].dropna().astype(float)
    steps = np.floor(known["tempo_bpm"] / width_bpm).astype(int)
    table = known.groupby(steps)["hours"].agg(songs="size", hours="sum")
    if len(table):
        table = table.reindex(range(table.index.min(), table.index.max() + 1), fill_value=0)
    start = table.index.to_numpy().astype(int) * width_bpm
    return pd.DataFrame(
        {"from_bpm": start, "to_bpm": start + width_bpm, "songs": table["songs"].astype(int), "hours": table["hours"]}
    ).reset_index(drop=True)


def key_histogram(music: pd.DataFrame) -> pd.DataFrame:
    """`tonic, mode, songs, hours`: 24 rows, tonics upward from C, C# and Db as one. What is no key is left out."""
    found = music["key"].map(_key, na_action="ignore")
    table = music.assign(key=found).dropna(subset="key").groupby("key")["hours"].agg(["size", "sum"])
    keys = [(tonic, mode) for tonic in TONICS for mode in ("major", "minor")]
    counts = {key: (int(row["size"]), float(row["sum"])) for key, row in table.iterrows()}
    rows = [(*key, *counts.get(key, (0, 0.0))) for key in keys]
    return pd.DataFrame(rows, columns=["tonic", "mode", "songs", "hours"])


def _key(name: str) -> tuple[str, str] | None:
    """`Db major` -> ("C#", "major"); None for `X` and for modes that are neither major nor minor."""
    if not (match := KEY.fullmatch(name)):
        return None
    letter, accidentals, mode = match.groups()
    semitone = SEMITONES[letter.lower()] + accidentals.count("#") - accidentals.count("b")
    return TONICS[semitone % 12], mode


def published() -> pd.DataFrame:
    """Table 1 of "Solid State Bus-Comp" (2025): `dataset, device, hours, type, parameters, combinations`, and, ours,
    `where` the data are and a `note`."""
    return pd.read_csv(PUBLISHED, keep_default_na=False)


def beside_others(
    name: str, unit: Unit | None, settings: pd.DataFrame, accepted: pd.DataFrame, others: pd.DataFrame
) -> pd.DataFrame:
    """Published datasets and this one, by hours of wet audio, with `is_ours`.

    Our row is computed: hours of the accepted takes, and the settings that have one. `type` and `where` are not in the
    manifests, so they stay empty.
    """
    used = settings[settings["setting_id"].isin(accepted["setting_id"])]
    ours = {
        "dataset": name,
        "device": f"{unit.make} {unit.model}" if unit else "",
        "hours": wet_hours(accepted),
        "type": "",
        "parameters": "; ".join(ranges(unit, used)) if unit else "",
        "combinations": len(used),
        "where": "",
        "note": "computed from its manifests",
    }
    table = pd.concat([others.assign(is_ours=False), pd.DataFrame([ours | {"is_ours": True}])])
    return table.sort_values("hours", kind="stable").reset_index(drop=True)


def wet_hours(takes: pd.DataFrame) -> float:
    """Hours of audio of `takes`."""
    return float((takes["frames"].astype(float) / takes["sample_rate"].astype(float)).sum() / 3600)


def ranges(unit: Unit, settings: pd.DataFrame) -> list[str]:
    """`threshold -28 to -16 dB`, `release 0.1 to 0.8 s or auto`, for each control that `settings` vary."""
    texts = []
    for name, control in unit.controls.items():
        if control.held is not None or name not in settings.columns:
            continue
        values = settings[name].dropna()
        numeric = control.column_type == "float"
        words = [f"{values.min():g} to {values.max():g} {control.unit}".strip()] if numeric and len(values) else []
        words += sorted({shown(value) for value in values}) if not numeric else []
        automatic = control.has_auto and bool(settings[auto_column(name)].fillna(False).astype(bool).any())
        texts.append(f"{control.label.lower()} {' or '.join(words + [AUTO] * automatic)}".strip())
    return texts

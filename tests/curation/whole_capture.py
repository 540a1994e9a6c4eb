"""The tables of a whole capture, without its audio: as many songs, settings and takes as the published dataset has."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from buscomp.curation.split import split
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.schema import setting_columns
from buscomp.manifests.tables import write_table
from buscomp.manifests.unit import Setting
from buscomp.tests.small_dataset import UNIT_PATH

BEGIN = datetime(2026, 1, 2, 9, tzinfo=UTC)
GENRES = ("rock", "pop", "electronic", "folk", "ambient", "metal", "jazz", "hip hop")
INSTRUMENTS = ("bass", "drums", "guitar", "vocals", "synth", "piano", "strings", "keyboard", "brass", "woodwind")
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
REASONS = ("clock_drift", "xrun", "noise_floor", "static_gain", "knob_moved", "lost_samples")
Row = dict[str, Any]


def write_whole_capture(
    path: Path, songs: int = 175, settings: int = 220, sessions: int = 36, rejected: float = 0.006
) -> Dataset:
    """A dataset at `path` of which only the manifests exist: every song taken at every setting, with latency, noise and
    gain that drift as they do in a rack, and a share of takes `rejected` and taken again. The last setting is not
    quite finished: its last ten songs are planned."""
    dataset = Dataset(path)
    path.mkdir(parents=True, exist_ok=True)
    shutil.copy(UNIT_PATH, dataset.unit_path)
    random = np.random.default_rng(500)
    chosen = _settings(dataset, settings, random)
    song_rows = [_song(number, random) for number in range(songs)]
    write_table(dataset.table_path("songs"), "songs", song_rows)
    write_table(dataset.table_path("annotations"), "annotations", [_annotation(row, random) for row in song_rows])
    unit = dataset.unit
    setting_rows = [
        {
            "setting_id": s.setting_id,
            "origin": s.origin,
            **unit.to_row(s.values),
            "visit_order": n,
            "moves_from_previous": 1,
        }
        for n, s in enumerate(chosen)
    ]
    write_table(dataset.table_path("settings"), "settings", setting_rows, setting_columns(unit))
    takes = _takes(unit.unit_id, song_rows, chosen, sessions, rejected, random)
    write_table(dataset.table_path("takes"), "takes", takes)
    write_table(dataset.table_path("sessions"), "sessions", _sessions(takes))
    split(dataset)
    return Dataset(path)


def _settings(dataset: Dataset, count: int, random: np.random.Generator) -> list[Setting]:
    """Two thirds a grid, the rest drawn from the whole panel."""
    unit = dataset.unit
    grid = [
        unit.setting({"threshold_db": t, "attack_ms": a, "release_s": r, "ratio": q}, "grid")
        for t in (-28, -24, -20, -16)
        for a in (0.1, 1, 3)
        for r in (0.1, 0.4, 0.8, "auto")
        for q in (2, 4, 10)
    ][: -(-count * 2 // 3)]
    found = {s.setting_id: s for s in grid}
    while len(found) < count:
        varied = {n: c.positions[random.integers(len(c.positions))] for n, c in unit.controls.items() if c.held is None}
        setting = unit.setting(varied, "random")
        found.setdefault(setting.setting_id, setting)
    return list(found.values())


def _song(number: int, random: np.random.Generator) -> Row:
    frames = int(44_100 * random.uniform(150, 330))
    crest_db = float(random.normal(15, 2.5))
    return {
        "song_id": f"song-{number:03}",
        "title": f"Song {number} of a long summer",
        "artist": f"Artist {number % 60}",
        "source": "rendered",
        "license": "CC0-1.0",
        "source_path": f"songs/{number}.wav",
        "sample_rate": 44_100,
        "frames": frames,
        "channels": 2,
        "duration_s": frames / 44_100,
        "peak_dbfs": -12.0,
        "true_peak_dbtp": -11.8,
        "rms_dbfs": -12 - crest_db,
        "crest_db": crest_db,
        "loudness_lufs": -12 - crest_db + 1.5,
        "dc_offset": 0.0,
        "clipped_runs": 0,
        "dry_path": f"dry/song-{number:03}.flac",
        "dry_sha256": f"{number:064}",
        "dry_gain_db": -3.0,
        "status": "accepted",
        "reasons": [],
    }


def _annotation(song: Row, random: np.random.Generator) -> Row:
    shares = np.array([30, 28, 22, 14, 6, 5, 5, 4.0])
    genres = random.choice(GENRES, size=random.integers(1, 3), replace=False, p=shares / shares.sum())
    instruments = random.choice(INSTRUMENTS, size=random.integers(2, 6), replace=False)
    mode = "major" if random.random() < 0.7 else "minor"
    return {
        "song_id": song["song_id"],
        "dry_sha256": song["dry_sha256"],
        "tempo_bpm": float(np.clip(random.normal(120, 18), 66, 172)),
        "tempo_confidence": 0.8,
        "key": f"{TONICS[random.integers(12)]} {mode}",
        "key_confidence": 0.7,
        "genres": sorted(genres.tolist()),
        "genres_backend": "musicnn-msd",
        "instruments": sorted(instruments.tolist()),
        "instruments_backend": "musicnn-mtt",
    }


def _takes(
    unit_id: str, songs: list[Row], settings: list[Setting], sessions: int, rejected: float, random: np.random.Generator
) -> list[Row]:
    pairs = [(setting, song) for setting in settings for song in songs]
    rows: list[Row] = []
    now = BEGIN
    for sequence, (setting, song) in enumerate(pairs):
        session = sequence * sessions // len(pairs)
        shared = {
            "song_id": song["song_id"],
            "setting_id": setting.setting_id,
            "unit_id": unit_id,
            "sequence": sequence,
        }
        if sequence >= len(pairs) - 10:
            rows.append({"take_id": f"t{sequence:06}-1", **shared, "attempt": 1, "status": "planned", "reasons": []})
            continue
        attempts = 2 if random.random() < rejected else 1
        for attempt in range(1, attempts + 1):
            good = attempt == attempts
            measured = _measured(setting, song, session, sequence / len(pairs), good, random)
            take = {"take_id": f"t{sequence:06}-{attempt}", **shared, "attempt": attempt, "started_at": now}
            rows.append(take | {"session_id": f"session-{session:03}", **measured})
            now += timedelta(seconds=song["duration_s"] + 8)
    return rows


def _measured(setting: Setting, song: Row, session: int, at: float, good: bool, random: np.random.Generator) -> Row:
    over_db = max(0.0, -song["crest_db"] + 3 - float(setting.values["threshold_db"]))
    reduction_db = over_db * (1 - 1 / float(setting.values["ratio"])) * 0.6 + abs(random.normal(0, 0.15))
    reasons = [] if good else [str(r) for r in random.choice(REASONS, size=random.integers(1, 3), replace=False)]
    return {
        "status": "accepted" if good else "rejected",
        "reasons": reasons,
        "wet_path": f"wet/{setting.setting_id}/{song['song_id']}.flac" if good else None,
        "wet_sha256": f"{session:064}",
        "sample_rate": 44_100,
        "frames": song["frames"],
        "channels": 2,
        "elapsed_s": song["duration_s"],
        "latency_samples": 137.3
        + 0.02 * (session % 5)
        + random.normal(0, 0.004)
        + (0 if good else 30 * random.random()),
        "latency_std_samples": 0.004 + abs(random.normal(0, 0.001)),
        "integer_shift_samples": 137,
        "drift_samples": random.normal(0, 0.003) if good else random.normal(0, 3),
        "xruns": 0 if good else 1,
        "peak_dbfs": -12.0 - reduction_db,
        "clipped_runs": 0,
        "noise_floor_dbfs": -95 + 0.4 * (session % 7) + random.normal(0, 0.3),
        "hum_dbfs": -108 + random.normal(0, 0.6),
        "static_gain_db": 0.04 * np.sin(20 * at) + random.normal(0, 0.01),
        "channel_imbalance_db": 0.02 + random.normal(0, 0.005),
        "gain_reduction_mean_db": reduction_db,
        "gain_reduction_max_db": 1.8 * reduction_db + 0.5,
        "loudness_lufs": song["loudness_lufs"] - reduction_db,
    }


def _sessions(takes: list[Row]) -> list[Row]:
    ends: dict[str, list[datetime]] = {}
    for take in takes:
        if "session_id" in take:
            ends.setdefault(take["session_id"], []).append(take["started_at"])
    shared = {"device": "Fireface UFX", "host_api": "ALSA", "sample_rate": 44_100, "block_size": 512, "sends": "3,4"}
    shared |= {"returns": "3,4", "unit_make": "SSL", "send_boost_db": 5.0, "return_trim_db": -5.0}
    return [
        {"session_id": name, **shared, "calibration": json.dumps({}), "started_at": times[0], "ended_at": times[-1]}
        for name, times in ends.items()
    ]

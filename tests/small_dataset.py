"""A small true dataset for tests: made through `manifests` alone, so that any room may use it."""

from __future__ import annotations

import itertools
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from buscomp.manifests import levels
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import Float32, Int32, pcm_sha256, quantise, read_audio, to_float, write_flac
from buscomp.manifests.storage import write_whole
from buscomp.manifests.tables import write_table
from buscomp.manifests.unit import Setting, load_unit

UNIT_PATH = Path(__file__).parents[1] / "capture" / "ssl-500-bus.yaml"
BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PEAK_DBFS = -12.0


def music(seconds: float, sample_rate: int = 44_100, *, tempo_bpm: float = 120.0, tonic_hz: float = 130.81) -> Float32:
    """Stereo music `(frames, 2)`, peak -12 dBFS: a kick on every beat, a hat between them, and a I-IV-V-I of decaying
    chords in the major key of `tonic_hz`, spread over both sides. The same arguments give the same samples."""
    frames = round(seconds * sample_rate)
    time = np.arange(frames) / sample_rate
    beat = 60 / tempo_bpm
    since_beat = time % beat
    kick = np.sin(2 * np.pi * 50 * since_beat) * np.exp(-since_beat / 0.06)
    noise = np.random.default_rng(1).standard_normal(frames)
    hat = noise * np.exp(-((time + beat / 2) % beat) / 0.01)
    sides = [kick + 0.15 * hat, kick + 0.1 * hat]
    roots = np.array([0, 5, 7, 0])[(time // (2 * beat)).astype(int) % 4]
    decay = np.exp(-(time % (2 * beat)) / 0.5)
    for place, semitones in enumerate((0, 4, 7)):
        phase = 2 * np.pi * np.cumsum(tonic_hz * 2 ** ((roots + semitones) / 12)) / sample_rate
        tone = decay * sum(np.sin(n * phase) / n for n in (1, 2, 3))
        sides[0] += (0.2 + 0.05 * place) * tone
        sides[1] += (0.3 - 0.05 * place) * tone
    audio = np.stack(sides, axis=1)
    return np.asarray(audio * levels.from_db(PEAK_DBFS) / np.abs(audio).max(), np.float32)


def make_dataset(path: Path, songs: int = 3, settings: int = 4, seconds: float = 2.0) -> Dataset:
    """A dataset at `path` with every song captured at every setting of the shipped SSL unit.

    Songs `song-0`, `song-1`, ... at 44.1 kHz. Wet is dry with a static gain: -1 dB at the first setting, -2 dB at the
    second. The last half of the settings has origin random. Splits: the last song is for testing, the one before for
    validation when there are three or more; every other one trains.
    """
    dataset = Dataset(path)
    path.mkdir(parents=True, exist_ok=True)
    shutil.copy(UNIT_PATH, dataset.unit_path)
    chosen = _settings(dataset, settings)
    song_rows = [_song(dataset, number, seconds) for number in range(songs)]
    write_table(dataset.table_path("songs"), "songs", song_rows)
    _capture(dataset, song_rows, chosen)
    write_table(dataset.table_path("splits"), "splits", _splits([row["song_id"] for row in song_rows], chosen))
    return dataset


def _settings(dataset: Dataset, count: int) -> list[Setting]:
    unit = load_unit(dataset.unit_path)
    positions = itertools.product((2, 4, 10), (0.1, "auto", 0.8), (0.1, 3, 30), (-28, -20, -12))
    chosen = []
    for number, (ratio, release_s, attack_ms, threshold_db) in enumerate(itertools.islice(positions, count)):
        values = {"threshold_db": threshold_db, "attack_ms": attack_ms, "release_s": release_s, "ratio": ratio}
        chosen.append(unit.setting(values, "grid" if number < (count + 1) // 2 else "random"))
    assert len(chosen) == count
    return chosen


def _song(dataset: Dataset, number: int, seconds: float) -> dict[str, Any]:
    song_id, sample_rate = f"song-{number}", 44_100
    pcm = quantise(music(seconds, sample_rate, tempo_bpm=100 + 10 * number, tonic_hz=130.81 * 2 ** (number / 12)))
    write_flac(dataset.root / dataset.dry_path(song_id), pcm, sample_rate)
    dry = to_float(pcm)
    return {
        "song_id": song_id,
        "title": f"Song {number}",
        "artist": "buscomp tests",
        "source": "rendered",
        "license": "CC0-1.0",
        "source_path": f"songs/{song_id}.wav",
        "source_sha256": "0" * 64,
        "sample_rate": sample_rate,
        "frames": len(dry),
        "channels": 2,
        "duration_s": len(dry) / sample_rate,
        "peak_dbfs": levels.peak_dbfs(dry),
        "true_peak_dbtp": levels.true_peak_dbtp(dry, sample_rate),
        "rms_dbfs": levels.rms_dbfs(dry),
        "crest_db": levels.peak_dbfs(dry) - levels.rms_dbfs(dry),
        "loudness_lufs": levels.loudness_lufs(dry, sample_rate),
        "dc_offset": float(np.abs(dry.mean(axis=0)).max()),
        "clipped_runs": levels.clipped_runs(dry),
        "dry_path": dataset.dry_path(song_id),
        "dry_sha256": pcm_sha256(pcm),
        "dry_gain_db": 0.0,
        "status": "accepted",
        "reasons": [],
    }


def _capture(dataset: Dataset, songs: list[dict[str, Any]], settings: list[Setting]) -> None:
    unit = load_unit(dataset.unit_path)
    rows = [
        {"setting_id": s.setting_id, "origin": s.origin, **unit.to_row(s.values), "visit_order": n}
        | {"moves_from_previous": sum(s.values[name] != before.values[name] for name in unit.controls)}
        for n, (before, s) in enumerate(zip(settings[:1] + settings, settings, strict=False))
    ]
    pairs = [(setting, song) for setting in settings for song in songs]
    plan = [
        {"song_id": song["song_id"], "setting_id": setting.setting_id, "unit_id": unit.unit_id}
        for setting, song in pairs
    ]
    with dataset.journal() as journal:
        journal.plan(plan, {"settings": json.dumps(rows)})
        journal.start_session(
            {"session_id": "session-1", "device": "tests", "sample_rate": 44_100, "unit_make": unit.make}
            | {"unit_model": unit.model, "unit_serial": unit.serial, "started_at": BEGIN}
        )
        previous = None
        for take, (setting, song) in zip(journal.planned(), pairs, strict=True):
            gain_db = -1.0 - settings.index(setting)
            dry, _ = read_audio(dataset.file(song["dry_path"]))
            wet = quantise(dry * levels.from_db(gain_db))
            wet_path = dataset.wet_path(setting.setting_id, song["song_id"])
            write_flac(dataset.root / wet_path, wet, 44_100)
            journal.accept(take["take_id"], _measured(wet, wet_path, gain_db, take["sequence"], previous))
            previous = take["take_id"]
        journal.end_session("session-1", BEGIN + timedelta(hours=1))
        dataset.snapshot(journal)


def _measured(pcm: Int32, wet_path: str, gain_db: float, sequence: int, previous: str | None) -> dict[str, Any]:
    wet = to_float(pcm)
    return {
        "session_id": "session-1",
        "reasons": [],
        "wet_path": wet_path,
        "wet_sha256": pcm_sha256(pcm),
        "sample_rate": 44_100,
        "frames": len(wet),
        "channels": wet.shape[1],
        "started_at": BEGIN + timedelta(seconds=10 * sequence),
        "elapsed_s": len(wet) / 44_100,
        "latency_samples": 137.25,
        "latency_std_samples": 0.01,
        "integer_shift_samples": 137,
        "drift_samples": 0.0,
        "xruns": 0,
        "peak_dbfs": levels.peak_dbfs(wet),
        "clipped_runs": 0,
        "noise_floor_dbfs": -95.0,
        "hum_dbfs": -110.0,
        "static_gain_db": gain_db,
        "channel_imbalance_db": 0.0,
        "gain_reduction_mean_db": 0.0,
        "gain_reduction_max_db": 0.0,
        "loudness_lufs": levels.loudness_lufs(wet, 44_100),
        "previous_take_id": previous,
    }


def _splits(song_ids: list[str], settings: list[Setting]) -> list[dict[str, str]]:
    rows = []
    for number, song_id in enumerate(song_ids):
        last = number == len(song_ids) - 1 and len(song_ids) > 1
        validation = number == len(song_ids) - 2 and len(song_ids) > 2
        for setting in settings:
            seen = setting.origin == "grid"
            if last:
                split = "test_seen" if seen else "test_unseen"
            else:
                split = "unused" if not seen else "validation" if validation else "train"
            roles = {
                "song_role": "unseen" if last else "validation" if validation else "seen",
                "setting_role": "seen" if seen else "unseen",
                "unit_role": "seen",
            }
            rows.append({"song_id": song_id, "setting_id": setting.setting_id, "split": split, **roles})
    return rows


def write_wav_song(path: Path, seconds: float, tempo_bpm: float, tonic_hz: float) -> None:
    """A song file as a user drops it in: 44.1 kHz stereo, 24-bit WAV."""
    import soundfile

    audio = music(seconds, tempo_bpm=tempo_bpm, tonic_hz=tonic_hz)
    write_whole(path, lambda temporary: soundfile.write(temporary, audio, 44_100, "PCM_24", format="WAV"))

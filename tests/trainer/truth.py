"""A dataset of the simulated compressor, whose truth is known, and how near a trained grey box comes to it.

Songs are mono on both channels, because models hear a channel at a time and the unit the louder one. The unit is a
specimen: what its detents do is not what is printed at them. What can be identified is compared: the static curve and
the times of a step, read out of the trained model by playing steps to it, beside the model's own reading.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch

from buscomp.capture.simulator import Dynamics, Knobs, compress_lanes, static_reduction_db
from buscomp.capture.specimen import Specimen
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import pcm_sha256, quantise, read_audio, write_flac
from buscomp.manifests.tables import write_table
from buscomp.manifests.unit import Setting
from buscomp.tests import small_dataset
from buscomp.tests.capture_music import song
from buscomp.trainer.controls import vector_at
from buscomp.trainer.physical import Physical, Reading

RATE = 44_100
# its dynamics alone
SPECIMEN = replace(Specimen.of_seed(3), channel_gains_db=(), second=0.0, third=0.0, coupling_hz=0.0)
FACTORS = {
    "threshold_db": (-36.0, -32.0, -28.0, -24.0),
    "attack_ms": (0.3, 1.0, 3.0, 10.0, 30.0),
    "release_s": (0.1, 0.2, 0.4, 0.8, "auto"),
    "ratio": (2.0, 4.0, 10.0),
}
# Clips are most of a song, and their first 1.6 s only warm up: the unit remembers what was before a clip for seconds.
TRAINING: dict[str, Any] = {
    "batch": 4, "chunk_frames": 8820, "clip_chunks": 28, "warm_up_chunks": 8, "learning_rate": 0.02,
    "schedule": "one-cycle",
}  # fmt: skip
OVER_DB = (0.0, 3.0, 6.0, 12.0, 18.0)  # levels above the printed threshold at which static curves are compared
LOUDEST_DBFS = -12.0  # of the songs' samples: beyond it nothing can be known
LOW_DB = -90.0


def make(path: Path, songs: int, seen: int, unseen: int, seconds: float = 6.0, width: float = 0.0) -> Dataset:
    """Every song at every setting. The unseen settings are new combinations of positions that are all seen. The last
    song is for testing, the one before it for validation."""
    dataset = Dataset(path)
    path.mkdir(parents=True)
    shutil.copy(small_dataset.UNIT_PATH, dataset.unit_path)
    settings = list(_settings(dataset, seen, unseen))
    rows = []
    for number in range(songs):
        pcm = quantise(song(number, seconds, RATE, width))
        row = small_dataset._song(dataset, number, seconds)
        write_flac(dataset.file(row["dry_path"]), pcm, RATE)
        rows.append(row | {"dry_sha256": pcm_sha256(pcm)})
    write_table(dataset.table_path("songs"), "songs", rows)
    _capture(dataset, rows, settings)
    song_ids = [row["song_id"] for row in rows]
    write_table(dataset.table_path("splits"), "splits", small_dataset._splits(song_ids, settings))
    return Dataset(dataset.root)


def _capture(dataset: Dataset, songs: list[dict[str, Any]], settings: list[Setting]) -> None:
    """As `small_dataset` does it, through the simulated unit."""
    unit = dataset.unit
    rows = [
        {"setting_id": s.setting_id, "origin": s.origin, **unit.to_row(s.values), "visit_order": n}
        | {"moves_from_previous": 0}
        for n, s in enumerate(settings)
    ]
    begin = small_dataset.BEGIN
    plan = [
        {"song_id": row["song_id"], "setting_id": setting.setting_id, "unit_id": unit.unit_id}
        for row in songs
        for setting in settings
    ]
    with dataset.journal() as journal:
        journal.plan(plan, {"settings": json.dumps(rows)})
        journal.start_session(
            {"session_id": "session-1", "device": "tests", "sample_rate": RATE, "unit_make": unit.make}
            | {"unit_model": unit.model, "unit_serial": unit.serial, "started_at": begin}
        )
        planned = iter(journal.planned())
        previous = None
        for row in songs:
            dry, _ = read_audio(dataset.file(row["dry_path"]))
            wets = compress_lanes(dry, RATE, [Knobs.of(setting.values) for setting in settings], specimen=SPECIMEN)
            for setting, wet in zip(settings, wets, strict=True):
                take, pcm = next(planned), quantise(wet)
                wet_path = dataset.wet_path(setting.setting_id, row["song_id"])
                write_flac(dataset.root / wet_path, pcm, RATE)
                journal.accept(take["take_id"], small_dataset._measured(pcm, wet_path, 0.0, take["sequence"], previous))
                previous = take["take_id"]
        journal.end_session("session-1", begin + timedelta(hours=1))
        dataset.snapshot(journal)


def _settings(dataset: Dataset, seen: int, unseen: int) -> Iterator[Setting]:
    random = np.random.default_rng(0)
    columns = [random.permutation(np.arange(seen) % len(positions)) for positions in FACTORS.values()]
    taken: dict[str, Setting] = {}
    number = 0
    while len(taken) < seen + unseen:
        places = (
            [column[number] for column in columns]
            if number < seen
            else [random.integers(len(p)) for p in FACTORS.values()]
        )
        values = {name: p[place] for (name, p), place in zip(FACTORS.items(), places, strict=True)}
        setting = dataset.unit.setting(values, "grid" if len(taken) < seen else "random")
        taken.setdefault(setting.setting_id, setting)
        number += 1
    yield from taken.values()


@dataclass(frozen=True)
class Comparison:
    """One setting: truth and what the model says and does."""

    setting_id: str
    seen: bool
    truth: Dynamics
    reading: Reading
    curve_errors_db: tuple[float, ...]  # reduction of the model less that of the unit, at those of `OVER_DB` heard
    attack_ms: tuple[float, float]  # 63 % of a step of 20 dB over the threshold: truth, model
    release_s: tuple[float, float]  # 63 % of the way back; with AUTO after half a second of it


def compare(dataset: Dataset, model: Physical) -> list[Comparison]:
    """Every setting of `dataset`."""
    unit = dataset.unit
    return [
        _compared(Setting(row["setting_id"], row["origin"], unit.from_row(row)), dataset, model)
        for row in dataset.rows("settings")
    ]


def _compared(setting: Setting, dataset: Dataset, model: Physical) -> Comparison:
    knobs = Knobs.of(setting.values)
    controls = torch.from_numpy(vector_at(dataset.unit, setting.values))
    errors = []
    for level_db in (knobs.threshold_db + over for over in OVER_DB if knobs.threshold_db + over <= LOUDEST_DBFS):
        true_db = static_reduction_db(level_db, knobs.threshold_db, knobs.ratio, SPECIMEN)
        errors.append(float(_reductions(model, controls, [level_db] * 3 * RATE)[-1]) - true_db)
    loud = round(0.5 * RATE)
    step = [knobs.threshold_db + 20] * loud + [LOW_DB] * 6 * RATE
    square = np.repeat(10 ** (np.array(step) / 20), 1).astype(np.float32)[:, None]
    wet = compress_lanes(square, RATE, [knobs], specimen=SPECIMEN)[0]
    true = -20 * np.log10(wet[:, 0] / square[:, 0])
    found = _reductions(model, controls, step)
    return Comparison(
        setting.setting_id,
        setting.origin == "grid",
        Dynamics.of(knobs, SPECIMEN),
        model.reading(controls),
        tuple(errors),
        (_rise_ms(true[:loud]), _rise_ms(found[:loud])),
        (_fall_s(true[loud:]), _fall_s(found[loud:])),
    )


@torch.no_grad()
def _reductions(model: Physical, controls: torch.Tensor, levels_db: list[float]) -> np.ndarray:
    x = torch.tensor(levels_db, dtype=torch.float32).mul(np.log(10) / 20).exp()[None, None]
    y, _ = model(x, controls[None])
    return (-20 * torch.log10(y / x))[0, 0].numpy()


def _rise_ms(reduction: np.ndarray) -> float:
    return float(np.argmax(reduction >= (1 - np.exp(-1)) * reduction[-1]) + 1) / RATE * 1000


def _fall_s(reduction: np.ndarray) -> float:
    return float(np.argmax(reduction <= np.exp(-1) * reduction[0]) + 1) / RATE

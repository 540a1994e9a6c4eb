"""Datasets of the simulated compressor for evaluation, and checkpoints that nobody had to train."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from buscomp.capture.simulator import Knobs, compress_lanes
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.levels import loudness_lufs, peak_dbfs
from buscomp.manifests.pcm import Float32, pcm_sha256, quantise, read_audio, to_float, write_flac
from buscomp.manifests.tables import write_table
from buscomp.manifests.unit import Setting
from buscomp.tests import small_dataset
from buscomp.trainer.checkpoint import Run, run_named, save_model
from buscomp.trainer.controls import control_names
from buscomp.trainer.registry import build
from buscomp.trainer.state import parameter_count


def compressed(dataset: Dataset, setting_id: str, audio: Float32) -> Float32:
    """`audio` (frames, channels) through the simulated unit at a setting."""
    row = next(row for row in dataset.rows("settings") if row["setting_id"] == setting_id)
    knobs = replace(Knobs.of(dataset.unit.from_row(row)), makeup_db=0.0)
    (output,) = compress_lanes(audio, 44_100, [knobs])
    return np.asarray(output, np.float32)


def compress_all(dataset: Dataset) -> Dataset:
    """The dataset with every take anew, as the simulated compressor makes it, and without its journal, as datasets
    travel."""
    rows = dataset.rows("takes")
    for row in rows:
        dry, rate = read_audio(dataset.file(dataset.dry_path(row["song_id"])))
        replace_wet(dataset, row, compressed(dataset, row["setting_id"], dry), rate)
    return without_journal(dataset, rows)


def compressor_dataset(folder: Path, songs: int = 5, seconds: float = 4.0) -> Dataset:
    """Songs at 12 settings of the simulated compressor, all of the grid: three ratios, two thresholds, two attacks."""

    def settings(dataset: Dataset, count: int) -> list[Setting]:
        positions = itertools.product((-28, -12), (2, 4, 10), (0.1, 30))
        return [
            dataset.unit.setting(
                {"threshold_db": threshold_db, "ratio": ratio, "attack_ms": attack_ms, "release_s": 0.1}, "grid"
            )
            for threshold_db, ratio, attack_ms in positions
        ][:count]

    with patch.object(small_dataset, "_settings", settings):
        return compress_all(small_dataset.make_dataset(folder, songs=songs, settings=12, seconds=seconds))


def replace_wet(dataset: Dataset, row: dict[str, Any], wet: Float32, sample_rate: int) -> None:
    """Write another take in the place of that of `row`, a row of takes, and what the table says of it."""
    pcm = quantise(wet)
    write_flac(dataset.file(row["wet_path"]), pcm, sample_rate)
    heard = to_float(pcm)
    row["wet_sha256"] = pcm_sha256(pcm)
    row["peak_dbfs"], row["loudness_lufs"] = peak_dbfs(heard), loudness_lufs(heard, sample_rate)


def without_journal(dataset: Dataset, take_rows: list[dict[str, Any]]) -> Dataset:
    """The dataset with these `takes`, and no journal that says otherwise."""
    write_table(dataset.table_path("takes"), "takes", take_rows)
    for path in (dataset.journal_path, dataset.backup_path):
        path.unlink(missing_ok=True)
    return Dataset(dataset.root)


def keep_model(dataset: Dataset, name: str, model: str = "s4-4-4", conditioning: str = "tvfilm", **more: Any) -> Run:
    """A run with the initial weights of a model."""
    torch.manual_seed(1)
    controls = control_names(dataset.unit)
    network = build(model, conditioning, len(controls))
    about = {
        "model": model, "conditioning": conditioning, "controls": controls, "params": parameter_count(network),
        "sample_rate": 44_100, "subset": None, "auto_flag": True, "dt_min": 1e-3,
    }  # fmt: skip
    run = run_named(dataset, name)
    save_model(run, network, about | more)
    return run

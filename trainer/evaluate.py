"""Whole takes through a trained model, with carried state, beside the trivial baselines -> results.parquet.

Every take is processed from its first sample, which counts too, and measured by itself; a split's figure is the mean
over its takes. Settings and channels go through the model together, as one batch of mono signals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.pcm import Float32, read_audio
from ..manifests.tables import read_rows, write_table
from .baselines import CONSTANT_GAIN, UNCHANGED, best_constant_gain
from .checkpoint import Run, load_model
from .controls import control_vector
from .metrics import METRICS, Metrics, measure
from .state import StreamModel

TEST_SPLITS = ("test_seen", "test_unseen")
TAKES_AT_ONCE = 8
CHUNK_FRAMES = 4096  # small enough for the features to stay in the cache
Row = dict[str, Any]


@dataclass(frozen=True)
class System:
    """Something that is evaluated: a model or a baseline, as its columns in `results` say."""

    model: str
    conditioning: str | None
    params: int
    checkpoint: str | None


def evaluate(
    dataset: Dataset,
    run: Run,
    *,
    max_takes: int | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> list[Row]:
    """Measure the model of `run` and the baselines on the test splits and put them into results.parquet, where they
    replace what the same systems had. `max_takes` of each split, spread evenly, instead of all, is a look that
    is not kept: baselines over a few takes must not stand beside a model over all. The new rows."""
    model, about = load_model(run)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    gain = best_constant_gain(dataset)
    systems = (
        System(about["model"], about["conditioning"], about["params"], run.folder.relative_to(dataset.root).as_posix()),
        System(UNCHANGED, None, 0, None),
        System(CONSTANT_GAIN, None, 1, None),
    )

    def measured_take(dry: Float32, wet: Float32, output: Float32) -> list[Metrics]:
        return measure([output, dry, np.float32(gain) * dry], wet, dry, about["sample_rate"])

    rows: list[Row] = []
    # a take per thread: the metrics' own operations are too small to be shared out
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        for split in TEST_SPLITS:
            takes = _takes(dataset, split, max_takes, about["sample_rate"])
            measured: list[list[Metrics]] = []
            batches = [takes[start : start + TAKES_AT_ONCE] for start in range(0, len(takes), TAKES_AT_ONCE)]
            for batch in progress(batches):
                measured += threads.map(measured_take, *_processed(dataset, model, batch, about["auto_flag"]))
            for index, system in enumerate(systems if takes else ()):
                means = mean_metrics([of_take[index] for of_take in measured])
                rows.append(vars(system) | {"split": split, "takes": len(takes)} | means)
    if not rows:
        raise DatasetError("no accepted take is in a test split", mend="type `buscomp split`")
    if max_takes is not None:
        return rows
    path = dataset.table_path("results")
    kept = [row for row in (read_rows(path, "results") if path.exists() else []) if _system(row) not in systems]
    write_table(path, "results", kept + rows)
    return rows


def _system(row: Row) -> System:
    return System(row["model"], row["conditioning"], row["params"], row["checkpoint"])


def _takes(dataset: Dataset, split: str, max_takes: int | None, sample_rate: int) -> list[Row]:
    """The takes of `split`, songs together, so that each dry file is decoded once."""
    table = dataset.pair_table(split).sort_values(["song_id", "setting_id"])
    others = sorted(set(table["sample_rate"]) - {sample_rate})
    if others:
        raise DatasetError(
            "takes have another sample rate than the model", got=f"{others[0]} Hz", allowed=f"{sample_rate} Hz"
        )
    rows: list[Row] = table.to_dict("records")
    if max_takes is not None and max_takes < len(rows):
        rows = [rows[index] for index in np.linspace(0, len(rows) - 1, max_takes).round().astype(int)]
    return rows


def _processed(
    dataset: Dataset, model: StreamModel, takes: list[Row], auto_flag: bool
) -> tuple[list[Float32], list[Float32], list[Float32]]:
    """dry, wet and the model's output of every take, each (frames, channels)."""
    read = lru_cache(maxsize=TAKES_AT_ONCE)(lambda relative: read_audio(dataset.file(relative))[0])
    dry = [read(take["dry_path"]) for take in takes]
    wet = [read_audio(dataset.file(take["wet_path"]))[0] for take in takes]
    controls = [control_vector(dataset.unit, take, auto_flag) for take in takes]
    outputs = process(model, dry, np.stack(controls))
    for take, sent, received in zip(takes, dry, wet, strict=True):
        if sent.shape != received.shape:
            raise DatasetError(f"{take['wet_path']} does not fit its dry audio", mend="type `buscomp verify`")
    return dry, wet, outputs


@torch.inference_mode()
def process(model: StreamModel, dry: list[Float32], controls: Float32) -> list[Float32]:
    """Each of `dry` (frames, channels) through `model` at its row of `controls` (takes, controls), channel by channel,
    from silence. Shorter ones are padded behind their end, which a causal model does not hear."""
    device = next(model.parameters()).device
    frames = max(len(audio) for audio in dry)
    channels = [np.pad(channel, (0, frames - len(audio))) for audio in dry for channel in audio.T]
    rows = np.repeat(controls, [audio.shape[1] for audio in dry], axis=0)
    x, c = torch.from_numpy(np.stack(channels)[:, None]), torch.from_numpy(rows).to(device)
    y, state = torch.empty_like(x), None
    for start in range(0, frames, CHUNK_FRAMES):
        piece, state = model(x[..., start : start + CHUNK_FRAMES].to(device), c, state)
        y[..., start : start + CHUNK_FRAMES] = piece.cpu()
    outputs, first = [], 0
    for audio in dry:
        outputs.append(np.ascontiguousarray(y[first : first + audio.shape[1], 0, : len(audio)].T.numpy()))
        first += audio.shape[1]
    return outputs


def mean_metrics(takes: list[Metrics]) -> Metrics:
    """The mean over takes of every metric, leaving out takes for which it is not defined."""
    means: Metrics = {}
    for name in METRICS:
        values = [value for take in takes if (value := take[name]) is not None]
        means[name] = float(np.mean(values)) if values else None
    return means

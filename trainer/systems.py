"""Whatever is evaluated: a trained model, a baseline, a plugin. Each turns dry audio at a setting into an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.pcm import Float32
from ..manifests.unit import Unit
from .baselines import CONSTANT_GAIN, STATIC_CURVE, UNCHANGED, Baselines
from .blocks import BLOCK
from .checkpoint import Run, load_model
from .controls import control_vector
from .state import State, StreamModel
from .static_curve import KNOTS_DBFS, apply_curve
from .take_audio import Row

CHUNK_FRAMES = 4096  # small enough for the features to stay in the cache


@dataclass(frozen=True)
class System:
    """What is evaluated, as its columns in `results` say. `subset`: what a model was trained on, None for all."""

    model: str
    conditioning: str | None
    params: int
    checkpoint: str | None
    subset: str | None = None


class Candidate(Protocol):
    """Gives outputs, each as long as its dry audio (frames, channels), for rows of `pair_table`."""

    @property
    def system(self) -> System: ...

    def outputs(self, takes: Sequence[Row], dry: Sequence[Float32]) -> list[Float32]: ...


class ModelCandidate:
    """The model of `run`, all channels of all takes together as one batch of mono signals."""

    def __init__(self, dataset: Dataset, run: Run):
        model, about = load_model(run)
        inside = run.folder.resolve().is_relative_to(dataset.root.resolve())
        folder = run.folder.resolve().relative_to(dataset.root.resolve()) if inside else run.folder.resolve()
        self.system = System(
            about["model"], about["conditioning"], about["params"], folder.as_posix(), about.get("subset")
        )
        self._unit, self._auto_flag = dataset.unit, about["auto_flag"]
        self._sample_rate = about["sample_rate"]
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu")

    def outputs(self, takes: Sequence[Row], dry: Sequence[Float32]) -> list[Float32]:
        if other := {take["sample_rate"] for take in takes} - {self._sample_rate}:
            raise DatasetError(
                "takes have another sample rate than the model", got=f"{min(other)} Hz",
                allowed=f"{self._sample_rate} Hz",
            )  # fmt: skip
        controls = np.stack([control_vector(self._unit, take, self._auto_flag) for take in takes])
        return process(self._model, dry, controls)


class Unchanged:
    system = System(UNCHANGED, None, 0, None)

    def outputs(self, takes: Sequence[Row], dry: Sequence[Float32]) -> list[Float32]:
        return list(dry)


class ConstantGain:
    system = System(CONSTANT_GAIN, None, 1, None)

    def __init__(self, gain: float):
        self._gain = np.float32(gain)

    def outputs(self, takes: Sequence[Row], dry: Sequence[Float32]) -> list[Float32]:
        return [self._gain * audio for audio in dry]


class StaticCurveCandidate:
    """A curve for each setting; its parameters are the knots of all of them."""

    def __init__(self, unit: Unit, baselines: Baselines):
        self._unit, self._curves = unit, baselines.curves
        self.system = System(STATIC_CURVE, None, len(KNOTS_DBFS) * len(self._curves.curves), None)

    def outputs(self, takes: Sequence[Row], dry: Sequence[Float32]) -> list[Float32]:
        outputs = []
        for take, audio in zip(takes, dry, strict=True):
            curve = self._curves.at(take["setting_id"], control_vector(self._unit, take))
            outputs.append(apply_curve(curve, audio, take["sample_rate"]))
        return outputs


def baseline_candidates(unit: Unit, baselines: Baselines) -> list[Candidate]:
    """All three."""
    return [Unchanged(), ConstantGain(baselines.constant_gain), StaticCurveCandidate(unit, baselines)]


@torch.inference_mode()
def process(model: StreamModel, dry: Sequence[Float32], controls: Float32) -> list[Float32]:
    """Each of `dry` (frames, channels) through `model` at its row of `controls` (takes, controls), channel by channel,
    from silence. Shorter ones are padded behind their end, which a causal model does not hear, and all of them to whole
    blocks, which alignment `same` asks for."""
    device = next(model.parameters()).device
    lanes = [(take, channel) for take, audio in enumerate(dry) for channel in range(audio.shape[1])]
    outputs = [np.empty_like(audio) for audio in dry]
    c = torch.from_numpy(np.stack([controls[take] for take, _ in lanes])).to(device)
    frames = -(-max(len(audio) for audio in dry) // BLOCK) * BLOCK
    state: State | None = None
    for start in range(0, frames, CHUNK_FRAMES):
        x = np.zeros((len(lanes), 1, min(CHUNK_FRAMES, frames - start)), np.float32)
        for lane, (take, channel) in enumerate(lanes):
            piece = dry[take][start : start + CHUNK_FRAMES, channel]
            x[lane, 0, : len(piece)] = piece
        y, state = model(torch.from_numpy(x).to(device), c, state)
        heard = y.cpu().numpy()
        for lane, (take, channel) in enumerate(lanes):
            piece = outputs[take][start : start + CHUNK_FRAMES, channel]
            piece[:] = heard[lane, 0, : len(piece)]
    return outputs

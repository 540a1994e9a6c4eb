"""A run on the disk: `runs/<name>/`.

model.safetensors    weights to use: best on validation, or the last ones
model.json           what they are: model, conditioning, controls, hashes of unit and takes, seed, versions, options
resume.safetensors   everything to go on from, in one file that is whole or absent: last weights, optimiser, stream
                     state in the middle of a clip, and (as metadata) step, random states and counters
log.jsonl            one line per report
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError, did_you_mean
from ..manifests.ids import check_id
from ..manifests.storage import write_text, write_whole
from .entry import Options
from .registry import build
from .state import State, StreamModel

Document = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """The folder of one training run."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def about(self) -> Path:
        return self.folder / "model.json"

    @property
    def progress(self) -> Path:
        return self.folder / "resume.safetensors"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"


def run_named(dataset: Dataset, name: str) -> Run:
    """The run `name` of `dataset`, whether it exists or not."""
    return Run(dataset.root / "runs" / check_id(name, "name of a run"))


def newest_run(dataset: Dataset) -> Run:
    """The run whose model was written last."""
    found = sorted(dataset.root.glob("runs/*/model.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise DatasetError("nothing is trained here yet", mend="type `buscomp train` first")
    return Run(found[-1].parent)


def save_model(run: Run, model: nn.Module, about: Document) -> None:
    """Write the weights and what they are."""
    tensors = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    write_whole(run.weights, lambda path: save_file(tensors, path))
    write_text(run.about, json.dumps(about, indent=2, allow_nan=False) + "\n")


def load_about(run: Run) -> Document:
    """What `model.json` says."""
    try:
        about: Document = json.loads(run.about.read_text())
    except FileNotFoundError:
        hint = did_you_mean(run.folder.name, [path.parent.name for path in run.folder.parent.glob("*/model.json")])
        mend = " ".join(filter(None, (hint, "`ls runs` shows those there are")))
        raise UsageError(f"no run is called {run.folder.name}", mend=mend) from None
    except ValueError as error:
        raise DatasetError(f"{run.about} is damaged ({error})", mend="train again") from error
    return about


def load_model(run: Run) -> tuple[StreamModel, Document]:
    """The trained model, ready to evaluate, and what `model.json` says."""
    about = load_about(run)
    options = {option.name: about[option.name] for option in fields(Options) if option.name in about}
    controls = about["controls"]
    model = build(about["model"], about["conditioning"], len(controls), control_names=controls, **options)
    try:
        model.load_state_dict(load_file(run.weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DatasetError(f"{run.weights} is damaged or of another model ({error})", mend="train again") from error
    return model.eval(), about


def save_progress(
    run: Run, model: nn.Module, optimiser: torch.optim.Optimizer, state: State, progress: Document
) -> None:
    """Write everything that training goes on from."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"stream.{name}": value for name, value in state.items()}
    tensors["random.torch"] = torch.get_rng_state()
    for index, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in values.items()}
    tensors = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    described = {"progress": json.dumps(progress, allow_nan=False)}
    write_whole(run.progress, lambda path: save_file(tensors, path, metadata=described))


def load_progress(run: Run, model: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[State, Document]:
    """Put weights, optimiser and random state back; the stream state and the progress document."""
    try:
        with safe_open(run.progress, "pt") as file:
            progress: Document = json.loads(file.metadata()["progress"])
        tensors = load_file(run.progress)
    except FileNotFoundError:
        raise UsageError(f"run {run.folder.name} has nothing to resume", mend="train without --resume") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise DatasetError(f"{run.progress} is damaged ({error})", mend="train without --resume") from error

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    model.load_state_dict(under("model."))
    torch.set_rng_state(tensors["random.torch"])
    document = optimiser.state_dict()
    document["state"] = {}
    for name, value in under("optimiser.").items():
        index, what = name.split(".", 1)
        document["state"].setdefault(int(index), {})[what] = value
    optimiser.load_state_dict(document)
    return under("stream."), progress

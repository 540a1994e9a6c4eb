"""Training, readable from top to bottom: options, data, model, loop.

Truncated backpropagation through time: a clip is cut into chunks; all state is carried from chunk to chunk and
detached, so the model hears the whole clip and each step costs one chunk. The first chunk of a clip only warms the
state up. One step is one chunk of a batch.
"""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..manifests.dataset import Dataset
from ..manifests.errors import BuscompError, UsageError
from ..manifests.pcm import Float32
from ..manifests.version import version
from .checkpoint import Run, load_about, load_progress, run_named, save_model, save_progress
from .controls import control_names
from .initialise import fit_output_layer
from .loss import training_loss
from .optimiser import WEIGHT_DECAY, make_optimiser, one_cycle
from .registry import build, default_conditioning
from .state import State, StreamModel, detach, parameter_count
from .windows import Clips, Windows

ONE_CYCLE, PLATEAU, CONSTANT = "one-cycle", "plateau", "constant"
SCHEDULES = (ONE_CYCLE, PLATEAU, CONSTANT)
CLIP_NORM = 1.0
PLATEAU_FACTOR, PLATEAU_PATIENCE, PLATEAU_LOWEST = 0.5, 10, 1e-6  # patience in validations, lowest learning rate
VALIDATION_SEED = 20_240  # which clips are validated on, the same ones in every run


@dataclass
class Progress:
    """Where a run stands. With the tensors, it is all that a resumed run needs."""

    random: dict[str, Any]  # state of the clip generator before the clips in hand were drawn
    chunk: int = 0  # the next chunk of these clips
    step: int = 0
    elapsed_s: float = 0.0
    audio_s_seen: float = 0.0
    best_validation_loss: float | None = None
    validations_since_best: int = 0
    plateau: float = 1.0  # factor on the learning rate


def train(
    dataset: Dataset,
    *,
    model: str = "s4-4-4",
    conditioning: str | None = None,
    name: str | None = None,
    subset: str | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    batch: int = 8,
    chunk_frames: int = 4480,
    clip_chunks: int = 31,
    learning_rate: float = 5e-3,
    s4d_learning_rate: float | None = None,
    schedule: str | None = None,
    dt_min: float = 1e-3,
    auto_flag: bool = True,
    validate_every: int = 1000,
    log_every: int = 20,
    resume: bool = False,
    report: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Run:
    """Train `model` on the train split of `dataset`, or on a `subset` of it, for `seconds` or `steps`, and leave it in
    `runs/<name>/`.

    `schedule`: one-cycle over the budget (the default with `seconds`), plateau of the validation loss (the default with
    `steps` where there is a validation split), or constant. `resume` goes on from the checkpoint of `name`; counted in
    `steps` on a CPU, that gives bit for bit what an uninterrupted run gives. Ctrl-C saves and returns. `report` gets
    every line of the log.
    """
    if (seconds is None) == (steps is None):
        raise UsageError("say how long to train: either seconds or steps")
    if clip_chunks < 2:
        raise UsageError("a clip needs a chunk to warm up and one to learn from", got=clip_chunks, allowed="2 or more")

    # data
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    windows = Windows(dataset, "train", chunk_frames * clip_chunks, auto_flag, subset=subset)
    validation = _validation_clips(dataset, chunk_frames * clip_chunks, batch, auto_flag, device)
    schedule = schedule or (PLATEAU if steps is not None and validation else ONE_CYCLE)
    if schedule not in SCHEDULES:
        raise UsageError("no such schedule", got=schedule, allowed=SCHEDULES)
    if schedule == PLATEAU and not validation:
        raise UsageError(
            "a plateau schedule needs a validation split", mend="type `buscomp split --validation-songs 1`"
        )

    # model
    controls = control_names(dataset.unit, auto_flag)
    conditioning = conditioning or default_conditioning(model)
    network = build(model, conditioning, len(controls), dt_min).to(device)
    optimiser = make_optimiser(network, learning_rate, s4d_learning_rate)
    full_rates = [float(group["lr"]) for group in optimiser.param_groups]
    run = run_named(dataset, name or "-".join(filter(None, (model, conditioning, subset))))
    about: dict[str, Any] = {
        "model": model, "conditioning": conditioning, "controls": controls, "params": parameter_count(network),
        "sample_rate": windows.sample_rate, "unit_id": dataset.unit.unit_id, "unit_sha256": _unit_sha256(dataset),
        "subset": subset, "train_sha256": windows.sha256, "seed": seed, "batch": batch, "chunk_frames": chunk_frames,
        "clip_chunks": clip_chunks, "learning_rate": learning_rate, "s4d_learning_rate": s4d_learning_rate,
        "schedule": schedule, "dt_min": dt_min, "auto_flag": auto_flag, "validate_every": validate_every,
        "weight_decay": WEIGHT_DECAY, "clip_norm": CLIP_NORM, "loss": "l1 + mstft", "polarity_probability": 0.5,
    }  # fmt: skip
    state: State | None = None
    has_model = resume  # of this run; what an older run of the same name left is not it
    at = Progress(dict(np.random.default_rng(seed).bit_generator.state))
    if resume:
        _require_the_same(load_about(run), about, run)
        state, document = load_progress(run, network, optimiser)
        state = state and {key: value if value.ndim == 0 else value.to(device) for key, value in state.items()}
        at = Progress(**document)
    else:
        run.log.unlink(missing_ok=True)
    random = np.random.default_rng()
    random.bit_generator.state = at.random

    def spent() -> float:
        return at.step / steps if steps is not None else at.elapsed_s / (seconds or 1.0)

    def save(best: bool) -> None:
        nonlocal has_model
        if best:
            has_model = True
            facts = {
                "step": at.step, "elapsed_s": round(at.elapsed_s, 1), "audio_s_seen": round(at.audio_s_seen, 1),
                "validation_loss": at.best_validation_loss, "silent_clips_skipped": windows.silent_clips,
                "takes_too_short": windows.takes_too_short, "torch": torch.__version__,
                "threads": torch.get_num_threads(), "device": str(device), "buscomp_version": version(),
            }  # fmt: skip
            save_model(run, network, about | facts)
        save_progress(run, network, optimiser, state, asdict(at))

    # loop
    began, elapsed_before = time.monotonic(), at.elapsed_s
    clips = _draw(windows, batch, random, device)
    if at.step == 0:
        fit_output_layer(network, clips.dry[..., :chunk_frames], clips.controls, clips.wet[..., :chunk_frames])
    losses: list[float] = []
    with _ctrl_c_noted() as interrupted:
        while spent() < 1 and not interrupted:
            if at.chunk == clip_chunks:
                at.random, at.chunk = dict(random.bit_generator.state), 0
                clips = _draw(windows, batch, random, device)
            x, target = (audio[..., at.chunk * chunk_frames :][..., :chunk_frames] for audio in (clips.dry, clips.wet))
            network.train()
            if at.chunk == 0:
                with torch.no_grad():
                    _, state = network(x, clips.controls)
                at.chunk = 1
                continue

            scale = one_cycle(spent()) if schedule == ONE_CYCLE else at.plateau
            for group, rate in zip(optimiser.param_groups, full_rates, strict=True):
                group["lr"] = rate * scale
            y, state = network(x, clips.controls, state)
            loss = training_loss(y, target)
            if not torch.isfinite(loss):
                raise BuscompError(
                    f"the loss is not finite at step {at.step}, in {_not_finite(y, target, clips)}",
                    mend="look at these takes, or train with a smaller --learning-rate",
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            gradient = nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimiser.step()
            state = detach(state)

            losses.append(float(loss.detach()))
            at.step, at.chunk = at.step + 1, at.chunk + 1
            at.audio_s_seen += batch * chunk_frames / windows.sample_rate
            at.elapsed_s = elapsed_before + time.monotonic() - began
            validates = spent() >= 1 or at.step % validate_every == 0
            if not validates and at.step % log_every:
                continue
            line = {"step": at.step, "loss": sum(losses) / len(losses), "validation_loss": None}
            losses = []
            if validates:
                line["validation_loss"] = _validate(network, validation, chunk_frames)
                save(best=_note_validation(at, line["validation_loss"], learning_rate))
            line |= {"learning_rate": learning_rate * scale, "grad_norm": float(gradient)}
            line |= {"audio_s_seen": round(at.audio_s_seen, 1), "elapsed_s": round(at.elapsed_s, 2)}
            run.folder.mkdir(parents=True, exist_ok=True)
            with run.log.open("a") as log:
                log.write(json.dumps(line) + "\n")
            report(line)
    if interrupted:
        save(best=not has_model)
    return run


@dataclass(frozen=True)
class _Batch:
    """Clips as tensors on the device."""

    dry: Tensor
    wet: Tensor
    controls: Tensor
    origins: tuple[str, ...]


def _draw(windows: Windows, batch: int, random: np.random.Generator, device: torch.device) -> _Batch:
    """The next clips; half of them, by chance, with both signals turned over."""
    clips = windows.draw(batch, random)
    polarity = np.where(random.random((batch, 1, 1)) < 0.5, -1, 1).astype(np.float32)
    return _on(device, clips, polarity)


def _on(device: torch.device, clips: Clips, polarity: Float32 | float = 1.0) -> _Batch:
    def tensor(array: Float32) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return _Batch(tensor(clips.dry * polarity), tensor(clips.wet * polarity), tensor(clips.controls), clips.origins)


def _validation_clips(
    dataset: Dataset, clip_frames: int, batch: int, auto_flag: bool, device: torch.device
) -> list[_Batch]:
    """Two fixed batches of the validation split, or none where there is no such split."""
    if "validation" not in set(dataset.splits["split"]):
        return []
    windows, random = Windows(dataset, "validation", clip_frames, auto_flag), np.random.default_rng(VALIDATION_SEED)
    return [_on(device, windows.draw(batch, random)) for _ in range(2)]


@torch.no_grad()
def _validate(network: StreamModel, validation: list[_Batch], chunk_frames: int) -> float | None:
    """Mean training loss over the validation clips without their first chunk; None without any."""
    network.eval()
    losses = []
    for clips in validation:
        state: State | None = None
        for start in range(0, clips.dry.shape[-1], chunk_frames):
            y, state = network(clips.dry[..., start : start + chunk_frames], clips.controls, state)
            if start:
                losses.append(float(training_loss(y, clips.wet[..., start : start + chunk_frames])))
    return sum(losses) / len(losses) if losses else None


def _note_validation(at: Progress, loss: float | None, learning_rate: float) -> bool:
    """Is this the best model so far? Without validation the last one is. Lowers the plateau's factor in time."""
    if loss is None or at.best_validation_loss is None or loss < at.best_validation_loss:
        at.best_validation_loss, at.validations_since_best = loss, 0
        return True
    at.validations_since_best += 1
    if at.validations_since_best % PLATEAU_PATIENCE == 0:
        at.plateau = max(at.plateau * PLATEAU_FACTOR, PLATEAU_LOWEST / learning_rate)
    return False


def _not_finite(y: Tensor, target: Tensor, batch: _Batch) -> str:
    """Which clips of the batch are at fault."""
    for what, audio in (("target of", target), ("output for", y)):
        rows = (~torch.isfinite(audio).flatten(1).all(1)).nonzero().flatten().tolist()
        if rows:
            return f"the {what} " + "; ".join(batch.origins[row] for row in rows)
    return "the batch " + "; ".join(batch.origins)


def _unit_sha256(dataset: Dataset) -> str:
    return hashlib.sha256(dataset.unit.model_dump_json().encode()).hexdigest()


def _require_the_same(saved: dict[str, Any], about: dict[str, Any], run: Run) -> None:
    """A run goes on as it began, or not at all."""
    for key, value in about.items():
        if saved.get(key) != value:
            raise UsageError(
                f"run {run.folder.name} was begun with another {key}", got=value, allowed=[saved.get(key)],
                mend="say the same, or train without --resume",
            )  # fmt: skip


@contextmanager
def _ctrl_c_noted() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C: the step at hand is finished, so that what is saved is whole."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)

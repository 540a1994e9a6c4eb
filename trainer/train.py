"""Training, readable from top to bottom: data, model, loop.

Truncated backpropagation through time: a clip is cut into chunks; all state is carried from chunk to chunk and
detached, so the model hears the whole clip and each step costs one chunk. The first chunk of a clip only warms the
state up. One step is one chunk of a batch.

What decides what is learnt is a choice of `recipe`; clips come from `windows` by way of `batches`; several processes
meet in `processes`; `progress` and `checkpoint` keep what a resumed run needs.
"""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.version import version
from .audio_cache import AudioCache
from .batches import batches
from .checkpoint import Document, Run, load_about, load_progress, run_named, save_model, save_progress
from .controls import control_names
from .initialise import fit_output_layer, has_output_layer, scale_signal_weights
from .loss import training_loss
from .optimiser import freeze_norms, gradient_norm, make_optimiser, scale_now, set_learning_rates
from .precision import computing, kept, prepare
from .processes import add_gradients, count, highest, joined, local_rank, own_state, rank, whole_state
from .progress import Progress
from .recent_losses import RecentLosses
from .recipe import ONE_CYCLE, PLATEAU, Recipe, choose
from .registry import build, default_conditioning
from .state import State, parameter_count
from .training_log import Line, training_log
from .validation import VALIDATION_SEED, validate, validation_batches, validation_windows
from .windows import SILENT_DBFS, Windows

STOPS = (signal.SIGINT, signal.SIGTERM)


def train(
    dataset: Dataset,
    *,
    model: str = "s4-4-4",
    conditioning: str | None = None,
    name: str | None = None,
    subset: str | None = None,
    recipe: str = "ours",
    seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    cache: bool = True,
    cache_folder: Path | None = None,
    tensorboard: bool = False,
    log_every: int = 20,
    resume: bool = False,
    report: Callable[[Line], None] = lambda line: None,
    tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
    **choices: Any,
) -> Run:
    """Train `model` on the train split of `dataset`, or on a `subset` of it, for `seconds` or `steps` (or as many as
    the recipe has), and leave it in `runs/<name>/`.

    `recipe` is the name of one, and `choices` are fields of `Recipe` in the place of its own. `resume` goes on from the
    checkpoint of `name`; counted in steps on a CPU, that gives bit for bit what an uninterrupted run gives. Ctrl-C
    saves and returns. Under torchrun the processes share the batch out. `cache`: clips come from decoded audio, made
    first, in `cache_folder`. `report` gets every line of the log.
    """
    chosen = choose(recipe, **choices)
    steps = chosen.steps if steps is None and seconds is None else steps
    if (seconds is None) == (steps is None):
        raise UsageError("say how long to train: either seconds or steps")
    on = _device(device)
    if threads is not None:
        torch.set_num_threads(threads)

    # data
    decoded = AudioCache(dataset, cache_folder) if cache else None
    clip_frames = chosen.chunk_frames * chosen.clip_chunks
    windows = Windows(dataset, "train", clip_frames, chosen.auto_flag, subset=subset, cache=decoded)
    unheard = validation_windows(dataset, chosen, decoded)
    if decoded is not None:
        decoded.fill(windows.pieces + (unheard.pieces if unheard else []), tell=tell, progress=progress)
    schedule = _schedule(chosen, seconds, unheard is not None)
    chosen = replace(chosen, schedule=schedule)

    # model
    torch.manual_seed(seed)
    controls = control_names(dataset.unit, chosen.auto_flag)
    conditioning = conditioning or default_conditioning(model)
    network = build(
        model, conditioning, len(controls), chosen.dt_min, alignment=chosen.alignment, unit_gamma=chosen.unit_gamma,
        last_relu=chosen.last_relu, sample_rate=windows.sample_rate, control_names=controls,
    ).to(on)  # fmt: skip
    prepare(network, chosen.precision)
    optimiser = make_optimiser(
        network, chosen.learning_rate, chosen.s4d_learning_rate, weight_decay=chosen.weight_decay,
        decayed=chosen.decayed, betas=(chosen.beta_1, chosen.beta_2), epsilon=chosen.epsilon,
    )  # fmt: skip
    about: Document = {
        "model": model, "conditioning": conditioning, "controls": controls, "params": parameter_count(network),
        "sample_rate": windows.sample_rate, "unit_id": dataset.unit.unit_id, "unit_sha256": _unit_sha256(dataset),
        "subset": subset, "train_sha256": windows.sha256, "validation_sha256": unheard and unheard.sha256,
        "seed": seed, "validation_seed": VALIDATION_SEED, "recipe": recipe, **asdict(chosen), "loss": "l1 + mstft",
        "silent_dbfs": SILENT_DBFS, "output_layer": "least squares" if has_output_layer(network) else "as built",
    }  # fmt: skip
    del about["steps"]  # a run that goes on may go on for longer

    # where it stands
    run = run_named(dataset, name or "-".join(filter(None, (model, conditioning, subset))))
    at = Progress(dict(np.random.default_rng(seed).bit_generator.state))
    stream: State = {}
    if resume:
        _require_the_same(load_about(run), about, run)
        stream, document = load_progress(run, network, optimiser)
        at = Progress(**document)
    has_model = resume  # of this run; what an older run of the same name left is not it

    def spent() -> float:
        return at.step / steps if steps is not None else at.elapsed_s / (seconds or 1.0)

    def save(best: bool) -> None:
        nonlocal has_model
        has_model = has_model or best
        whole = whole_state(state or {})
        if best and rank() == 0:
            facts = {
                "step": at.step, "elapsed_s": round(at.elapsed_s, 1), "audio_s_seen": round(at.audio_s_seen, 1),
                "validation_loss": at.best_validation_loss, "silent_clips_skipped": at.silent_clips_skipped,
                "takes_too_short": windows.takes_too_short, "torch": torch.__version__, "device": str(on),
                "threads": torch.get_num_threads(), "processes": count(), "buscomp_version": version(),
            }  # fmt: skip
            save_model(run, network, about | facts)
        if rank() == 0:
            save_progress(run, network, optimiser, whole, asdict(at))

    # loop
    with (
        joined(),
        batches(windows, chosen.batch, chosen.polarity_probability, at.random, on) as coming,
        training_log(run, tensorboard=tensorboard, from_step=at.step) as log,
        _stop_noted() as stop_asked,
    ):
        validation = validation_batches(unheard, chosen, on)
        state: State | None = own_state(stream, chosen.batch, on) or None
        if at.step == 0:
            whole_batch = coming.whole()
            x, target = whole_batch.chunk(0, chosen.chunk_frames)
            if chosen.scaled_start:
                scale_signal_weights(network, x)
            fit_output_layer(network, x, whole_batch.controls, target)
        clips, recent = coming.next(), RecentLosses()
        began = time.monotonic() - at.elapsed_s
        while spent() < 1 and not highest(len(stop_asked)):
            if at.chunk == chosen.clip_chunks:
                recent.look(clips, at.step)
                clips, state = coming.next(), None
                at.random, at.chunk = clips.random, 0
            if at.chunk == 0:
                at.silent_clips_skipped += clips.silent
            x, target = clips.chunk(at.chunk, chosen.chunk_frames)
            at.chunk += 1
            network.train()
            if spent() >= 1 - chosen.frozen_norms:
                freeze_norms(network)
            if at.chunk <= chosen.warm_up_chunks:
                with torch.no_grad():
                    _, state = network(x, clips.controls, state)
                continue

            scale = scale_now(schedule, spent(), at.plateau)
            set_learning_rates(optimiser, scale)
            with computing(chosen.precision, on):
                y, state = network(x, clips.controls, state)
            loss = training_loss(y.float(), target)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            add_gradients(network.parameters())
            gradient = gradient_norm(network, chosen.clip_norm)
            optimiser.step()
            state = kept(state)
            recent.add(loss, y, target)

            at.step += 1
            at.audio_s_seen += chosen.batch * chosen.chunk_frames / windows.sample_rate
            at.elapsed_s = highest(time.monotonic() - began)
            validates = spent() >= 1 or at.step % chosen.validate_every == 0
            if not validates and at.step % log_every:
                continue
            recent.look(clips, at.step)
            line: Line = {"step": at.step, "loss": recent.mean(), "validation_loss": None}
            if validates:
                line["validation_loss"] = validate(network, validation, chosen)
                save(best=at.note_validation(line["validation_loss"], chosen))
            line |= {"learning_rate": chosen.learning_rate * scale, "grad_norm": float(gradient)}
            line |= {"audio_s_seen": round(at.audio_s_seen, 1), "elapsed_s": round(at.elapsed_s, 2)}
            log(line)
            if rank() == 0:
                report(line)
        if highest(len(stop_asked)):
            recent.look(clips, at.step)
            save(best=not has_model)
    return run


def _device(name: str) -> torch.device:
    """The device of that name; `auto` is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name, local_rank()) if name == "cuda" else torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise UsageError(
            f"no such device ({str(error).splitlines()[0]})", got=name, allowed="auto, cpu, cuda, ..."
        ) from None
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _schedule(recipe: Recipe, seconds: float | None, can_validate: bool) -> str:
    """The schedule of `recipe`, or the one that suits the budget."""
    if recipe.schedule == PLATEAU and not can_validate:
        raise UsageError(
            "a plateau schedule needs a validation split", mend="type `buscomp split --validation-songs 1`"
        )
    return recipe.schedule or (PLATEAU if seconds is None and can_validate else ONE_CYCLE)


def _unit_sha256(dataset: Dataset) -> str:
    return hashlib.sha256(dataset.unit.model_dump_json().encode()).hexdigest()


def _require_the_same(saved: Document, about: Document, run: Run) -> None:
    """A run goes on as it began, or not at all."""
    for key, value in about.items():
        if saved.get(key) != value:
            raise UsageError(
                f"run {run.folder.name} was begun with another {key}", got=value, allowed=[saved.get(key)],
                mend="say the same, or train without --resume",
            )  # fmt: skip


@contextmanager
def _stop_noted() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C, or the SIGTERM of a scheduler: the step at hand is finished, so that what is
    saved is whole."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, lambda at, frame: noted.append(at)) for number in STOPS}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""How a model is trained: every choice that decides what is learnt, with a name. All of it goes into model.json.

    ours      what `buscomp train` does unless told otherwise
    paper-a   Solid State Bus-Comp (2025), its silent details as in the toolbox that it names
    paper-b   Modeling Analog Dynamic Range Compressors using Deep Learning and State-space Models (2024)

What every recipe shares: clips are drawn song first, then setting, channel and position, all uniformly; channels are
mono items; levels stay as stored; L1 and multi-resolution STFT are added 1 : 1; gradients stop between chunks, the
state goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..manifests.errors import UsageError

ONE_CYCLE, PLATEAU, CONSTANT = "one-cycle", "plateau", "constant"
SCHEDULES = (ONE_CYCLE, PLATEAU, CONSTANT)
MATRICES, NOT_S4D, ALL = "matrices", "not-s4d", "all"
DECAYS = (MATRICES, NOT_S4D, ALL)
FLOAT32, TF32, BF16 = "float32", "tf32", "bf16"
PRECISIONS = (FLOAT32, TF32, BF16)


@dataclass(frozen=True)
class Recipe:
    """One way to train."""

    # what is heard
    batch: int = 8
    """Clips at once, over all processes."""
    chunk_frames: int = 4480
    """Samples of a step: truncated backpropagation goes so far back. 35 blocks of time-varying conditioning."""
    clip_chunks: int = 31
    """Chunks of a clip; state begins with the clip as after silence, and is carried from chunk to chunk."""
    warm_up_chunks: int = 1
    """So many of them, at the clip's begin, only bring the state to life."""
    polarity_probability: float = 0.5
    """A clip is turned over, dry and wet, with this probability."""
    auto_flag: bool = True
    """AUTO as a control of its own; else as -0.25 of its knob, which gives the papers' number of controls."""

    # how it is learnt
    learning_rate: float = 5e-3
    s4d_learning_rate: float | None = None
    """Of S4D where it is to differ."""
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    decayed: str = MATRICES
    """Which parameters decay: kernels and matrices outside S4D, everything outside S4D, or everything."""
    clip_norm: float = 1.0
    """The gradient's norm is held at it; 0: it is not."""
    schedule: str | None = None
    """Of the learning rate; None: plateau where steps are counted and there is a validation split, else one cycle."""
    validate_every: int = 1000
    """Steps; always on the same `validation_batches` batches, with the loss of training."""
    validation_batches: int = 2
    plateau_patience_steps: int = 10_000
    """Steps without a better validation loss, after which a plateau has been reached, ..."""
    plateau_factor: float = 0.5
    """... the learning rate is multiplied by this, ..."""
    lowest_learning_rate: float = 1e-6
    """... but not to less than this."""
    frozen_norms: float = 0.0
    """Batch normalisation uses its running statistics in this last part (0 to 1) of the training."""
    precision: str = FLOAT32
    """float32; tf32: matrix products on an NVIDIA GPU keep 10 bits; bf16: see `precision`."""

    # what is built
    scaled_start: bool = True
    """Models begin as if the signal had an RMS of 1, see `initialise`."""
    dt_min: float = 1e-3
    """Smallest initial step of S4D: the published 1e-3 remembers 45 ms at first, 3e-5 1.5 s."""
    alignment: str = "delayed"
    """Of time-varying conditioning: delayed looks ahead by nothing, same by a block, as published."""
    unit_gamma: bool = False
    """TFiLM and TTFiLM: gamma is one more than published."""
    last_relu: bool = True
    """TTFiLM: gamma and beta are not negative, as published."""

    # how long
    steps: int | None = None
    """Optimiser steps, one a chunk, unless steps or seconds are given."""


RECIPES = {
    "ours": Recipe(),
    "paper-a": Recipe(
        batch=16, chunk_frames=4410, polarity_probability=0.0, auto_flag=False, learning_rate=5e-3, decayed=ALL,
        scaled_start=False,
        clip_norm=0.0, schedule=PLATEAU, plateau_patience_steps=10_000, plateau_factor=0.5, steps=500_000,
    ),
    # an epoch is 87 540 s of audio: 1 841 steps of 32 x 65 536 samples at 44.1 kHz; 60 epochs, patience 10
    "paper-b": Recipe(
        batch=32, chunk_frames=65_536, clip_chunks=1, warm_up_chunks=0, polarity_probability=0.5, auto_flag=False,
        scaled_start=False,
        learning_rate=1e-3, decayed=NOT_S4D, clip_norm=0.0, schedule=PLATEAU, validate_every=1841,
        plateau_patience_steps=18_410, plateau_factor=0.1, steps=110_460,
    ),
}  # fmt: skip

_Check = tuple[Callable[[Any], bool], str]
_POSITIVE: _Check = (lambda value: value > 0, "above 0")
_FRACTION: _Check = (lambda value: 0 <= value <= 1, "0 to 1")
_CHECKS: dict[str, _Check] = {
    **dict.fromkeys(
        ("batch", "clip_chunks", "validate_every", "validation_batches", "plateau_patience_steps"), _POSITIVE
    ),
    **dict.fromkeys(("learning_rate", "epsilon", "lowest_learning_rate", "dt_min"), _POSITIVE),
    **dict.fromkeys(("polarity_probability", "plateau_factor", "frozen_norms"), _FRACTION),
    **dict.fromkeys(("beta_1", "beta_2"), (lambda value: 0 <= value < 1, "0 to below 1")),
    "chunk_frames": (lambda value: value >= 2048, "2048 or more, the longest window of the loss"),
    **dict.fromkeys(("warm_up_chunks", "weight_decay", "clip_norm"), (lambda value: value >= 0, "0 or more")),
    "decayed": (lambda value: value in DECAYS, ", ".join(DECAYS)),
    "schedule": (lambda value: value in SCHEDULES, ", ".join(SCHEDULES)),
    "precision": (lambda value: value in PRECISIONS, ", ".join(PRECISIONS)),
    **dict.fromkeys(("s4d_learning_rate", "steps"), _POSITIVE),
}


def choose(recipe: str = "ours", **choices: Any) -> Recipe:
    """The recipe of that name with `choices`, which are fields of `Recipe`, in the place of its own."""
    if recipe not in RECIPES:
        raise UsageError("no such recipe", got=recipe, allowed=RECIPES)
    names = [field.name for field in fields(Recipe)]
    if unknown := sorted(set(choices) - set(names)):
        raise UsageError("a recipe has no such choice", got=unknown[0], allowed=names)
    chosen = replace(RECIPES[recipe], **choices)
    for name, value in asdict(chosen).items():
        check, allowed = _CHECKS.get(name, (None, ""))
        if value is not None and check is not None and not check(value):
            raise UsageError(f"{name} cannot be so", got=value, allowed=allowed)
    if chosen.clip_chunks <= chosen.warm_up_chunks:
        raise UsageError(
            "a clip needs a chunk to learn from behind those that warm up", got=chosen.clip_chunks,
            allowed=f"{chosen.warm_up_chunks + 1} or more",
        )  # fmt: skip
    return chosen

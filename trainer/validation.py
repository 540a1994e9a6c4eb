"""The loss on clips that are never learnt from, the same ones in every run."""

from __future__ import annotations

import numpy as np
import torch

from ..manifests.dataset import Dataset
from .audio_cache import AudioCache
from .batches import Batch, on_device
from .loss import training_loss
from .processes import share
from .recipe import Recipe
from .state import State, StreamModel
from .windows import Windows

SPLIT = "validation"
VALIDATION_SEED = 20_240  # which clips


def validation_windows(dataset: Dataset, recipe: Recipe, cache: AudioCache | None) -> Windows | None:
    """The clips of the validation split; None where there is no such split."""
    if SPLIT not in set(dataset.splits["split"]):
        return None
    clip_frames = recipe.chunk_frames * recipe.clip_chunks
    return Windows(dataset, SPLIT, clip_frames, recipe.auto_flag, cache=cache)


def validation_batches(windows: Windows | None, recipe: Recipe, device: torch.device) -> list[Batch]:
    """This process's part of the fixed batches; none without `windows`."""
    if windows is None:
        return []
    random, part = np.random.default_rng(VALIDATION_SEED), share(recipe.batch)
    return [on_device(device, windows.draw(recipe.batch, random, part)) for _ in range(recipe.validation_batches)]


@torch.no_grad()
def validate(network: StreamModel, validation: list[Batch], recipe: Recipe) -> float | None:
    """Mean training loss over `validation` without the chunks that warm up; None without any."""
    network.eval()
    losses = []
    for clips in validation:
        state: State | None = None
        for number in range(recipe.clip_chunks):
            x, target = clips.chunk(number, recipe.chunk_frames)
            y, state = network(x, clips.controls, state)
            if number >= recipe.warm_up_chunks:
                losses.append(training_loss(y.float(), target))
    return float(torch.stack(losses).mean()) if losses else None

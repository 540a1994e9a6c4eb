"""Clips as tensors on the device, the next ones drawn while the ones at hand are learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .processes import share
from .windows import Clips, Windows


@dataclass(frozen=True)
class Batch:
    """This process's clips: `dry` and `wet` (clips, 1, frames), `controls` (clips, controls)."""

    dry: Tensor
    wet: Tensor
    controls: Tensor
    origins: tuple[str, ...]
    silent: int  # clips that were skipped to find the whole batch
    random: dict[str, Any]  # the generator's state before the batch was drawn

    def chunk(self, number: int, frames: int) -> tuple[Tensor, Tensor]:
        """dry and wet of one chunk of every clip."""
        piece = slice(number * frames, (number + 1) * frames)
        return self.dry[..., piece], self.wet[..., piece]


class Batches:
    """An endless row of batches from `windows`. It begins from `random`, a state of numpy's generator; the same state
    gives the same batches, however many processes share them."""

    def __init__(
        self,
        windows: Windows,
        batch: int,
        polarity_probability: float,
        random: dict[str, Any],
        device: torch.device,
        worker: ThreadPoolExecutor,
    ):
        self._windows, self._batch, self._polarity_probability = windows, batch, polarity_probability
        self._share, self._device, self._worker = share(batch), device, worker
        self._random = np.random.default_rng()
        self._random.bit_generator.state = random
        self._coming: Future[Batch] | None = None

    def whole(self) -> Batch:
        """The batch that comes next, the parts of all processes together. It still comes."""
        return self._draw(deepcopy(self._random), slice(None))

    def next(self) -> Batch:
        """The next batch."""
        batch = self._coming.result() if self._coming else self._draw(self._random, self._share)
        self._coming = self._worker.submit(self._draw, self._random, self._share)
        return batch

    def _draw(self, random: np.random.Generator, part: slice) -> Batch:
        before = dict(random.bit_generator.state)
        clips = self._windows.draw(self._batch, random, part)
        turned = random.random((self._batch, 1, 1)) < self._polarity_probability
        return on_device(self._device, clips, np.where(turned, -1, 1).astype(np.float32)[part], before)


@contextmanager
def batches(
    windows: Windows, batch: int, polarity_probability: float, random: dict[str, Any], device: torch.device
) -> Iterator[Batches]:
    """`Batches` with a thread of their own, for as long as the block lasts."""
    with ThreadPoolExecutor(1, thread_name_prefix="clips") as worker:
        yield Batches(windows, batch, polarity_probability, random, device, worker)


def on_device(device: torch.device, clips: Clips, sign: Any = 1.0, random: dict[str, Any] | None = None) -> Batch:
    """`clips` as tensors, times `sign`."""

    def tensor(array: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)

    dry, wet, controls = tensor(clips.dry * sign), tensor(clips.wet * sign), tensor(clips.controls)
    return Batch(dry, wet, controls, clips.origins, clips.silent, random or {})

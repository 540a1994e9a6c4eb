"""Several processes, or GPUs, that train one model: started by torchrun, joined here.

    torchrun --nproc-per-node 4 -m buscomp train --steps 500000

The batch is shared out. What is computed equals what one process computes from the whole batch, to rounding: the loss
is that of all parts together, and gradients are added up. Batch normalisation alone sees its own part only. Outside
torchrun every function here is that of one process.

Gradients are added in one message, not by DistributedDataParallel: these models have fewer numbers than one of its
buckets, and it waits for a gradient of every parameter, which a short chunk does not give.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..manifests.errors import UsageError
from .state import State

STARTED_BY_TORCHRUN = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
PATIENCE = timedelta(hours=24)  # one process may still decode a large dataset


def is_first() -> bool:
    """Whether this process speaks for all; known before they meet, and afterwards."""
    return os.environ.get("RANK", "0") == "0"


def local_rank() -> int:
    """The number of this process on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined() -> Iterator[None]:
    """Meet the other processes that torchrun started, if it did, for as long as the block lasts."""
    if STARTED_BY_TORCHRUN - set(os.environ):
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process; 0 is the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(batch: int) -> slice:
    """Which items of a batch this process computes."""
    if batch % count():
        raise UsageError("a batch is shared out evenly", got=f"{batch} for {count()} processes")
    each = batch // count()
    return slice(rank() * each, (rank() + 1) * each)


def summed(tensor: Tensor) -> Tensor:
    """`tensor`, added up over all processes; no gradient passes."""
    if count() > 1:
        tensor = tensor.detach().clone()
        dist.all_reduce(tensor)
    return tensor


def highest(value: float) -> float:
    """The highest `value` of all processes: what each decides by it, all decide."""
    if count() == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return float(tensor)


def mean_of_processes(loss: Tensor) -> Tensor:
    """The mean of every process's `loss`, with a gradient for its own."""
    mean: Tensor = loss if count() == 1 else _Mean.apply(loss)  # type: ignore[no-untyped-call]
    return mean


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return summed(loss) / count()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient / count()


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Make every gradient the sum of those of all processes."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    sums = summed(torch.cat([gradient.flatten() for gradient in gradients]))
    totals = torch.split(sums, [gradient.numel() for gradient in gradients])
    for gradient, total in zip(gradients, totals, strict=True):
        gradient.copy_(total.view_as(gradient))


def whole_state(state: State) -> State:
    """The stream states of all processes as that of one batch. Every process must ask."""
    return {name: _gathered(value) if value.ndim else value for name, value in state.items()}


def own_state(state: State, batch: int, device: torch.device) -> State:
    """This process's part of `whole_state`, on its device."""
    return {name: value[share(batch)].to(device) if value.ndim else value for name, value in state.items()}


def _gathered(value: Tensor) -> Tensor:
    if count() == 1:
        return value
    parts = [torch.empty_like(value) for _ in range(count())]
    dist.all_gather(parts, value.contiguous())
    return torch.cat(parts)

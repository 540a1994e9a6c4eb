"""Recurrences over time with a hand-written gradient, compiled by numba: no Python loop over samples.

    g[t] = d[t] g[t-1] + (1 - d[t]) G[t]

is what every level detector of the grey boxes does; they differ in where the decay d comes from. Everything is in
double precision: at a release of a second each sample brings 2e-5 of what is missing, which single precision would
lose, and a stream in chunks of one sample must end where the whole one does.

The compiled loops run on the processor. What lies on a GPU is copied there and back, with its gradients.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Array = npt.NDArray[np.float64]


def _forward(wanted: Array, decay: Array, start: Array, out: Array) -> None:
    batch, frames = wanted.shape
    for b in range(batch):
        g = start[b]
        for t in range(frames):
            g = decay[b, t] * g + (1 - decay[b, t]) * wanted[b, t]
            out[b, t] = g


def _backward(
    wanted: Array, decay: Array, start: Array, out: Array, into: Array, d_wanted: Array, d_decay: Array, d_start: Array
) -> None:
    """`into` is the gradient at `out`; the adjoint runs from the last sample to the first."""
    batch, frames = wanted.shape
    for b in range(batch):
        adjoint = 0.0
        for t in range(frames - 1, -1, -1):
            adjoint += into[b, t]
            d_wanted[b, t] = (1 - decay[b, t]) * adjoint
            d_decay[b, t] = ((out[b, t - 1] if t > 0 else start[b]) - wanted[b, t]) * adjoint
            adjoint *= decay[b, t]
        d_start[b] = adjoint


def _falling(wanted: Array, fall: float, rise: float, start: Array, falls: npt.NDArray[np.bool_]) -> None:
    """Where g[t-1] > G[t], with decay `fall` there and `rise` elsewhere."""
    batch, frames = wanted.shape
    for b in range(batch):
        g = start[b]
        for t in range(frames):
            falls[b, t] = g > wanted[b, t]
            decay = fall if falls[b, t] else rise
            g = decay * g + (1 - decay) * wanted[b, t]


_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_forward_compiled = _compiled(_forward)
_backward_compiled = _compiled(_backward)
_falling_compiled = _compiled(_falling)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, wanted: Tensor, decay: Tensor, start: Tensor) -> Tensor:
        out = torch.empty_like(wanted)
        _forward_compiled(array(wanted), array(decay), array(start), array(out))
        ctx.save_for_backward(wanted, decay, start, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, into: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        saved = ctx.saved_tensors
        gradients = tuple(torch.empty_like(tensor) for tensor in saved[:3])
        _backward_compiled(*map(array, saved), array(into.contiguous()), *map(array, gradients))
        return gradients[0], gradients[1], gradients[2]


def recurrence(wanted: Tensor, decay: Tensor, start: Tensor) -> Tensor:
    """g (batch, frames) for `wanted` G and `decay` d, both (batch, frames), from g = `start` (batch,); float64."""
    on_host = (tensor.double().cpu().contiguous() for tensor in (wanted, decay, start))
    g: Tensor = _Recurrence.apply(*on_host)  # type: ignore[no-untyped-call]
    return g.to(wanted.device)


@torch.no_grad()
def falling(wanted: Tensor, fall: Tensor, rise: Tensor, start: Tensor) -> Tensor:
    """Where g would have to fall, g[t-1] > G[t], if it fell with decay `fall` and rose with `rise` (one number each):
    bool (batch, frames)."""
    host = wanted.double().cpu().contiguous()
    falls = torch.empty(host.shape, dtype=torch.bool)
    _falling_compiled(array(host), float(fall), float(rise), array(start.double().cpu()), falls.numpy())
    return falls.to(wanted.device)


def array(tensor: Tensor) -> Array:
    """The memory of a tensor, for a compiled loop."""
    values: Array = tensor.detach().numpy()
    return values

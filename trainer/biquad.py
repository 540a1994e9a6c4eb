"""Second-order filters in series, with state and gradient: what a parametric equaliser is made of.

Coefficients are those of the "Cookbook formulae for audio equalizer biquad filter coefficients" (R. Bristow-Johnson).
Filters run as recursions in training as in use, in direct form I and double precision, compiled by numba; the gradient
is the recursion of the transposed filters, from the last sample to the first. Sampling the response at the frequencies
of an FFT, as others train them, has no state to carry from chunk to chunk.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .recurrence import Array, array

HIGHEST = 0.49  # of the sample rate: where a corner frequency is held


def _forward(coefficients: Array, trace: Array) -> None:
    """`trace` (batch, sections + 1, 2 + frames): the signal between sections, the first row is the input. Its first two
    columns are the two samples before."""
    batch, sections, _ = coefficients.shape
    for b in range(batch):
        for i in range(sections):
            b0, b1, b2, a1, a2 = coefficients[b, i]
            x, y = trace[b, i], trace[b, i + 1]
            for t in range(2, len(x)):
                y[t] = b0 * x[t] + b1 * x[t - 1] + b2 * x[t - 2] - a1 * y[t - 1] - a2 * y[t - 2]


def _backward(coefficients: Array, trace: Array, adjoint: Array, d_coefficients: Array) -> None:
    """`adjoint` is the gradient at `trace` as others use it, and becomes the whole of it."""
    batch, sections, _ = coefficients.shape
    for b in range(batch):
        for i in range(sections - 1, -1, -1):
            b0, b1, b2, a1, a2 = coefficients[b, i]
            x, y, into_x, into_y = trace[b, i], trace[b, i + 1], adjoint[b, i], adjoint[b, i + 1]
            d0, d1, d2, e1, e2 = 0.0, 0.0, 0.0, 0.0, 0.0
            for t in range(len(x) - 1, 1, -1):
                at = into_y[t]
                d0, d1, d2 = d0 + at * x[t], d1 + at * x[t - 1], d2 + at * x[t - 2]
                e1, e2 = e1 - at * y[t - 1], e2 - at * y[t - 2]
                into_x[t] += b0 * at
                into_x[t - 1] += b1 * at
                into_x[t - 2] += b2 * at
                into_y[t - 1] -= a1 * at
                into_y[t - 2] -= a2 * at
            d_coefficients[b, i, 0], d_coefficients[b, i, 1], d_coefficients[b, i, 2] = d0, d1, d2
            d_coefficients[b, i, 3], d_coefficients[b, i, 4] = e1, e2


_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_forward_compiled = _compiled(_forward)
_backward_compiled = _compiled(_backward)


class _Cascade(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, state: Tensor) -> Tensor:
        trace = x.new_empty(*state.shape[:2], 2 + x.shape[1])
        trace[..., :2] = state
        trace[:, 0, 2:] = x
        _forward_compiled(array(coefficients), array(trace))
        ctx.save_for_backward(coefficients, trace)
        return trace

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, into: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        coefficients, trace = ctx.saved_tensors
        adjoint, d_coefficients = into.clone(memory_format=torch.contiguous_format), torch.empty_like(coefficients)
        _backward_compiled(array(coefficients), array(trace), array(adjoint), array(d_coefficients))
        return adjoint[:, 0, 2:], d_coefficients, adjoint[..., :2]


def cascade(x: Tensor, coefficients: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`x` (batch, frames) through sections (batch, sections, 5) of b0, b1, b2, a1, a2 (a0 is 1), and the state after
    it: the last two samples of the input and behind every section, (batch, sections + 1, 2). Both in float64. The
    compiled loop runs on the processor; what lies on a GPU is copied there and back."""
    on_host = (tensor.double().cpu().contiguous() for tensor in (x, coefficients, state))
    trace: Tensor = _Cascade.apply(*on_host).to(x.device)  # type: ignore[no-untyped-call]
    return trace[:, -1, 2:], trace[..., -2:].clone()


def low_shelf(gain_db: Tensor, frequency_hz: Tensor, q: Tensor, sample_rate: int) -> Tensor:
    """Coefficients (..., 5) of a low shelf."""
    return _shelf(gain_db, frequency_hz, q, sample_rate, low=True)


def high_shelf(gain_db: Tensor, frequency_hz: Tensor, q: Tensor, sample_rate: int) -> Tensor:
    """Coefficients (..., 5) of a high shelf."""
    return _shelf(gain_db, frequency_hz, q, sample_rate, low=False)


def peak(gain_db: Tensor, frequency_hz: Tensor, q: Tensor, sample_rate: int) -> Tensor:
    """Coefficients (..., 5) of a peak or a dip."""
    amplitude, cosine, alpha = _parts(gain_db, frequency_hz, q, sample_rate)
    up, down = alpha * amplitude, alpha / amplitude
    return _normalised(1 + up, -2 * cosine, 1 - up, 1 + down, -2 * cosine, 1 - down)


def _shelf(gain_db: Tensor, frequency_hz: Tensor, q: Tensor, sample_rate: int, low: bool) -> Tensor:
    amplitude, cosine, alpha = _parts(gain_db, frequency_hz, q, sample_rate)
    cosine = cosine if low else -cosine  # a high shelf is a low one with the spectrum turned round
    turned = 1.0 if low else -1.0
    more, less, root = amplitude + 1, amplitude - 1, 2 * amplitude.sqrt() * alpha
    return _normalised(
        amplitude * (more - less * cosine + root),
        turned * 2 * amplitude * (less - more * cosine),
        amplitude * (more - less * cosine - root),
        more + less * cosine + root,
        turned * -2 * (less + more * cosine),
        more + less * cosine - root,
    )


def _parts(gain_db: Tensor, frequency_hz: Tensor, q: Tensor, sample_rate: int) -> tuple[Tensor, Tensor, Tensor]:
    angle = 2 * math.pi * frequency_hz.clamp(max=HIGHEST * sample_rate) / sample_rate
    return torch.pow(10.0, gain_db / 40), torch.cos(angle), torch.sin(angle) / (2 * q)


def _normalised(b0: Tensor, b1: Tensor, b2: Tensor, a0: Tensor, a1: Tensor, a2: Tensor) -> Tensor:
    return torch.stack([b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0], dim=-1)

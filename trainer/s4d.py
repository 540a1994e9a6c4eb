"""S4D: a bank of diagonal linear state spaces, one per channel, with state carried across calls.

Per channel h there are N complex modes, one stored of each conjugate pair: A = -exp(log_A_re) + i A_im, B = 1.
With the zero-order hold of step dt, a = exp(dt A) and c = 2 C (a - 1) / A,

    s[t] = a s[t-1] + u[t]        y[t] = Re(sum over modes of c s[t]) + D u[t]

(Gu et al., On the Parameterization and Initialization of Diagonal State Space Models, 2022). It is computed without a
loop over time and without an FFT: `scan` cuts the signal into pieces. On a CPU that is 4 times faster than multiplying
spectra (chunks of 4 480, 4 modes as well as 32), and it takes and returns the state for nothing.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

PIECE = 64  # frames: below it the Toeplitz product is small, above it the scan over pieces is short


class S4D(nn.Module):
    """`channels` state spaces of `modes` complex modes: channels * (4 * modes + 2) parameters.

    `dt_min`, `dt_max` bound the initial steps. At Re A = -1/2 the slowest initial decay takes 2 / dt_min samples:
    2 000 (45 ms at 44.1 kHz) for the published 1e-3, 67 000 (1.5 s) for 3e-5.
    """

    def __init__(self, channels: int, modes: int, dt_min: float = 1e-3, dt_max: float = 1e-1):
        super().__init__()
        self.log_dt = nn.Parameter(torch.empty(channels).uniform_(math.log(dt_min), math.log(dt_max)))
        self.log_A_re = nn.Parameter(torch.full((channels, modes), math.log(0.5)))
        self.A_im = nn.Parameter(math.pi * torch.arange(modes, dtype=torch.float32).repeat(channels, 1))
        self.C = nn.Parameter(torch.randn(channels, modes, 2) * math.sqrt(0.5))
        self.D = nn.Parameter(torch.randn(channels))

    def initial_state(self, batch: int) -> Tensor:
        """Silence: zeros (batch, channels, modes, 2), real and imaginary part last."""
        return self.C.new_zeros(batch, *self.C.shape)

    def forward(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """y (batch, channels, frames) for `u` of the same shape, and the state after its last frame."""
        frames = u.shape[-1]
        dt_A, c = self._discrete()
        s = torch.view_as_complex(state)
        rest = frames % PIECE
        if rest == 0 or frames < PIECE:
            y, s = scan(u, s, dt_A, c, self.D, min(frames, PIECE))
        else:
            whole, s = scan(u[..., :-rest], s, dt_A, c, self.D, PIECE)
            tail, s = scan(u[..., -rest:], s, dt_A, c, self.D, rest)
            y = torch.cat([whole, tail], dim=-1)
        return y, torch.view_as_real(s)

    def _discrete(self) -> tuple[Tensor, Tensor]:
        """dt A and c, both (channels, modes), complex."""
        A = torch.complex(-torch.exp(self.log_A_re), self.A_im)
        dt_A = torch.exp(self.log_dt)[:, None] * A
        return dt_A, 2 * torch.view_as_complex(self.C) * torch.expm1(dt_A) / A


def silent_states(layers: nn.ModuleList, batch: int) -> dict[str, Tensor]:
    """Silence for each of `layers`, as `s4d.0`, `s4d.1`, ..."""
    return {f"s4d.{i}": layer.initial_state(batch) for i, layer in enumerate(layers) if isinstance(layer, S4D)}


def powers(dt_A: Tensor, count: int) -> Tensor:
    """exp(dt A l) for l = 0..count-1: (channels, modes, count)."""
    return torch.exp(dt_A[..., None] * torch.arange(count, device=dt_A.device))


def scan(u: Tensor, s: Tensor, dt_A: Tensor, c: Tensor, D: Tensor, piece: int) -> tuple[Tensor, Tensor]:
    """y and the state after it, in pieces of `piece` frames; `u` (batch, channels, frames) is a whole number of them.

    Inside a piece: one triangular Toeplitz product per channel. From piece to piece: a scan of the complex state. Both
    meet in one matrix product. Memory is read and written with channels outermost.
    """
    batch, channels, frames = u.shape
    count = frames // piece
    a = powers(dt_A, piece + 1)
    weighted = c[..., None] * a
    pieces = u.transpose(0, 1).reshape(channels, batch * count, piece)

    into = torch.view_as_real(a[..., :piece].flip(-1)).transpose(1, 2).flatten(2)  # (channels, piece, 2 modes)
    added = torch.view_as_complex(torch.bmm(pieces, into).view(channels, batch, count, -1, 2))
    start = torch.cat([s.transpose(0, 1)[:, :, None], added], dim=2)
    states: Tensor = _Scan.apply(start, a[:, None, None, :, piece])  # type: ignore[no-untyped-call]
    before = torch.view_as_real(states[:, :, :-1]).reshape(channels, batch * count, -1)

    kernel = weighted.real[..., :piece].sum(1)
    kernel = torch.cat([kernel[:, :1] + D[:, None], kernel[:, 1:]], dim=1)
    toeplitz = F.pad(kernel, (piece - 1, 0)).unfold(-1, piece, 1).flip(-1)  # [t, j] = kernel[t - j]
    out_of = torch.stack([weighted.real[..., 1:], -weighted.imag[..., 1:]], dim=2).flatten(1, 2)
    y = torch.baddbmm(torch.bmm(pieces, toeplitz.transpose(1, 2)), before, out_of)
    return y.view(channels, batch, frames).transpose(0, 1), states[:, :, -1].transpose(0, 1)


class _Scan(torch.autograd.Function):
    """x[i] = decay x[i-1] + start[i] along axis 2 of (channels, batch, count, modes), decay (channels, 1, 1, modes).

    Written out because the gradient of a scan is a scan from the other end, and automatic differentiation would keep
    every step of this one."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, decay: Tensor) -> Tensor:
        ctx.mark_dirty(start)
        x = scanned(start, decay)
        ctx.save_for_backward(x, decay)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, decay = ctx.saved_tensors
        into = scanned(gradient.clone(), decay.conj().resolve_conj(), backwards=True)
        return into, (into[:, :, 1:] * x[:, :, :-1].conj()).sum((1, 2), keepdim=True)


def scanned(x: Tensor, decay: Tensor, backwards: bool = False) -> Tensor:
    """The scan in place, from the begin or from the end."""
    return (stepped if x.device.type == "cpu" else doubled)(x, decay, backwards)


def stepped(x: Tensor, decay: Tensor, backwards: bool) -> Tensor:
    """Step after step: least work, and what a step needs is in the cache of a CPU."""
    steps = x.unbind(2)
    for last, this in pairwise(reversed(steps) if backwards else steps):
        torch.addcmul(this, decay[:, :, 0], last, out=this)
    return x


def doubled(x: Tensor, decay: Tensor, backwards: bool) -> Tensor:
    """By doubling (Hillis and Steele, 1986): log2(count) steps, no loop over time."""
    shift = 1
    while shift < x.shape[2]:
        early, late = x[:, :, :-shift], x[:, :, shift:]
        last, this = (late, early) if backwards else (early, late)
        this += decay * last  # the product is whole before the sum begins
        decay, shift = decay * decay, 2 * shift
    return x

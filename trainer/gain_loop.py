"""The loop of the physical grey box, with its gradient: rectifier, static curve, two branches of attack and release.

Per stream and sample, in dB, with the reduction r = f + s of the sample before where the detector is behind the gain
cell (feedback 1) and without it where it is before (feedback 0):

    envelope = max(level, envelope - fall)
    o = max(envelope - threshold + knee / 2 - feedback * r, 0)           above where the knee begins
    w = slope * (bent^2 / (2 knee) + o - bent),  bent = min(o, knee)     what the curve wants
    f += (attack if (1 - share) w > f else release) * ((1 - share) w - f)
    s += (fill if share w > s else empty) * (share w - s)

attack, release, fill and empty are fractions of a step per sample, `share` is the part of the reduction that a slow
branch takes over (0: there is none). Loop form after Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor
Design", JAES 60(6), 2012. Which branch of a condition is taken counts as given where gradients are concerned.
"""

from __future__ import annotations

from typing import Any

import numba
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .recurrence import Array, array

# Columns of what describes a stream, and of its state. The envelope is kept in dB above `FLOOR_DB`.
THRESHOLD, SLOPE, KNEE, ATTACK, RELEASE, SHARE, FILL, EMPTY, FALL = range(9)
ENVELOPE, FAST, SLOW = range(3)
LAW, STATE = 9, 3


def _forward(level: Array, law: Array, feedback: float, start: Array, trace: Array) -> None:
    """`trace` (batch, frames + 1, 3) gets the state before every sample and after the last one."""
    batch, frames = level.shape
    for b in range(batch):
        threshold, slope, knee = law[b, THRESHOLD], law[b, SLOPE], law[b, KNEE]
        attack, release, fill, empty = law[b, ATTACK], law[b, RELEASE], law[b, FILL], law[b, EMPTY]
        share, fall = law[b, SHARE], law[b, FALL]
        envelope, fast, slow = start[b, ENVELOPE], start[b, FAST], start[b, SLOW]
        trace[b, 0, ENVELOPE], trace[b, 0, FAST], trace[b, 0, SLOW] = envelope, fast, slow
        for t in range(frames):
            envelope = max(level[b, t], envelope - fall)
            over = max(envelope - threshold + knee / 2 - feedback * (fast + slow), 0.0)
            bent = min(over, knee)
            wanted = slope * (bent * bent / (2 * knee) + over - bent)
            miss = (1 - share) * wanted - fast
            fast += (attack if miss > 0 else release) * miss
            miss = share * wanted - slow
            slow += (fill if miss > 0 else empty) * miss
            trace[b, t + 1, ENVELOPE], trace[b, t + 1, FAST], trace[b, t + 1, SLOW] = envelope, fast, slow


def _backward(
    level: Array, law: Array, feedback: float, trace: Array, into: Array, d_level: Array, d_law: Array, d_start: Array
) -> None:
    """`into` is the gradient at the states after every sample; `d_law` begins at zero. Adjoints run backwards."""
    batch, frames = level.shape
    for b in range(batch):
        threshold, slope, knee = law[b, THRESHOLD], law[b, SLOPE], law[b, KNEE]
        attack, release, fill, empty = law[b, ATTACK], law[b, RELEASE], law[b, FILL], law[b, EMPTY]
        share, fall = law[b, SHARE], law[b, FALL]
        at_envelope, at_fast, at_slow = 0.0, 0.0, 0.0
        for t in range(frames - 1, -1, -1):
            at_envelope += into[b, t, ENVELOPE]
            at_fast += into[b, t, FAST]
            at_slow += into[b, t, SLOW]
            envelope, fast, slow = trace[b, t + 1, ENVELOPE], trace[b, t, FAST], trace[b, t, SLOW]
            over = max(envelope - threshold + knee / 2 - feedback * (fast + slow), 0.0)
            bent = min(over, knee)
            bow = bent * bent / (2 * knee) + over - bent
            wanted = slope * bow

            miss = (1 - share) * wanted - fast
            step = attack if miss > 0 else release
            d_law[b, ATTACK if miss > 0 else RELEASE] += at_fast * miss
            at_wanted = at_fast * step * (1 - share)
            at_share = -at_fast * step * wanted
            at_fast *= 1 - step

            miss = share * wanted - slow
            step = fill if miss > 0 else empty
            d_law[b, FILL if miss > 0 else EMPTY] += at_slow * miss
            at_wanted += at_slow * step * share
            at_share += at_slow * step * wanted
            at_slow *= 1 - step

            d_law[b, SHARE] += at_share
            d_law[b, SLOPE] += at_wanted * bow
            at_over = at_wanted * slope * bent / knee
            d_law[b, KNEE] += at_over / 2 - at_wanted * slope * bent * bent / (2 * knee * knee)
            d_law[b, THRESHOLD] -= at_over
            at_fast -= feedback * at_over
            at_slow -= feedback * at_over
            at_envelope += at_over
            if level[b, t] >= trace[b, t, ENVELOPE] - fall:
                d_level[b, t], at_envelope = at_envelope, 0.0
            else:
                d_level[b, t] = 0.0
                d_law[b, FALL] -= at_envelope
        d_start[b, ENVELOPE], d_start[b, FAST], d_start[b, SLOW] = at_envelope, at_fast, at_slow


_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_forward_compiled = _compiled(_forward)
_backward_compiled = _compiled(_backward)


class _GainLoop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, level: Tensor, law: Tensor, start: Tensor, feedback: float) -> Tensor:
        trace = level.new_empty(*level.shape[:1], level.shape[1] + 1, STATE)
        _forward_compiled(array(level), array(law), feedback, array(start), array(trace))
        ctx.save_for_backward(level, law, trace)
        ctx.feedback = feedback
        return trace[:, 1:].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, into: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        level, law, trace = ctx.saved_tensors
        d_level, d_law, d_start = torch.empty_like(level), torch.zeros_like(law), trace.new_empty(len(level), STATE)
        given = (array(trace), array(into.contiguous()))
        _backward_compiled(array(level), array(law), ctx.feedback, *given, *map(array, (d_level, d_law, d_start)))
        return d_level, d_law, d_start, None


def gain_loop(level_db: Tensor, law: Tensor, start: Tensor, feedback: bool) -> Tensor:
    """The state (envelope, fast, slow) after every sample, (batch, frames, 3) in float64, for levels (batch, frames),
    the law (batch, 9) and the state (batch, 3) before. The compiled loop runs on the processor; what lies on a GPU is
    copied there and back."""
    on_host = (tensor.double().cpu().contiguous() for tensor in (level_db, law, start))
    states: Tensor = _GainLoop.apply(*on_host, float(feedback))  # type: ignore[no-untyped-call]
    return states.to(level_db.device)

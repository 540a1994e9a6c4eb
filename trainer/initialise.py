"""Where training starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from .linear import ChannelLinear
from .state import StreamModel

RIDGE = 1e-3  # of the mean power of the features


def has_output_layer(model: StreamModel) -> bool:
    """Whether `model` ends in a linear layer over features; grey boxes do not."""
    return isinstance(getattr(model, "narrow", None), ChannelLinear)


@torch.no_grad()
def scale_signal_weights(model: StreamModel, x: Tensor) -> None:
    """Divide the weights by which the signal comes in by its RMS in `x` (batch, 1, frames), so that the model begins as
    if music had an RMS of 1. A model that reads levels in decibels stays as it is.

    At -12 dBFS peak most music has an RMS below 0.05: every tanh is a straight line then, a conditioner hardly hears
    loud from soft. With it, 2 500 steps brought s4-4-4 with tvfilm nearer to unheard songs at unheard settings than
    12 000 without it (docs/reference/models.md).
    """
    rms = x.square().mean().sqrt()
    if rms > 0:
        for weights in model.signal_weights():
            weights /= rms


@torch.no_grad()
def fit_output_layer(model: StreamModel, x: Tensor, controls: Tensor, target: Tensor) -> None:
    """Set `model.narrow` to the least-squares fit of `target` (batch, 1, frames) from the untrained features. A model
    without an output layer stays as it is.

    From a random output layer, a model lands about as often on the inverted signal as on the right one, and stays
    there: the STFT distance does not hear polarity, and music is so quiet that the L1 term beside it weighs little.
    """
    if not has_output_layer(model):
        return
    seen: list[Tensor] = []
    handle = model.narrow.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        model(x, controls)
    finally:
        handle.remove()
    features = seen[-1].transpose(0, 1).flatten(1).double()  # (width, batch * frames)
    features = torch.cat([features, torch.ones_like(features[:1])])
    wanted = target.transpose(0, 1).flatten(1).double()
    moments = features @ features.T
    moments += RIDGE * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype, device=moments.device)
    solution = torch.linalg.solve(moments, features @ wanted.T).squeeze(1)
    model.narrow.weight.copy_(solution[None, :-1])
    model.narrow.bias.copy_(solution[-1:])

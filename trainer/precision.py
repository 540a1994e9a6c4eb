"""How exactly a model is computed while it trains. Weights, optimiser, stream states and loss are float32 always.

bf16 applies to the products of the feed-forward parts: convolutions and linear maps. State spaces, recurrent layers,
normalisations and the output layer stay in float32: their errors add up over a stream, are heard as they are, or there
is no such kernel. Its 8 bits move the output of an untrained model by 1e-3 to 1e-1 of itself: for fast looks on a GPU,
not for figures that are to be published.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..manifests.errors import UsageError
from .initialise import has_output_layer
from .recipe import BF16, FLOAT32, TF32
from .s4d import S4D
from .state import State, StreamModel, detach

IN_FLOAT32 = (S4D, nn.RNNBase, nn.BatchNorm1d)


def prepare(network: StreamModel, precision: str) -> None:
    """Set this process, and the layers of `network` that are not to follow, to `precision`. `UsageError` where it makes
    no sense: 8 bits of a threshold in dB are half a dB."""
    if precision == BF16 and not has_output_layer(network):
        raise UsageError("a grey box is not trained in 16 bits", got=precision, allowed=[FLOAT32, TF32])
    torch.set_float32_matmul_precision("high" if precision == TF32 else "highest")
    torch.backends.cudnn.allow_tf32 = precision == TF32
    if precision == BF16:
        for module in network.modules():
            if isinstance(module, IN_FLOAT32) or module is network.narrow:
                module.forward = _in_float32(module.forward)  # type: ignore[method-assign]  # of this object


def computing(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which the network's forward pass runs."""
    return torch.autocast(device.type, torch.bfloat16) if precision == BF16 else nullcontext()


def kept(state: State) -> State:
    """A stream state as it goes on: without its history, and never in 16 bits."""
    return {name: value.float() if value.dtype == torch.bfloat16 else value for name, value in detach(state).items()}


def _in_float32(forward: Callable[..., Any]) -> Callable[..., Any]:
    """`forward` outside the reduced precision, whatever its input has."""

    def whole(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(whole(item) for item in value)
        return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value

    def run(*inputs: Any, **named: Any) -> Any:
        with torch.autocast(inputs[0].device.type, enabled=False):
            return forward(*whole(inputs), **{name: whole(value) for name, value in named.items()})

    return run

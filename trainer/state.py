"""What a model remembers between two chunks of a stream, and the face that every model shows.

Every model here is causal to the sample and processes a stream in chunks of any length:

    y, state = model(x, controls)                # from silence
    y, state = model(next_x, controls, state)    # goes on where the last call stopped

Chunks with carried state give what one call over the whole stream gives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .linear import ChannelLinear

State = dict[str, Tensor]  # flat, so that it is detached, moved and written to a checkpoint in one line


class StreamModel(nn.Module, ABC):
    """A model of the unit. `controls` is how many numbers describe a setting."""

    controls: int
    narrow: ChannelLinear  # the output layer
    look_ahead_samples = 0  # how far y sees into what follows

    @abstractmethod
    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`x` (batch, 1, frames) through the unit at `controls` (batch, controls): y (batch, 1, frames) and the state
        after it. Sample n of y depends on samples up to n of x. Without `state` the stream begins after silence."""

    @abstractmethod
    def initial_state(self, controls: Tensor) -> State:
        """The state of a stream that begins: after silence, at `controls` (batch, controls)."""

    def signal_weights(self) -> list[Tensor]:
        """The weights by which the signal itself comes in, as views. None where its level is read in decibels."""
        return []


def detach(state: State) -> State:
    """`state` with its values but without its history: gradients stop here, the sound goes on."""
    return {name: value.detach() for name, value in state.items()}


def parameter_count(model: nn.Module) -> int:
    """Parameters of `model`, frozen ones too, as the papers count them."""
    return sum(parameter.numel() for parameter in model.parameters())


def causal_context(context: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """`x` (batch, channels, frames) with the `context` frames that came before it, and the context of what follows."""
    longer = torch.cat([context, x], dim=-1)
    return longer, longer[..., longer.shape[-1] - context.shape[-1] :]

"""The gated convolutional network of Solid State Bus-Comp (2025), with its context carried across calls."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .activation import tanh
from .conditioning import Film, Tvfilm
from .linear import ChannelLinear
from .state import State, StreamModel, causal_context

SILENCE = 2048  # frames, 16 whole blocks: not less than the receptive field of either configuration minus one


class Gcn(StreamModel):
    """`blocks` of a dilated convolution to 2W channels, modulation, gate tanh * sigmoid, a linear mix and the block's
    input; the gates of all blocks, mixed, are the output. No tanh at the end.

    Each convolution keeps the (kernel - 1) * dilation frames before the chunk, so input and output of a block belong to
    the same instants by construction: the published networks crop the residual one sample late per block. The mix of
    the last block feeds nothing; it is kept, frozen, so that counts agree with the papers.
    """

    def __init__(
        self, controls: int, conditioner: Film | Tvfilm, blocks: int, kernel: int, growth: int, width: int = 16
    ):
        super().__init__()
        self.controls = controls
        self.width, self.kernel = width, kernel
        self.conditioner = conditioner
        self.dilations = [growth**i for i in range(blocks)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width if i else 1, 2 * width, kernel, dilation=dilation)
            for i, dilation in enumerate(self.dilations)
        )
        self.mixes = nn.ModuleList(ChannelLinear(width, width) for _ in range(blocks))
        self.mixes[-1].requires_grad_(False)
        self.narrow = ChannelLinear(width * blocks, 1)
        self.receptive_field = 1 + (kernel - 1) * sum(self.dilations)
        assert self.receptive_field <= SILENCE + 1

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        code = self.conditioner.begin(x, controls, before, after)
        gates, last = [], len(self.dilations) - 1
        for i, (convolution, mix) in enumerate(zip(self.convolutions, self.mixes, strict=True)):
            longer, after[f"context.{i}"] = causal_context(before[f"context.{i}"], x)
            left, right = self.conditioner.modulate(i, convolution(longer), code).chunk(2, dim=1)
            z = tanh(left) * torch.sigmoid(right)
            gates.append(z)
            if i < last:
                x = mix(z) + x
        return self.narrow(torch.cat(gates, dim=1)), after

    def initial_state(self, controls: Tensor) -> State:
        """Zero context is not silence, because biases make inner layers non-zero: 2 048 zeros are fed, on the
        statistics of evaluation and without gradients."""
        batch, weight = len(controls), self.narrow.weight
        zeros = self.conditioner.initial_state(batch)
        for i, dilation in enumerate(self.dilations):
            zeros[f"context.{i}"] = weight.new_zeros(batch, self.width if i else 1, (self.kernel - 1) * dilation)
        training = [module for module in self.modules() if module.training]
        self.eval()
        with torch.no_grad():
            _, state = self.forward(weight.new_zeros(batch, 1, SILENCE), controls, zeros)
        for module in training:
            module.training = True
        return state

"""The gated convolutional network of Solid State Bus-Comp (2025), with its context carried across calls."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .activation import tanh
from .conditioning import FILMS, Conditioner, make_conditioner
from .convolution import ConvolutionalModel
from .entry import Entry, Options
from .linear import ChannelLinear
from .state import State, StreamModel

WIDTH = 16


class Gcn(ConvolutionalModel):
    """`blocks` of a dilated convolution to 2W channels, modulation, gate tanh * sigmoid, a linear mix and the block's
    input; the gates of all blocks, mixed, are the output. No tanh at the end.

    The mix of the last block feeds nothing; it is kept, frozen, so that counts agree with the papers.
    """

    def __init__(self, controls: int, conditioner: Conditioner, blocks: int, kernel: int, growth: int):
        super().__init__(controls, conditioner, WIDTH, 2 * WIDTH, kernel, [growth**i for i in range(blocks)])
        self.mixes = nn.ModuleList(ChannelLinear(WIDTH, WIDTH) for _ in range(blocks))
        self.mixes[-1].requires_grad_(False)
        self.narrow = ChannelLinear(WIDTH * blocks, 1)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        modulate = self.conditioner(x, controls, before, after)
        gates, last = [], len(self.mixes) - 1
        for i, mix in enumerate(self.mixes):
            left, right = modulate(i, self.stream_convolution(i, x, before, after)).chunk(2, dim=1)
            z = tanh(left) * torch.sigmoid(right)
            gates.append(z)
            if i < last:
                x = mix(z) + x
        return self.narrow(torch.cat(gates, dim=1)), after


def _entry(blocks: int, kernel: int, growth: int) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        conditioner = make_conditioner(conditioning, controls, 2 * WIDTH, blocks, options)
        return Gcn(controls, conditioner, blocks, kernel, growth)

    described = f"paper A, {blocks} blocks, kernel {kernel}, dilation {growth}^i"
    return Entry(f"gcn-{blocks}-{kernel}", described, FILMS, 4, build)


ENTRIES = (_entry(5, 7, 4), _entry(10, 3, 2))

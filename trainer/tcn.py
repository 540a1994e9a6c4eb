"""Temporal convolutional networks: the one of Solid State Bus-Comp (2025), and micro-TCN as a baseline of paper B.

Both are blocks of a dilated causal convolution, modulation, an activation and the block's input, scaled per channel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .activation import tanh
from .conditioning import FILM, FILMS, Conditioner, Film, make_conditioner
from .convolution import ConvolutionalModel
from .entry import Entry, Options
from .linear import ChannelLinear
from .state import State, StreamModel

WIDTH = 16
MICRO_WIDTH = 32


class Tcn(ConvolutionalModel):
    """`blocks` of convolution to W channels, modulation, tanh, plus the scaled input of the block (which the first
    block spreads from one channel to W); a linear map W to 1; tanh."""

    def __init__(self, controls: int, conditioner: Conditioner, blocks: int, kernel: int, growth: int):
        super().__init__(controls, conditioner, WIDTH, WIDTH, kernel, [growth**i for i in range(blocks)])
        self.residual_scales = _scales(WIDTH, blocks)
        self.narrow = ChannelLinear(WIDTH, 1)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        modulate = self.conditioner(x, controls, before, after)
        for i, scale in enumerate(self.residual_scales):
            y = tanh(modulate(i, self.stream_convolution(i, x, before, after)))
            x = torch.addcmul(y, scale, x)
        return torch.tanh(self.narrow(x)), after


class MicroTcn(ConvolutionalModel):
    """Micro-TCN (Steinmetz and Reiss, 2022), causal: FiLM, PReLU with a slope per channel instead of tanh, no biases in
    convolutions. With 100, 300 and 1000 ms of receptive field it is a baseline of paper B, at its 2 controls."""

    def __init__(self, controls: int, blocks: int, kernel: int, growth: int):
        conditioner = Film(controls, MICRO_WIDTH, blocks, hidden=(16, 32))
        dilations = [growth**i for i in range(blocks)]
        super().__init__(controls, conditioner, MICRO_WIDTH, MICRO_WIDTH, kernel, dilations, bias=False)
        self.prelus = nn.ModuleList(nn.PReLU(MICRO_WIDTH) for _ in range(blocks))
        self.residual_scales = _scales(MICRO_WIDTH, blocks)
        self.narrow = ChannelLinear(MICRO_WIDTH, 1)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        modulate = self.conditioner(x, controls, before, after)
        for i, (prelu, scale) in enumerate(zip(self.prelus, self.residual_scales, strict=True)):
            y = prelu(modulate(i, self.stream_convolution(i, x, before, after)))
            x = torch.addcmul(y, scale, x)
        return torch.tanh(self.narrow(x)), after


def _scales(width: int, blocks: int) -> nn.ParameterList:
    """A number per channel and block, initially as of a depthwise convolution of kernel 1."""
    return nn.ParameterList(nn.Parameter(torch.empty(width, 1).uniform_(-1, 1)) for _ in range(blocks))


def _entry(blocks: int, kernel: int, growth: int) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        conditioner = make_conditioner(conditioning, controls, WIDTH, blocks, options)
        return Tcn(controls, conditioner, blocks, kernel, growth)

    described = f"paper A, {blocks} blocks, kernel {kernel}, dilation {growth}^i"
    return Entry(f"tcn-{blocks}-{kernel}", described, FILMS, 4, build)


def _micro_entry(milliseconds: int, blocks: int, kernel: int) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        return MicroTcn(controls, blocks, kernel, 10)

    described = f"paper B's TCN-{milliseconds}-C, {blocks} blocks, kernel {kernel}, dilation 10^i"
    return Entry(f"tcn-{milliseconds}", described, (FILM,), 2, build)


ENTRIES = (
    _entry(5, 7, 4), _entry(10, 3, 2), _micro_entry(100, 4, 5), _micro_entry(300, 4, 13), _micro_entry(1000, 5, 5),
)  # fmt: skip

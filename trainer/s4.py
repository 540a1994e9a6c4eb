"""The S4 network of Solid State Bus-Comp (2025): linear layers, S4D and modulation between tanh."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .activation import tanh
from .conditioning import FILMS, Conditioner, make_conditioner
from .entry import Entry, Options
from .linear import ChannelLinear
from .s4d import S4D, silent_states
from .state import State, StreamModel

WIDTH = 16


class S4(StreamModel):
    """Linear 1 to W, `blocks` of (Linear, tanh, S4D with `modes` modes, modulation, tanh, plus the scaled input of the
    block), Linear W to 1, tanh. No padding and no limit to the receptive field; silence is the zero state."""

    def __init__(self, controls: int, conditioner: Conditioner, blocks: int, modes: int, dt_min: float = 1e-3):
        super().__init__()
        self.controls = controls
        self.conditioner = conditioner
        self.look_ahead_samples = conditioner.look_ahead_samples
        self.widen = ChannelLinear(1, WIDTH)
        self.mixes = nn.ModuleList(ChannelLinear(WIDTH, WIDTH) for _ in range(blocks))
        self.s4ds = nn.ModuleList(S4D(WIDTH, modes, dt_min) for _ in range(blocks))
        self.residual_scales = nn.ParameterList(
            nn.Parameter(torch.empty(WIDTH, 1).uniform_(-1, 1)) for _ in range(blocks)
        )
        self.narrow = ChannelLinear(WIDTH, 1)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        modulate = self.conditioner(x, controls, before, after)
        h = self.widen(x)
        for i, (mix, s4d, scale) in enumerate(zip(self.mixes, self.s4ds, self.residual_scales, strict=True)):
            z, after[f"s4d.{i}"] = s4d(tanh(mix(h)), before[f"s4d.{i}"])
            h = torch.addcmul(tanh(modulate(i, z)), scale, h)
        return torch.tanh(self.narrow(h)), after

    def initial_state(self, controls: Tensor) -> State:
        return self.conditioner.initial_state(len(controls)) | silent_states(self.s4ds, len(controls))

    def signal_weights(self) -> list[Tensor]:
        return [self.widen.weight, *self.conditioner.signal_weights()]


def _entry(blocks: int, modes: int) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        conditioner = make_conditioner(conditioning, controls, WIDTH, blocks, options)
        return S4(controls, conditioner, blocks, modes, options.dt_min)

    return Entry(f"s4-{blocks}-{modes}", f"paper A, {blocks} blocks, {modes} modes", FILMS, 4, build)


ENTRIES = (_entry(4, 4), _entry(8, 32))

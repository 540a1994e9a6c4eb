"""The S4 network of Solid State Bus-Comp (2025): linear layers, S4D and modulation between tanh."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .activation import tanh
from .conditioning import Conditioner
from .linear import ChannelLinear
from .s4d import S4D, silent_states
from .state import State, StreamModel


class S4(StreamModel):
    """Linear 1 to W, `blocks` of (Linear, tanh, S4D with `modes` modes, modulation, tanh, plus the scaled input of the
    block), Linear W to 1, tanh. No padding and no limit to the receptive field; silence is the zero state."""

    def __init__(
        self, controls: int, conditioner: Conditioner, blocks: int, modes: int, width: int = 16, dt_min: float = 1e-3
    ):
        super().__init__()
        self.controls = controls
        self.conditioner: Conditioner = conditioner
        self.widen = ChannelLinear(1, width)
        self.mixes = nn.ModuleList(ChannelLinear(width, width) for _ in range(blocks))
        self.s4ds = nn.ModuleList(S4D(width, modes, dt_min) for _ in range(blocks))
        self.residual_scales = nn.ParameterList(
            nn.Parameter(torch.empty(width, 1).uniform_(-1, 1)) for _ in range(blocks)
        )
        self.narrow = ChannelLinear(width, 1)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        code = self.conditioner.begin(x, controls, before, after)
        h = self.widen(x)
        for i, (mix, s4d, scale) in enumerate(zip(self.mixes, self.s4ds, self.residual_scales, strict=True)):
            z, after[f"s4d.{i}"] = s4d(tanh(mix(h)), before[f"s4d.{i}"])
            h = torch.addcmul(tanh(self.conditioner.modulate(i, z, code)), scale, h)
        return torch.tanh(self.narrow(h)), after

    def initial_state(self, controls: Tensor) -> State:
        return self.conditioner.initial_state(len(controls)) | silent_states(self.s4ds, len(controls))

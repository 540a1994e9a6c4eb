"""The network of "Modeling Analog Dynamic Range Compressors using Deep Learning and State-space Models" (2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conditioning import FILM, Film
from .entry import Entry, Options
from .linear import ChannelLinear
from .s4d import S4D, silent_states
from .state import State, StreamModel

BLOCKS = 4


class Ssm(StreamModel):
    """ssm-cH-fN: Linear 1 to H, four blocks of (Linear, PReLU, S4D with N complex modes, normalisation and FiLM, PReLU,
    plus the scaled input of the block), Linear H to 1, tanh. Each PReLU has one slope."""

    def __init__(self, controls: int, width: int, modes: int, dt_min: float = 1e-3):
        super().__init__()
        self.controls = controls
        self.conditioner = Film(controls, width, BLOCKS, hidden=(16, 32))
        self.widen = ChannelLinear(1, width)
        self.mixes = nn.ModuleList(ChannelLinear(width, width) for _ in range(BLOCKS))
        self.s4ds = nn.ModuleList(S4D(width, modes, dt_min) for _ in range(BLOCKS))
        self.inner_prelus = nn.ModuleList(nn.PReLU() for _ in range(BLOCKS))
        self.outer_prelus = nn.ModuleList(nn.PReLU() for _ in range(BLOCKS))
        self.residual_scales = nn.ParameterList(
            nn.Parameter(torch.empty(width, 1).uniform_(-1, 1)) for _ in range(BLOCKS)
        )
        self.narrow = ChannelLinear(width, 1)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        modulate = self.conditioner(x, controls, before, after)
        h = self.widen(x)
        for i, scale in enumerate(self.residual_scales):
            z, after[f"s4d.{i}"] = self.s4ds[i](self.inner_prelus[i](self.mixes[i](h)), before[f"s4d.{i}"])
            h = torch.addcmul(self.outer_prelus[i](modulate(i, z)), scale, h)
        return torch.tanh(self.narrow(h)), after

    def initial_state(self, controls: Tensor) -> State:
        return silent_states(self.s4ds, len(controls))

    def signal_weights(self) -> list[Tensor]:
        return [self.widen.weight]


def _entry(width: int, modes: int) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        return Ssm(controls, width, modes, options.dt_min)

    return Entry(f"ssm-c{width}-f{modes}", f"paper B, 4 blocks, width {width}, {modes} modes", (FILM,), 2, build)


ENTRIES = (_entry(16, 4), _entry(16, 8), _entry(32, 4), _entry(32, 8))

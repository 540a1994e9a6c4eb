"""The ToneTwist chains of Solid State Bus-Comp (2025): equalisers and gains in series, set by small controllers.

Every controller sees the controls, and a dynamic one also the level of the chain's input in blocks of 128 frames
(blocks.py); each ends in a sigmoid, and each stage maps 0 to 1 linearly to its range.

tonetwist              equaliser, gain that follows the level, equaliser, gain: 1 615 parameters, as published
tonetwist-inversion    equaliser, inversion, gain, equaliser, gain: published as "2.0K", without saying of what. An
                       inversion has no parameters, so the chain above with one would still count 1 615. What is built
                       is the likeliest reading: no gain follows the level, 1 952. That also explains why the published
                       errors are six times higher, which need not have to do with the inversion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .biquad import cascade, high_shelf, low_shelf, peak
from .blocks import BLOCK, BlockLstm, hold
from .entry import Entry, Options
from .state import State, StreamModel

MLP = "mlp"  # the conditioning: what the controllers are, but for a dynamic one
HIDDEN = 16
FREQUENCIES_HZ = ((20.0, 2000.0), (20.0, 200.0), (200.0, 2000.0), (2000.0, 12_000.0), (4000.0, 16_000.0))
SECTIONS = (low_shelf, peak, peak, peak, high_shelf)
EQ_GAIN_DB, GAIN_DB, LOWEST_Q, HIGHEST_Q = 12.0, 40.0, 0.1, 10.0


class Stage(nn.Module, ABC):
    """One stage of a chain. `name` is that of its state."""

    name: str

    @abstractmethod
    def forward(self, y: Tensor, x: Tensor, controls: Tensor, before: State, after: State) -> Tensor:
        """`y` (batch, 1, frames) of the stage before, in a chain whose input is `x`."""

    def initial_state(self, controls: Tensor) -> State:
        """State after silence."""
        return {}


class Equaliser(Stage):
    """Low shelf, three peaks, high shelf; gain, frequency and Q of each from the controls."""

    def __init__(self, name: str, controls: int, sample_rate: int):
        super().__init__()
        self.name, self.sample_rate = name, sample_rate
        self.controller = _perceptron(controls, 3 * len(SECTIONS))

    def forward(self, y: Tensor, x: Tensor, controls: Tensor, before: State, after: State) -> Tensor:
        filtered, after[self.name] = cascade(y.squeeze(1), self.coefficients(controls), before[self.name])
        return filtered.to(y.dtype)[:, None]

    def coefficients(self, controls: Tensor) -> Tensor:
        """(batch, 5 sections, 5) for `controls` (batch, controls)."""
        places = self.controller(controls).double().unflatten(-1, (len(SECTIONS), 3)).unbind(1)
        sections = []
        for section, (low_hz, high_hz), place in zip(SECTIONS, FREQUENCIES_HZ, places, strict=True):
            gain_db = EQ_GAIN_DB * (2 * place[:, 0] - 1)
            frequency_hz = low_hz + (high_hz - low_hz) * place[:, 1]
            q = LOWEST_Q + (HIGHEST_Q - LOWEST_Q) * place[:, 2]
            sections.append(section(gain_db, frequency_hz, q, self.sample_rate))
        return torch.stack(sections, dim=1)

    def initial_state(self, controls: Tensor) -> State:
        return {self.name: controls.new_zeros(len(controls), len(SECTIONS) + 1, 2, dtype=torch.float64)}


class Gain(Stage):
    """A gain that the controls set."""

    def __init__(self, name: str, controls: int):
        super().__init__()
        self.name = name
        self.controller = _perceptron(controls, 1)

    def forward(self, y: Tensor, x: Tensor, controls: Tensor, before: State, after: State) -> Tensor:
        return y * _factor(self.controller(controls))[..., None]


class DynamicGain(Stage):
    """A gain that the controls and the level of the chain's input set anew for every block."""

    def __init__(self, name: str, controls: int, alignment: str):
        super().__init__()
        self.name = name
        self.lstm = BlockLstm(1, controls, 1, alignment)

    def forward(self, y: Tensor, x: Tensor, controls: Tensor, before: State, after: State) -> Tensor:
        codes, offset = self.lstm.codes(x.abs(), controls, self.name, before, after)
        return y * hold(_factor(torch.sigmoid(codes)), offset, y.shape[-1])

    def initial_state(self, controls: Tensor) -> State:
        return self.lstm.silence(len(controls), 1, self.name)


class Inversion(Stage):
    """The other polarity."""

    name = "inversion"

    def forward(self, y: Tensor, x: Tensor, controls: Tensor, before: State, after: State) -> Tensor:
        return -y


class ToneTwist(StreamModel):
    """`stages` in series."""

    def __init__(self, controls: int, stages: Sequence[Stage], look_ahead_samples: int = 0):
        super().__init__()
        self.controls, self.look_ahead_samples = controls, look_ahead_samples
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        y = x
        for stage in self.stages:
            y = stage(y, x, controls, before, after)
        return y, after

    def initial_state(self, controls: Tensor) -> State:
        states = [stage.initial_state(controls) for stage in self.stages if isinstance(stage, Stage)]
        return {name: value for state in states for name, value in state.items()}


def _perceptron(controls: int, outputs: int) -> nn.Sequential:
    widths = (controls, HIDDEN, HIDDEN, outputs)
    return nn.Sequential(*(step for i in range(3) for step in (nn.Linear(widths[i], widths[i + 1]), nn.Sigmoid())))


def _factor(place: Tensor) -> Tensor:
    return torch.pow(10.0, GAIN_DB * (2 * place - 1) / 20)


def _dynamic(conditioning: str, controls: int, options: Options) -> StreamModel:
    rate = options.sample_rate
    dynamic = DynamicGain("gain.1", controls, options.alignment)
    stages = (Equaliser("eq.0", controls, rate), dynamic, Equaliser("eq.2", controls, rate), Gain("gain.3", controls))
    return ToneTwist(controls, stages, BLOCK - 1 if dynamic.lstm.same else 0)


def _inverted(conditioning: str, controls: int, options: Options) -> StreamModel:
    first, second = (Equaliser(name, controls, options.sample_rate) for name in ("eq.0", "eq.3"))
    return ToneTwist(controls, (first, Inversion(), Gain("gain.2", controls), second, Gain("gain.4", controls)))


ENTRIES = (
    Entry("tonetwist", "paper A, PEQ, dynamic gain, PEQ, gain", (MLP,), 4, _dynamic),
    Entry("tonetwist-inversion", "paper A, PEQ, inversion, gain, PEQ, gain; 2.0K as we read it", (MLP,), 4, _inverted),
)

"""How the controls reach a model's features: FiLM, TFiLM, TTFiLM and TVFiLM.

Each modulates F features of a layer by 2F numbers, the first F gamma, the last F beta: gamma * features + beta. FiLM's
are constant, those of the others change from block to block (blocks.py). A conditioner is called once per chunk, and
gives the function that modulates the features of layer after layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import BLOCK, BlockLstm, modulated
from .entry import Options
from .state import State

CODE = 32  # width of what layers are modulated by
BOTTLENECK = 4  # of TTFiLM
FILM, TFILM, TTFILM, TVFILM = "film", "tfilm", "ttfilm", "tvfilm"
FILMS = (FILM, TFILM, TTFILM, TVFILM)
Modulate = Callable[[int, Tensor], Tensor]  # layer, features (batch, F, frames) -> features


class Conditioner(nn.Module, ABC):
    """Modulates the layers of a network."""

    varies = True  # with the signal
    look_ahead_samples = 0

    @abstractmethod
    def forward(self, x: Tensor, controls: Tensor, before: State, after: State) -> Modulate:
        """How layers are modulated while the network hears the chunk `x` (batch, 1, frames). State is read from
        `before`; what follows has it in `after` when all layers are done."""

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """State after silence."""

    def signal_weights(self) -> list[Tensor]:
        """As of a `StreamModel`."""
        return []


class Film(Conditioner):
    """Feature-wise linear modulation (Perez et al., 2018; in micro-TCN's form with a normalisation before it).

    A perceptron K-...-32, once; per layer a batch normalisation without affine part and a linear map 32 to 2F. In
    training the normalisation uses the statistics of the chunk, as published.
    """

    varies = False

    def __init__(self, controls: int, features: int, layers: int, hidden: tuple[int, ...] = (32, 32)):
        super().__init__()
        widths = (controls, *hidden, CODE)
        steps: list[nn.Module] = []
        for width, following in pairwise(widths):
            steps += [nn.Linear(width, following), nn.ReLU()]
        self.perceptron = nn.Sequential(*steps)
        self.norms = nn.ModuleList(nn.BatchNorm1d(features, affine=False) for _ in range(layers))
        self.maps = nn.ModuleList(nn.Linear(CODE, 2 * features) for _ in range(layers))

    def forward(self, x: Tensor, controls: Tensor, before: State, after: State) -> Modulate:
        code = self.perceptron(controls)

        def modulate(layer: int, features: Tensor) -> Tensor:
            gamma, beta = self.maps[layer](code)[..., None].chunk(2, dim=1)
            return torch.addcmul(beta, gamma, self.norms[layer](features))

        return modulate

    def initial_state(self, batch: int) -> State:
        return {}


class Tfilm(Conditioner):
    """Temporal FiLM (Birnbaum et al., 2019): per layer, the block maximum of its features and the controls go into an
    LSTM(F + K, 2F), whose output is gamma and beta. They lie within (-1, 1), and near 0 when training begins.

    `unit_gamma`: gamma is 1 plus that, so that features pass from the begin; not published.
    """

    def __init__(self, controls: int, features: int, layers: int, options: Options):
        super().__init__()
        self.features, self.unit_gamma = features, options.unit_gamma
        self.lstms = nn.ModuleList(
            BlockLstm(features, controls, 2 * features, options.alignment) for _ in range(layers)
        )
        self.look_ahead_samples = _look_ahead_samples(self.lstms)

    def forward(self, x: Tensor, controls: Tensor, before: State, after: State) -> Modulate:
        def modulate(layer: int, features: Tensor) -> Tensor:
            codes, offset = self._lstm(layer).codes(features, controls, f"tfilm.{layer}", before, after)
            return modulated(features, _raised(codes) if self.unit_gamma else codes, offset)

        return modulate

    def initial_state(self, batch: int) -> State:
        return _silences(self.lstms, batch, self.features, "tfilm")

    def _lstm(self, layer: int) -> BlockLstm:
        lstm = self.lstms[layer]
        assert isinstance(lstm, BlockLstm)
        return lstm


class Ttfilm(Conditioner):
    """Tiny temporal FiLM (Comunita et al., 2025): as TFiLM, but the block maximum goes through a linear map F to 4
    first, the LSTM(4 + K, 4) is small, and a perceptron 4-16-32-2F makes gamma and beta of its output.

    The published perceptron ends in a ReLU: gamma and beta are not negative, and a channel can die. `last_relu=False`
    leaves it out.
    """

    def __init__(self, controls: int, features: int, layers: int, options: Options):
        super().__init__()
        self.features, self.unit_gamma = features, options.unit_gamma
        self.reductions = nn.ModuleList(nn.Linear(features, BOTTLENECK) for _ in range(layers))
        self.lstms = nn.ModuleList(
            BlockLstm(BOTTLENECK, controls, BOTTLENECK, options.alignment) for _ in range(layers)
        )
        self.look_ahead_samples = _look_ahead_samples(self.lstms)
        last = nn.ReLU if options.last_relu else nn.Identity
        self.perceptrons = nn.ModuleList(
            nn.Sequential(
                nn.Linear(BOTTLENECK, 16), nn.ReLU(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2 * features), last()
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor, controls: Tensor, before: State, after: State) -> Modulate:
        def modulate(layer: int, features: Tensor) -> Tensor:
            lstm, reduction = self.lstms[layer], self.reductions[layer]
            assert isinstance(lstm, BlockLstm)
            codes, offset = lstm.codes(features, controls, f"ttfilm.{layer}", before, after, reduction)
            modulation = self.perceptrons[layer](codes)
            return modulated(features, _raised(modulation) if self.unit_gamma else modulation, offset)

        return modulate

    def initial_state(self, batch: int) -> State:
        return _silences(self.lstms, batch, self.features, "ttfilm")


class Tvfilm(Conditioner):
    """Time-varying FiLM (Comunita et al., 2025) with one conditioner for all layers: block maximum of |x| and the
    controls go into an LSTM(1 + K, 32), once; per layer a linear map 32 to 2F makes gamma and beta."""

    def __init__(self, controls: int, features: int, layers: int, options: Options):
        super().__init__()
        self.lstm = BlockLstm(1, controls, CODE, options.alignment)
        self.look_ahead_samples = _look_ahead_samples([self.lstm])
        self.maps = nn.ModuleList(nn.Linear(CODE, 2 * features) for _ in range(layers))

    def forward(self, x: Tensor, controls: Tensor, before: State, after: State) -> Modulate:
        codes, offset = self.lstm.codes(x.abs(), controls, "lstm", before, after)

        def modulate(layer: int, features: Tensor) -> Tensor:
            return modulated(features, self.maps[layer](codes), offset)

        return modulate

    def initial_state(self, batch: int) -> State:
        return self.lstm.silence(batch, 1, "lstm")

    def signal_weights(self) -> list[Tensor]:
        return [self.lstm.pooled_weights()]


def make_conditioner(name: str, controls: int, features: int, layers: int, options: Options) -> Conditioner:
    """The conditioner called `name` for `layers` layers of `features` each."""
    if name == FILM:
        return Film(controls, features, layers)
    kinds: dict[str, type[Tfilm] | type[Ttfilm] | type[Tvfilm]] = {TFILM: Tfilm, TTFILM: Ttfilm, TVFILM: Tvfilm}
    return kinds[name](controls, features, layers, options)


def _look_ahead_samples(lstms: nn.ModuleList | list[BlockLstm]) -> int:
    return BLOCK - 1 if any(isinstance(lstm, BlockLstm) and lstm.same for lstm in lstms) else 0


def _silences(lstms: nn.ModuleList, batch: int, channels: int, name: str) -> State:
    states = [
        lstm.silence(batch, channels, f"{name}.{i}") for i, lstm in enumerate(lstms) if isinstance(lstm, BlockLstm)
    ]
    return {key: value for state in states for key, value in state.items()}


def _raised(modulation: Tensor) -> Tensor:
    """With 1 added to gamma, the first half."""
    gamma, beta = modulation.chunk(2, dim=-1)
    return torch.cat([gamma + 1, beta], dim=-1)

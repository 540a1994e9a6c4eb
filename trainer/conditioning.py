"""How the controls reach a model's features: FiLM (constant) and TVFiLM (varying with the signal).

A modulation is 2F numbers for F features, the first F gamma, the last F beta: gamma * features + beta.

Time-varying modulation is held for blocks of 128 frames on one grid that is counted from the begin of the stream
and shared by all layers. Block b is modulated by what the conditioner made of block b - 1, and the first block by
what it makes of a silent one ("delayed"): nothing looks ahead, and any chunk length works. The published models
modulate block b by itself, on a grid per layer, and so look ahead by up to 129 samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from .state import State

BLOCK = 128  # frames
CODE = 32  # width of what the layers are modulated by


class Conditioner(Protocol):
    """Makes one code per call from controls and signal, and modulates every layer by it."""

    def begin(self, x: Tensor, controls: Tensor, before: State, after: State) -> Code:
        """The code for the chunk `x`; reads its state from `before` and puts the next one into `after`."""

    def modulate(self, layer: int, features: Tensor, code: Code) -> Tensor:
        """Features (batch, F, frames) of layer `layer`, modulated."""

    def initial_state(self, batch: int) -> State:
        """State after silence."""


@dataclass(frozen=True)
class Code:
    """What layers are modulated by: (batch, blocks, 32). `offset` frames of the first block lie before the chunk;
    `None`: one block that never ends."""

    values: Tensor
    offset: int | None = None


class Film(nn.Module):
    """Feature-wise linear modulation (Perez et al., 2018; in micro-TCN's form with a normalisation before it).

    A perceptron K-...-32, once; per layer a batch normalisation without affine part and a linear map 32 to 2F. In
    training the normalisation uses the statistics of the chunk, as published.
    """

    def __init__(self, controls: int, features: int, layers: int, hidden: tuple[int, ...] = (32, 32)):
        super().__init__()
        widths = (controls, *hidden, CODE)
        steps: list[nn.Module] = []
        for width, following in pairwise(widths):
            steps += [nn.Linear(width, following), nn.ReLU()]
        self.perceptron = nn.Sequential(*steps)
        self.norms = nn.ModuleList(nn.BatchNorm1d(features, affine=False) for _ in range(layers))
        self.maps = nn.ModuleList(nn.Linear(CODE, 2 * features) for _ in range(layers))

    def begin(self, x: Tensor, controls: Tensor, before: State, after: State) -> Code:
        return Code(self.perceptron(controls)[:, None])

    def modulate(self, layer: int, features: Tensor, code: Code) -> Tensor:
        return _modulated(self.norms[layer](features), self.maps[layer](code.values), code.offset)

    def initial_state(self, batch: int) -> State:
        return {}


class Tvfilm(nn.Module):
    """Time-varying FiLM with one conditioner for all layers (Steinmetz et al., 2022, as in Solid State Bus-Comp).

    Block maximum of |x| and the controls go into an LSTM(1 + K, 32), once; per layer a linear map 32 to 2F at block
    rate.
    """

    def __init__(self, controls: int, features: int, layers: int):
        super().__init__()
        self.lstm = nn.LSTM(1 + controls, CODE, batch_first=True)
        self.maps = nn.ModuleList(nn.Linear(CODE, 2 * features) for _ in range(layers))

    def begin(self, x: Tensor, controls: Tensor, before: State, after: State) -> Code:
        hidden, cell, peak = before["lstm.hidden"], before["lstm.cell"], before["block.peak"]
        position = int(before["block.position"])  # frames of the current block that are past, 1..128
        frames = x.shape[-1]
        blocks = F.pad(x.detach().abs().squeeze(1), (position, -(position + frames) % BLOCK)).view(len(x), -1, BLOCK)
        peaks = blocks.amax(-1)  # (batch, blocks), the first one current
        peaks = torch.cat([torch.maximum(peaks[:, :1], peak), peaks[:, 1:]], dim=1)
        values = hidden[:, None]
        if peaks.shape[1] > 1:  # blocks begin in this chunk: each is modulated by what was before it
            past = torch.cat([peaks[:, :-1, None], controls[:, None].expand(-1, peaks.shape[1] - 1, -1)], dim=-1)
            codes, (hidden, cell) = self.lstm(past, (hidden[None], cell[None]))
            values, hidden, cell = torch.cat([values, codes], dim=1), hidden[0], cell[0]
        offset = position
        if position == BLOCK:  # the current block was over before the chunk began
            values, offset = values[:, 1:], 0
        after["lstm.hidden"], after["lstm.cell"], after["block.peak"] = hidden, cell, peaks[:, -1:]
        after["block.position"] = torch.tensor((position + frames - 1) % BLOCK + 1)
        return Code(values, offset)

    def modulate(self, layer: int, features: Tensor, code: Code) -> Tensor:
        return _modulated(features, self.maps[layer](code.values), code.offset)

    def initial_state(self, batch: int) -> State:
        zeros = next(self.parameters()).new_zeros(batch, CODE)
        silent = {"lstm.hidden": zeros, "lstm.cell": zeros, "block.peak": zeros[:, :1]}
        return silent | {"block.position": torch.tensor(BLOCK)}  # one silent block has just passed


def _modulated(features: Tensor, modulation: Tensor, offset: int | None) -> Tensor:
    """gamma * features + beta. `features` (batch, F, frames), `modulation` (batch, blocks, 2F) at block rate."""
    gamma, beta = modulation.transpose(1, 2).chunk(2, dim=1)
    if offset is None:
        return torch.addcmul(beta, gamma, features)
    frames = features.shape[-1]
    whole_blocks = offset == 0 and frames % BLOCK == 0  # the way of training: no copies
    padded = features if whole_blocks else F.pad(features, (offset, -(offset + frames) % BLOCK))
    blocks = torch.addcmul(beta[..., None], gamma[..., None], padded.reshape(*features.shape[:2], -1, BLOCK)).flatten(
        -2
    )
    return blocks if whole_blocks else blocks[..., offset : offset + frames]

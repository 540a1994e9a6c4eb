"""The recurrent network of Solid State Bus-Comp (2025): one LSTM, sample by sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import BLOCK, BlockLstm, hold, input_weights
from .entry import Entry, Options
from .linear import ChannelLinear
from .state import State, StreamModel

CONCAT, TVCONCAT = "concat", "tvconcat"
CODE = 16  # width of TVConcat's conditioner


class Lstm(StreamModel):
    """LSTM of `hidden` units, linear map to 1, tanh. What it hears beside the signal: the controls (Concat), or what a
    conditioner makes of them and of the block maximum of |x|, an LSTM(1 + K, 16) (TVConcat; the controls then reach the
    network by this way only)."""

    def __init__(self, controls: int, hidden: int, conditioning: str, options: Options):
        super().__init__()
        self.controls = controls
        self.conditioner = BlockLstm(1, controls, CODE, options.alignment) if conditioning == TVCONCAT else None
        self.look_ahead_samples = BLOCK - 1 if self.conditioner and self.conditioner.same else 0
        self.lstm = nn.LSTM(1 + (CODE if self.conditioner else controls), hidden)
        self.narrow = ChannelLinear(hidden, 1)

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        frames = x.shape[-1]
        if self.conditioner:
            codes, offset = self.conditioner.codes(x.abs(), controls, "conditioner", before, after)
            beside = hold(codes, offset, frames)
        else:
            beside = controls[..., None].expand(-1, -1, frames)
        memory = before["lstm.hidden"][None], before["lstm.cell"][None]
        h, (hidden, cell) = self.lstm(torch.cat([x, beside], dim=1).permute(2, 0, 1), memory)
        after["lstm.hidden"], after["lstm.cell"] = hidden[0], cell[0]
        return torch.tanh(self.narrow(h.permute(1, 2, 0))), after

    def initial_state(self, controls: Tensor) -> State:
        zeros = self.narrow.weight.new_zeros(len(controls), self.lstm.hidden_size)
        silent = {"lstm.hidden": zeros, "lstm.cell": zeros}
        return silent | (self.conditioner.silence(len(controls), 1, "conditioner") if self.conditioner else {})

    def signal_weights(self) -> list[Tensor]:
        heard = input_weights(self.lstm, 1)
        return [heard, self.conditioner.pooled_weights()] if self.conditioner else [heard]


def _entry(hidden: int) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        return Lstm(controls, hidden, conditioning, options)

    return Entry(f"lstm-{hidden}", f"paper A, {hidden} units", (CONCAT, TVCONCAT), 4, build)


ENTRIES = (_entry(32), _entry(96))

"""The grid of blocks on which time-varying conditioning runs, and the LSTM that runs on it.

Blocks of 128 frames are counted from the begin of the stream, the same for every layer. What a block contains is
reduced to its maximum; an LSTM turns that and the controls into one code per block. A code is held for a block:

- `delayed`: for the next block, and the first block has what the LSTM makes of a block of zeros. Nothing looks ahead,
  and any chunk length works. State: the maximum of the current block so far, and how much of it is past.
- `same`: for the block it was computed from, as the published models do. That looks ahead by up to 127 samples, and
  chunks must be whole blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from ..manifests.errors import UsageError
from .entry import SAME
from .state import State

BLOCK = 128  # frames
POSITION = "block.position"  # in a state: frames of the current block that are past, 1..128


class BlockLstm(nn.LSTM):
    """LSTM(`pooled` + `controls`, `hidden`), one step per block."""

    def __init__(self, pooled: int, controls: int, hidden: int, alignment: str):
        super().__init__(pooled + controls, hidden, batch_first=True)
        self.pooled, self.same = pooled, alignment == SAME

    def codes(
        self,
        values: Tensor,
        controls: Tensor,
        name: str,
        before: State,
        after: State,
        reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, int]:
        """Codes (batch, blocks, hidden) for the blocks that `values` (batch, channels, frames) lie in, and how many
        frames of the first one lie before them. The state called `name` goes from `before` to `after`; `reduce` maps
        (batch, blocks, channels) to what the LSTM gets."""
        frames, position = values.shape[-1], int(before[POSITION])
        hidden, cell = before[f"{name}.hidden"], before[f"{name}.cell"]
        if self.same:
            if frames % BLOCK:
                raise UsageError("chunks must be whole blocks with alignment same", got=frames, allowed="128, 256, ...")
            peaks = _in_blocks(values).amax(-1).transpose(1, 2)
        else:
            peaks = _peaks(values, before[f"{name}.peak"], position)
            peaks, after[f"{name}.peak"] = peaks[:, :-1], peaks[:, -1]
        codes = hidden[:, None]  # of the current block, if it goes on
        if peaks.shape[1]:  # blocks begin in this chunk
            pooled = peaks if reduce is None else reduce(peaks)
            inputs = torch.cat([pooled, controls[:, None].expand(-1, pooled.shape[1], -1)], dim=-1)
            new, (hidden, cell) = self(inputs, (hidden[None], cell[None]))
            hidden, cell = hidden[0], cell[0]
            codes = new if position == BLOCK else torch.cat([codes, new], dim=1)
        after[f"{name}.hidden"], after[f"{name}.cell"] = hidden, cell
        after[POSITION] = torch.tensor((position + frames - 1) % BLOCK + 1)
        return codes, position % BLOCK

    def pooled_weights(self) -> Tensor:
        """Those of what is pooled, as a view (4 * hidden, pooled)."""
        return input_weights(self, self.pooled)

    def silence(self, batch: int, channels: int, name: str) -> State:
        """After silence: a block of zeros in each of `channels` has just passed."""
        zeros = next(self.parameters()).new_zeros(batch, self.hidden_size)
        state = {f"{name}.hidden": zeros, f"{name}.cell": zeros, POSITION: torch.tensor(BLOCK)}
        return state if self.same else state | {f"{name}.peak": zeros.new_zeros(batch, channels)}


def input_weights(lstm: nn.LSTM, inputs: int) -> Tensor:
    """The weights of the first `inputs` inputs, as a view (4 * hidden, inputs)."""
    weights = lstm.weight_ih_l0
    assert isinstance(weights, Tensor)
    return weights[:, :inputs]


def _peaks(values: Tensor, peak: Tensor, position: int) -> Tensor:
    """Maximum of every block that `values` touch, (batch, blocks, channels). The first block is the one of which
    `position` frames are past, with the maximum `peak`."""
    frames = values.shape[-1]
    if position == BLOCK and frames % BLOCK == 0:  # the way of training: no copies
        return torch.cat([peak[:, None], _in_blocks(values).amax(-1).transpose(1, 2)], dim=1)
    padded = F.pad(values, (position, -(position + frames) % BLOCK), value=-torch.inf)
    peaks = _in_blocks(padded).amax(-1).transpose(1, 2)
    return torch.cat([torch.maximum(peaks[:, :1], peak[:, None]), peaks[:, 1:]], dim=1)


def _in_blocks(x: Tensor) -> Tensor:
    """(batch, channels, blocks, 128) of (batch, channels, frames), without a copy."""
    return x.view(*x.shape[:-1], -1, BLOCK)


def hold(codes: Tensor, offset: int, frames: int) -> Tensor:
    """Codes (batch, blocks, width) held for their blocks: (batch, width, frames), from `offset` into the first."""
    held = codes.transpose(1, 2).repeat_interleave(BLOCK, dim=-1)
    return held[..., offset : offset + frames]


def modulated(features: Tensor, modulation: Tensor, offset: int) -> Tensor:
    """gamma * features + beta with `modulation` (batch, blocks, 2F), the first F gamma, the last F beta, each held for
    its block; `features` (batch, F, frames) begin `offset` frames after the first block does."""
    gamma, beta = modulation.transpose(1, 2)[..., None].chunk(2, dim=1)
    frames = features.shape[-1]
    if offset == 0 and frames % BLOCK == 0:  # the way of training: no copies
        return _affine(_in_blocks(features), gamma, beta).flatten(-2)
    padded = _in_blocks(F.pad(features, (offset, -(offset + frames) % BLOCK)))
    return _affine(padded, gamma, beta).flatten(-2)[..., offset : offset + frames]


class _Affine(torch.autograd.Function):
    """gamma * x + beta for x (batch, F, blocks, frames), gamma and beta (batch, F, blocks, 1). Written out because the
    result has to lie in memory as x does, and would lie as beta does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        ctx.save_for_backward(x, gamma)
        return torch.addcmul(beta, gamma, x, out=torch.empty_like(x))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, gamma = ctx.saved_tensors
        return gradient * gamma, (gradient * x).sum(-1, keepdim=True), gradient.sum(-1, keepdim=True)


def _affine(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    y: Tensor = _Affine.apply(x, gamma, beta)  # type: ignore[no-untyped-call]
    return y

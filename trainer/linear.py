"""A linear map over channels, the same at every instant."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn


class ChannelLinear(nn.Linear):
    """`nn.Linear` over axis 1 of (batch, channels, frames); on a CPU 3 times faster than a convolution of kernel 1.
    The output lies in memory as `x` does: channels innermost (convolutions) or outermost (state spaces)."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, frames = x.shape
        outermost = x.transpose(0, 1)
        if outermost.is_contiguous():
            y = torch.addmm(self.bias[:, None], self.weight, outermost.view(channels, batch * frames))
            return y.view(-1, batch, frames).transpose(0, 1)
        return F.linear(x.transpose(1, 2), self.weight, self.bias).transpose(1, 2)

"""Level detectors of the grey boxes: how the gain in dB follows what the static curve wants.

    g[t] = d g[t-1] + (1 - d) G[t],        d = exp(-1 / (tau * sample rate))

one-pole       one time constant tau; computed by a scan in torch
switching      one tau while the gain has to fall (attack), one while it has to rise (release)
modulated      tau of every sample from a small recurrent network that hears G

After "Differentiable Grey-box Modelling of Dynamic Range Compression" (Wright and Valimaki, 2022), "Grey-box modelling
of dynamic range compression" (Yu et al., 2024), in the form that Solid State Bus-Comp (2025) counts. Gains are
(batch, frames), float64; see recurrence.py for why.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .recurrence import falling, recurrence
from .state import State

PIECE = 64  # frames that one triangular product smooths
SHORTEST_S, LONGEST_S = 1e-4, 1.0  # what the one-pole's parameter is held within
GAIN_SCALE_DB = 80.0  # the recurrent network hears G divided by it
HIDDEN = 8


class Detector(nn.Module, ABC):
    """Follows the wanted gain at its own pace."""

    def __init__(self, sample_rate: int):
        super().__init__()
        self.sample_rate = sample_rate

    @abstractmethod
    def forward(self, wanted_db: Tensor, before: State, after: State) -> Tensor:
        """The gain in dB for the wanted one, both (batch, frames) in float64."""

    def initial_state(self, batch: int, like: Tensor) -> State:
        """No gain reduction."""
        return {"gain_db": like.new_zeros(batch, dtype=torch.float64)}

    def decay(self, tau_s: Tensor) -> Tensor:
        """What is left of a difference after one sample, for a time constant in seconds."""
        return torch.exp(-1 / (tau_s.double() * self.sample_rate))


class OnePole(Detector):
    """One time constant for attack and release."""

    def __init__(self, sample_rate: int):
        super().__init__(sample_rate)
        self.tau_s = nn.Parameter(0.1 * torch.sigmoid(torch.randn(())))

    def forward(self, wanted_db: Tensor, before: State, after: State) -> Tensor:
        rate = 1 / (self.tau_s.double().clamp(SHORTEST_S, LONGEST_S) * self.sample_rate)
        gain_db = one_pole(wanted_db, rate, before["gain_db"])
        after["gain_db"] = gain_db[:, -1]
        return gain_db


class Switching(Detector):
    """Attack and release with a time constant each, both below a second. Which of them works at an instant is taken
    as given where gradients are concerned."""

    def __init__(self, sample_rate: int):
        super().__init__(sample_rate)
        self.attack_and_release = nn.Parameter(torch.randn(2))

    def forward(self, wanted_db: Tensor, before: State, after: State) -> Tensor:
        attack, release = self.decay(torch.sigmoid(self.attack_and_release.double()))
        attacking = falling(wanted_db, attack, release, before["gain_db"])
        gain_db = recurrence(wanted_db, torch.where(attacking, attack, release), before["gain_db"])
        after["gain_db"] = gain_db[:, -1]
        return gain_db


class Modulated(Detector):
    """A time constant below a second for every sample, from a tanh recurrent network of 8 that hears G."""

    def __init__(self, sample_rate: int):
        super().__init__(sample_rate)
        self.rnn = nn.RNN(1, HIDDEN, batch_first=True)
        self.tau = nn.Linear(HIDDEN, 1)

    def forward(self, wanted_db: Tensor, before: State, after: State) -> Tensor:
        heard = (wanted_db / GAIN_SCALE_DB).to(self.tau.weight.dtype)
        hidden, last = self.rnn(heard[..., None], before["rnn"][None])
        decay = self.decay(torch.sigmoid(self.tau(hidden).squeeze(-1)))
        gain_db = recurrence(wanted_db, decay, before["gain_db"])
        after["gain_db"], after["rnn"] = gain_db[:, -1], last[0]
        return gain_db

    def initial_state(self, batch: int, like: Tensor) -> State:
        return super().initial_state(batch, like) | {"rnn": like.new_zeros(batch, HIDDEN)}


def one_pole(wanted: Tensor, rate: Tensor, start: Tensor) -> Tensor:
    """g[t] = d g[t-1] + (1 - d) G[t] with d = exp(-rate), of (batch, frames) from `start` (batch,): a scan in pieces,
    each one triangular product; the ends of the pieces are a shorter signal of the same kind."""
    return _scan(-torch.expm1(-rate) * wanted, rate, start)


def _scan(x: Tensor, rate: Tensor, start: Tensor) -> Tensor:
    """s[t] = exp(-rate) s[t-1] + x[t]."""
    batch, frames = x.shape
    piece = min(frames, PIECE)
    count = -(-frames // piece)
    pieces = nn.functional.pad(x, (0, count * piece - frames)).view(batch, count, piece)
    steps = torch.arange(piece, dtype=x.dtype, device=x.device)
    apart = steps[:, None] - steps[None]
    within = pieces @ torch.exp(-rate * apart.clamp(min=0)).tril().T
    before = start[:, None]
    if count > 1:
        before = torch.cat([before, _scan(within[:, :-1, -1], rate * piece, start)], dim=1)
    whole = within + before[..., None] * torch.exp(-rate * (steps + 1))
    return whole.view(batch, -1)[:, :frames]

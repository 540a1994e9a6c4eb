"""GreyBoxDRC: a compressor of textbook parts, some of them learned, in the six forms of Solid State Bus-Comp (2025).

    level in dB -> static curve (threshold, ratio, knee from the controls) -> detector -> gain -> make-up

One or two time constants of the whole model follow from the published counts: attack and release knobs do not reach
the detector. physical.py has the compressor in which they do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .detector import HIDDEN, Detector, Modulated, OnePole, Switching
from .entry import Entry, Options
from .state import State, StreamModel

MLP = "mlp"  # the conditioning: a perceptron makes the static curve from the controls
FLOOR = 1e-4  # amplitude: a level of -80 dB
LOWEST_THRESHOLD_DB, HIGHEST_RATIO, WIDEST_KNEE_DB = -80.0, 31.0, 30.0
CURVE_HIDDEN = 20
DETECTORS: dict[str, Callable[[int], Detector]] = {"one-pole": OnePole, "switching": Switching, "modulated": Modulated}


class StaticGain(nn.Module):
    """Make-up as two numbers: (y + tanh b) (1 + tanh m)."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(()))
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, y: Tensor, before: State, after: State) -> Tensor:
        return (y + torch.tanh(self.offset)) * (1 + torch.tanh(self.factor))

    def initial_state(self, batch: int, like: Tensor) -> State:
        return {}


class GruGain(nn.Module):
    """Make-up as a small network: y + Linear(GRU(y))."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, HIDDEN, batch_first=True)
        self.mix = nn.Linear(HIDDEN, 1)

    def forward(self, y: Tensor, before: State, after: State) -> Tensor:
        hidden, last = self.gru(y.transpose(1, 2), before["gru"][None])
        after["gru"] = last[0]
        mixed: Tensor = self.mix(hidden)
        return y + mixed.transpose(1, 2)

    def initial_state(self, batch: int, like: Tensor) -> State:
        return {"gru": like.new_zeros(batch, HIDDEN)}


class GreyBoxDRC(StreamModel):
    """Static curve with a hard or a soft knee, `detector`, and make-up by a GRU (the hard ones) or two numbers."""

    def __init__(self, controls: int, soft: bool, detector: Detector):
        super().__init__()
        self.controls = controls
        self.soft = soft
        self.curve = nn.Sequential(
            nn.Linear(controls, CURVE_HIDDEN),
            nn.Tanh(),
            nn.Linear(CURVE_HIDDEN, CURVE_HIDDEN),
            nn.Tanh(),
            nn.Linear(CURVE_HIDDEN, 2 + soft),
        )
        self.detector = detector
        self.makeup = StaticGain() if soft else GruGain()

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before, after = self.initial_state(controls) if state is None else state, State()
        level_db = 20 * torch.log10(x.squeeze(1).double().abs().clamp(min=FLOOR))
        gain_db = self.detector(self.wanted_db(level_db, controls), before, after)
        y = x * torch.pow(10.0, gain_db / 20).to(x.dtype)[:, None]
        return self.makeup(y, before, after), after

    def curve_at(self, controls: Tensor) -> list[Tensor]:
        """Threshold in dB, slope of the gain above it and, if it is soft, the width of the knee in dB, each (batch,) in
        float64."""
        bounded = torch.sigmoid(self.curve(controls).double())
        slope = 1 / (1 + (HIGHEST_RATIO - 1) * bounded[:, 1]) - 1
        return [LOWEST_THRESHOLD_DB * bounded[:, 0], slope, *(WIDEST_KNEE_DB * bounded[:, 2:]).unbind(1)]

    def wanted_db(self, level_db: Tensor, controls: Tensor) -> Tensor:
        """The static curve: gain in dB, 0 or less, for levels (batch, frames)."""
        threshold_db, slope, *knee = (number[:, None] for number in self.curve_at(controls))
        over_db = level_db - threshold_db
        if not self.soft:
            return slope * over_db.clamp(min=0)
        knee_db = knee[0]
        above = (over_db + knee_db / 2).clamp(min=0)  # the begin of the knee
        bent = torch.minimum(above, knee_db)
        return slope * (bent.square() / (2 * knee_db) + (above - bent))

    def initial_state(self, controls: Tensor) -> State:
        like = next(self.parameters())
        return self.detector.initial_state(len(controls), like) | self.makeup.initial_state(len(controls), like)


def _entry(soft: bool, detector: str) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        return GreyBoxDRC(controls, soft, DETECTORS[detector](options.sample_rate))

    short, parts = ("soft-static", "soft knee, static gain") if soft else ("hard-gru", "hard knee, GRU")
    return Entry(f"grey-{short}-{detector}", f"paper A, GreyBoxDRC, {parts}, {detector} detector", (MLP,), 4, build)


ENTRIES = tuple(_entry(soft, detector) for soft in (True, False) for detector in DETECTORS)

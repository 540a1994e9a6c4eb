"""A grey box in which the knobs reach every part: threshold, ratio, knee, attack, release, make-up.

    |x| in dB -> rectifier -> static curve -> attack and release, two branches -> gain cell -> make-up

with the detector behind the gain cell (feedback, as in bus compressors and most vintage units) or before it
(feed-forward). The parts are those of any analog compressor of the class; what the knobs do to them is learned: each
quantity of `Reading` is a bounded function of the controls that reach it, a linear map plus a small perceptron. At the
start no knob does anything, and most quantities stand in the middle of their ranges.

Which controls reach which quantity follows from their names, where they are known: those of time (attack, release) do
not bend the static curve, the threshold does not change times, make-up is a matter of make-up controls, and a slow
second release is one of AUTO flags. Without names every control reaches everything.

Unlike in GreyBoxDRC (greybox.py) attack and release see the knobs, and what the model has learned can be read in
decibels and seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from .entry import Entry, Options
from .gain_loop import FAST, SLOW, STATE, gain_loop
from .state import State, StreamModel

MLP = "mlp"
FLOOR_DB = -100.0  # what is softer counts as this
HIDDEN = 8
AUTO_FLAG = "_auto"  # in the name of a control that is 1 at AUTO and else 0


@dataclass(frozen=True)
class Reading:
    """What a model of a compressor does at one setting, in the units of a panel. Levels are those of the audio that
    the model is given: where a dataset boosts its sends, the panel's threshold is higher by the boost."""

    threshold_db: float  # where the straight lines of the static curve meet
    ratio: float  # of the straight line above the knee
    knee_db: float  # from end to end
    attack_ms: float  # in which reduction reaches 63 % of its end after a high step
    release_s: float  # in which it falls by 63 % on the way to nothing
    makeup_db: float
    slow_share: float  # part of the reduction that the slow branch takes over: 0 where there is none
    slow_attack_s: float
    slow_release_s: float

    def json(self) -> str:
        """One line."""
        return json.dumps({name: float(f"{value:.4g}") for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Range:
    """What a quantity is held within. Logarithmic ones move by factors."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, place: Tensor) -> Tensor:
        """The value at `place`: 0 is low, 1 is high."""
        if self.logarithmic:
            return self.low * torch.exp(place * math.log(self.high / self.low))
        return self.low + place * (self.high - self.low)


RANGES = {
    "threshold_db": Range(-60.0, 10.0),
    "slope": Range(0.05, 50.0, logarithmic=True),  # ratio - 1
    "knee_db": Range(0.5, 30.0, logarithmic=True),
    "attack_s": Range(2e-5, 0.3, logarithmic=True),
    "release_s": Range(0.01, 5.0, logarithmic=True),
    "makeup_db": Range(-24.0, 24.0),
    "slow_share": Range(0.0, 1.0),
    "slow_attack_s": Range(0.05, 10.0, logarithmic=True),
    "slow_release_s": Range(0.5, 20.0, logarithmic=True),
}
FALL = Range(50.0, 50_000.0, logarithmic=True)  # of the rectifier, dB a second, one for all settings
CURVE, TIMES = ("threshold_db", "slope", "knee_db"), ("attack_s", "release_s")
SHARE = "slow_share"
SHARE_AT_START = -1.5  # before the sigmoid: a fifth; all else begins in the middle of its range


def reaching(quantity: str, names: Sequence[str]) -> list[int]:
    """Which of the controls called `names` (as `controls.control_names` calls them) reach a quantity of `RANGES`."""

    def of(*words: str) -> list[int]:
        return [index for index, name in enumerate(names) if any(word in name for word in words)]

    makeup = of("makeup", "gain")
    if quantity == "makeup_db":
        return makeup
    if quantity in CURVE or quantity in TIMES:
        others = makeup + (of("attack", "release") if quantity in CURVE else of("threshold"))
        return [index for index in range(len(names)) if index not in others]
    return of(AUTO_FLAG) or of("release")


class Quantity(nn.Module):
    """One quantity, within its range, as a function of the controls with the indices `reach`; or of none. At the start
    it stands in the middle. `switch`: the product of a number and the largest of these controls, which are flags."""

    def __init__(self, of: Range, reach: Sequence[int], switch: bool = False, start: float = 0.0):
        super().__init__()
        self.of, self.reach, self.switch = of, list(reach), switch
        self.middle = nn.Parameter(torch.tensor(start))
        self.line = self.bend = None
        if reach and not switch:
            self.line = nn.Linear(len(reach), 1, bias=False)
            last = nn.Linear(HIDDEN, 1, bias=False)
            self.bend = nn.Sequential(nn.Linear(len(reach), HIDDEN), nn.Tanh(), last)
            nn.init.zeros_(self.line.weight)
            nn.init.zeros_(last.weight)

    def forward(self, controls: Tensor) -> Tensor:
        """(batch,) in float64, for `controls` (batch, controls)."""
        place = self.middle.expand(len(controls))
        if self.line is not None and self.bend is not None:
            heard = 2 * controls[:, self.reach] - 1
            place = place + (self.line(heard) + self.bend(heard)).squeeze(1)
        bounded = torch.sigmoid(place.double())
        if self.switch:
            bounded = bounded * controls[:, self.reach].amax(1)
        return self.of.at(bounded)


class Physical(StreamModel):
    """The compressor. `feedback`: the detector listens behind the gain cell. `names`: of the controls, if known."""

    def __init__(self, controls: int, feedback: bool, sample_rate: int, names: Sequence[str] = ()):
        super().__init__()
        self.controls = controls
        self.feedback, self.sample_rate = feedback, sample_rate
        anything = list(range(controls))
        self.laws = nn.ModuleDict()
        for name, of in RANGES.items():
            reach = reaching(name, names) if names else anything
            share = name == SHARE
            switch = share and any(AUTO_FLAG in control for control in names)
            self.laws[name] = Quantity(of, reach, switch, SHARE_AT_START if share else 0.0)
        self.fall = Quantity(FALL, ())

    def quantities(self, controls: Tensor) -> dict[str, Tensor]:
        """Every quantity of `RANGES` at `controls` (batch, controls), each (batch,) in float64."""
        return {name: law(controls) for name, law in self.laws.items()}

    def forward(self, x: Tensor, controls: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        before = self.initial_state(controls) if state is None else state
        level_db = 20 * torch.log10(x.squeeze(1).double().abs().clamp(min=10 ** (FLOOR_DB / 20))) - FLOOR_DB
        law, makeup_db = self.law(controls)
        states = gain_loop(level_db, law, before["gain_loop"], self.feedback)
        gain_db = makeup_db[:, None] - states[..., FAST] - states[..., SLOW]
        y = x * torch.pow(10.0, gain_db / 20).to(x.dtype)[:, None]
        return y, {"gain_loop": states[:, -1]}

    def law(self, controls: Tensor) -> tuple[Tensor, Tensor]:
        """What the loop goes by at `controls` (batch, controls): its law (batch, LAW), in steps per sample and levels
        above the floor, and the make-up in dB (batch,). Around a feedback loop the attack is that of the closed loop,
        which is faster than its parts by 1 + slope."""
        at = self.quantities(controls)

        def step(seconds: Tensor) -> Tensor:
            return -torch.expm1(-1 / (seconds * self.sample_rate))

        slope, share = at["slope"], at["slow_share"]
        attack = step(at["attack_s"])
        if self.feedback:
            attack = attack / (1 + (1 - share) * slope)
        else:
            slope = slope / (1 + slope)
        fall = self.fall(controls) / self.sample_rate
        steps = (attack, step(at["release_s"]), share, step(at["slow_attack_s"]), step(at["slow_release_s"]))
        law = torch.stack([at["threshold_db"] - FLOOR_DB, slope, at["knee_db"], *steps, fall], dim=1)
        return law, at["makeup_db"]

    def initial_state(self, controls: Tensor) -> State:
        return {"gain_loop": controls.new_zeros(len(controls), STATE, dtype=torch.float64)}

    @torch.no_grad()
    def reading(self, controls: Tensor) -> Reading:
        """What the model does at one setting, `controls` (controls,)."""
        at = {name: float(value) for name, value in self.quantities(controls[None]).items()}
        slope, attack_s = at.pop("slope"), at.pop("attack_s")
        return Reading(ratio=1 + slope, attack_ms=1000 * attack_s, **at)


def _entry(name: str, feedback: bool) -> Entry:
    def build(conditioning: str, controls: int, options: Options) -> StreamModel:
        return Physical(controls, feedback, options.sample_rate, options.control_names)

    return Entry(f"physical-{name}", f"knobs reach every part of a {name} compressor", (MLP,), 4, build)


ENTRIES = (_entry("feedback", True), _entry("feedforward", False))

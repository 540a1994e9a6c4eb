"""One made unit of the simulated bus compressor: what its knobs really do.

No two units are alike: what a detent is printed with is what its resistor gives within a tolerance. A specimen is
drawn from a seed, by the tolerances that others found or assumed for such units: threshold within 1 dB, ratio within
10 %, attack 20 %, release 15 %, each detent for itself. Seed `None` is the nominal unit, on which every detent does
what is printed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..manifests.levels import from_db
from ..manifests.unit import Position

# In panel order: neighbours are one detent apart. The panel's threshold reads 20 dB more.
DETENTS: dict[str, tuple[Position, ...]] = {
    "threshold_db": (-40.0, -36.0, -32.0, -28.0, -24.0, -20.0, -16.0, -12.0, -8.0, -4.0, 0.0),
    "ratio": (1.5, 2.0, 3.0, 4.0, 5.0, 10.0),
    "attack_ms": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "release_s": (0.1, 0.2, 0.4, 0.8, 1.6, "auto"),
    "makeup_db": (0.0, 5.0, 10.0, 15.0),
    "sidechain_hpf_hz": ("off", 30.0, 60.0, 105.0, 125.0, 185.0),
    "engaged": (False, True),
}
THRESHOLD_TOLERANCE_DB, RATIO_TOLERANCE, ATTACK_TOLERANCE, RELEASE_TOLERANCE = 1.0, 0.10, 0.20, 0.15
CHANNEL_TOLERANCE_DB = 0.1  # of either channel's gain
AUTO_FAST_S, AUTO_SLOW_S, AUTO_FILL_S = 0.043, 5.1, 1.0
SECOND_HARMONIC, THIRD_HARMONIC = 5e-4, 2.5e-4  # of a full-scale sine: 0.05 % and 0.025 %
HARMONIC_TOLERANCE = 0.3
COUPLING_HZ = 5.0
GAIN_CONSTANT_PER_DEGC = 0.0033  # of a THAT 2181 (data sheet)


@dataclass(frozen=True)
class WarmUp:
    """How the unit warms up after it was switched on, which is when its stream begins."""

    rise_degc: float = 15.0  # from cold to warm
    time_constant_s: float = 1200.0

    def reduction_factor(self, seconds: float) -> float:
        """Gain reduction in dB after so many seconds, re that of the warm unit: the gain-control constant of the
        voltage-controlled amplifier rises by 0.33 % per degree."""
        return 1 - GAIN_CONSTANT_PER_DEGC * self.rise_degc * float(np.exp(-seconds / self.time_constant_s))


@dataclass(frozen=True)
class Specimen:
    """What is behind the panel of one unit. Detents that a knob passes in between are interpolated."""

    threshold_errors_db: tuple[float, ...] = (0.0,) * 11  # per detent of `DETENTS`
    ratio_factors: tuple[float, ...] = (1.0,) * 6
    attack_factors: tuple[float, ...] = (1.0,) * 6
    release_factors: tuple[float, ...] = (1.0,) * 5
    auto_s: tuple[float, float, float] = (AUTO_FAST_S, AUTO_SLOW_S, AUTO_FILL_S)  # fast, slow, filling of the slow
    channel_gains_db: tuple[float, ...] = ()  # of each channel; 0 for those that are not named
    second: float = 0.0  # harmonics of a full-scale sine, as a fraction of it
    third: float = 0.0
    coupling_hz: float = 0.0  # high-pass of first order at the output; 0: none
    warm_up: WarmUp | None = None  # None: warm

    @classmethod
    def of_seed(cls, seed: int | None, warm_up: WarmUp | None = None) -> Specimen:
        """The unit with this seed; `None` is the nominal one. All the analogue extras are in it, drift only with
        `warm_up`."""
        if seed is None:
            return cls(second=SECOND_HARMONIC, third=THIRD_HARMONIC, coupling_hz=COUPLING_HZ, warm_up=warm_up)
        random = np.random.default_rng([seed, 0x55C])

        def draw(count: int, tolerance: float) -> tuple[float, ...]:
            return tuple(random.uniform(-tolerance, tolerance, count).tolist())

        def factors(count: int, tolerance: float) -> tuple[float, ...]:
            return tuple(1 + error for error in draw(count, tolerance))

        auto = factors(3, RELEASE_TOLERANCE)
        return cls(
            threshold_errors_db=draw(11, THRESHOLD_TOLERANCE_DB),
            ratio_factors=factors(6, RATIO_TOLERANCE),
            attack_factors=factors(6, ATTACK_TOLERANCE),
            release_factors=factors(5, RELEASE_TOLERANCE),
            auto_s=(AUTO_FAST_S * auto[0], AUTO_SLOW_S * auto[1], AUTO_FILL_S * auto[2]),
            channel_gains_db=draw(2, CHANNEL_TOLERANCE_DB),
            second=SECOND_HARMONIC * factors(1, HARMONIC_TOLERANCE)[0],
            third=THIRD_HARMONIC * factors(1, HARMONIC_TOLERANCE)[0],
            coupling_hz=COUPLING_HZ * factors(1, 0.2)[0],
            warm_up=warm_up,
        )

    def threshold_db(self, printed: float) -> float:
        """The threshold where the knob is at `printed`."""
        return printed + _between(DETENTS["threshold_db"], self.threshold_errors_db, printed)

    def ratio(self, printed: float) -> float:
        """The ratio behind `printed`, never under 1."""
        return max(1.0, printed * _between(DETENTS["ratio"], self.ratio_factors, printed, log=True))

    def attack_ms(self, printed: float) -> float:
        """The attack time behind `printed`."""
        return printed * _between(DETENTS["attack_ms"], self.attack_factors, printed, log=True)

    def release_s(self, printed: float) -> float:
        """The release time behind `printed`, which is a number; AUTO has `auto_s`."""
        return printed * _between(DETENTS["release_s"], self.release_factors, printed, log=True)

    def channel_gain(self, channel: int) -> float:
        """Amplitude ratio of a channel."""
        return from_db(self.channel_gains_db[channel]) if channel < len(self.channel_gains_db) else 1.0


IDEAL = Specimen()  # dynamics only, nominal: no harmonics, no coupling, no drift


def detents_away(control: str, position: Position, detents: int) -> Position:
    """Where `control` stands when it was set to `position` and is so many detents off. At the end of its scale it is
    off by as many in the other direction, so that it is always wrong. A pot between two detents moves by as much."""
    scale = DETENTS[control]
    numbers = [float(p) for p in scale if not isinstance(p, bool | str)]
    if position not in scale and not isinstance(position, bool | str):  # only pots stand in between, evenly spaced
        step, low, high = numbers[1] - numbers[0], numbers[0], numbers[-1]
        there = float(position) + detents * step
        return there if low <= there <= high else float(position) - detents * step
    index = scale.index(position)
    there_index = index + detents
    if not 0 <= there_index < len(scale):
        there_index = min(max(index - detents, 0), len(scale) - 1)
    return scale[there_index]


def _between(scale: Sequence[Position], values: Sequence[float], at: float, log: bool = False) -> float:
    """`values` belong to the numbers of `scale`; linear in between (in the logarithm, with `log`)."""
    numbers = [float(p) for p in scale if not isinstance(p, bool | str)]
    if at <= numbers[0] or at >= numbers[-1]:
        return values[0] if at <= numbers[0] else values[-1]
    right = bisect_right(numbers, at)
    low, high = numbers[right - 1], numbers[right]
    part = np.log(at / low) / np.log(high / low) if log else (at - low) / (high - low)
    return float((1 - part) * values[right - 1] + part * values[right])

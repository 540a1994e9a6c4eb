"""The simulated unit: a stereo bus compressor with feedback, fast enough for many takes.

    level   = envelope of the louder channel (instant rise, 5 ms fall) less the present gain reduction, in dB:
              the detector hears what leaves the unit
    wanted  = (ratio - 1) * knee(level - threshold)       so that out = threshold + (in - threshold) / ratio
    reduction follows `wanted`, by the attack when it rises, by the release when it falls

The threshold that works is that of the knob plus 0.6 dB for every doubling of the ratio over 4, by design of such
units: with the ratio the side chain gets more gain and its rectifier another bias. The knee is soft: a parabola, up to
7 dB wide where threshold and ratio are low, 3.9 dB at the other end.

`attack_ms` is the time constant of the closed loop: after a step the reduction reaches 63 % of its end in `attack_ms`
at any ratio. `release_s` is that of the recovery to nothing; the fall of the envelope comes before it (5 ms for each
8.7 dB that the step was above the threshold). At AUTO two branches carry half of the reduction each: one with the
attack and a release of 43 ms, one that takes 1 s to fill and 5.1 s to empty, so peaks recover at once and long loud
passages slowly; at any other position the slow one is out of circuit, and what it held is gone. The side chain's
high-pass is of first order.

Levels: 0 dB of `threshold_db` is digital full scale at the send, after the boost. Songs peak at -7 dBFS there, so the
positions -40 to 0 of the shipped bus compressor are heavy but plausible: its grid of -28 to -16 works 9 to 21 dB
below the peaks. Loop form after Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design", JAES 60(6),
2012, section 2; the branches of AUTO after published readings of the unit's release network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..manifests.levels import from_db
from ..manifests.pcm import Float32
from ..manifests.unit import Position
from . import simulator_loops as loops
from .specimen import GAIN_CONSTANT_PER_DEGC, IDEAL, Specimen

ENVELOPE_FALL_S = 0.005
AUTO_SHARE = 0.5  # of the reduction that the fast branch carries
KNEE_DB = 6.0  # at ratio 4 and the lowest threshold
KNEE_BY_RATIO = 0.15  # power of 4 / ratio
KNEE_BY_THRESHOLD = 0.25  # part of it that is lost up to the highest threshold
REFERENCE_RATIO, LOWEST_THRESHOLD_DB = 4.0, -40.0
SHIFT_DB = 0.6  # of the threshold, for every doubling of the ratio
MOST_CHANNELS = 8
OCTAVE_DB = 20 * math.log10(2)
NEVER = 1e6  # a threshold in octaves that nothing reaches

State = npt.NDArray[np.float64]  # opaque: the envelope, the branches, the unit's time, its side chain


@dataclass(frozen=True)
class Knobs:
    """Where the knobs stand, as printed."""

    threshold_db: float
    ratio: float
    attack_ms: float
    release_s: float | None  # None: AUTO
    makeup_db: float = 0.0
    sidechain_hpf_hz: float | None = None  # None: off
    engaged: bool = True  # False: make-up stays in circuit

    @classmethod
    def of(cls, values: Mapping[str, Position]) -> Knobs:
        """From positions of the panel: words mean AUTO and off."""
        numbers = {name: float(v) for name, v in values.items() if not isinstance(v, bool | str)}
        return cls(
            threshold_db=numbers["threshold_db"],
            ratio=numbers["ratio"],
            attack_ms=numbers["attack_ms"],
            release_s=numbers.get("release_s"),
            makeup_db=numbers.get("makeup_db", 0.0),
            sidechain_hpf_hz=numbers.get("sidechain_hpf_hz"),
            engaged=bool(values.get("engaged", True)),
        )


@dataclass(frozen=True)
class Dynamics:
    """What one specimen does at one setting: the effective values, not the printed ones."""

    threshold_db: float  # where the straight lines of the static curve meet
    ratio: float
    knee_db: float  # from end to end
    attack_ms: float
    release_s: float | None
    auto_s: tuple[float, float, float]  # fast, slow, filling of the slow branch
    sidechain_hpf_hz: float | None = None

    @classmethod
    def of(cls, knobs: Knobs, specimen: Specimen = IDEAL) -> Dynamics:
        """The law of the unit: threshold and knee depend on each other's knobs."""
        ratio, threshold_db = specimen.ratio(knobs.ratio), specimen.threshold_db(knobs.threshold_db)
        height = (knobs.threshold_db - LOWEST_THRESHOLD_DB) / -LOWEST_THRESHOLD_DB  # 0: lowest, 1: highest
        lost = KNEE_BY_THRESHOLD * min(max(height, 0.0), 1.0)
        return cls(
            threshold_db=threshold_db + SHIFT_DB * math.log2(ratio / REFERENCE_RATIO),
            ratio=ratio,
            knee_db=KNEE_DB * (REFERENCE_RATIO / ratio) ** KNEE_BY_RATIO * (1 - lost),
            attack_ms=specimen.attack_ms(knobs.attack_ms),
            release_s=None if knobs.release_s is None else specimen.release_s(knobs.release_s),
            auto_s=specimen.auto_s,
            sidechain_hpf_hz=knobs.sidechain_hpf_hz,
        )

    def wanted_db(self, over_db: float) -> float:
        """Reduction that the detector asks for when it hears `over_db` above the threshold."""
        above = over_db + self.knee_db / 2
        bent = min(max(above, 0.0), self.knee_db)
        return (self.ratio - 1) * (bent**2 / (2 * self.knee_db) + max(above - self.knee_db, 0.0))

    def packed(self, sample_rate: int) -> npt.NDArray[np.float64]:
        """For the loops: octaves, and steps per sample."""
        slope, knee = self.ratio - 1, self.knee_db / OCTAVE_DB
        auto = self.release_s is None
        share = AUTO_SHARE if auto else 1.0
        fast, slow, fill = self.auto_s
        row = np.empty(loops.PARTS)
        row[loops.THRESHOLD] = self.threshold_db / OCTAVE_DB - knee / 2
        row[loops.KNEE], row[loops.BEND] = knee, slope / (2 * knee)
        row[loops.SLOPE], row[loops.SHARE] = slope, share
        row[loops.ATTACK] = _step(self.attack_ms / 1000, sample_rate) / (1 + share * slope)
        row[loops.RELEASE] = _step(fast if self.release_s is None else self.release_s, sample_rate)
        row[loops.FILL] = _step(fill, sample_rate)
        row[loops.EMPTY] = _step(slow, sample_rate) if auto else 1.0  # out of circuit: what it held is gone
        return row


def rested_state() -> State:
    """The state of a unit that was switched on now and has heard nothing."""
    state = np.zeros(loops.SIDECHAIN + MOST_CHANNELS)
    state[loops.ENVELOPE] = math.log2(float(loops.FLOOR))
    return state


def compress(
    audio: Float32,
    sample_rate: int,
    *,
    threshold_db: float,
    ratio: float,
    attack_ms: float,
    release_s: float | None,
    makeup_db: float = 0.0,
    sidechain_hpf_hz: float | None = None,
    engaged: bool = True,
    specimen: Specimen = IDEAL,
    state: State | None = None,
) -> tuple[Float32, Float32]:
    """The compressed audio `(frames, channels)` and the gain in dB `(frames,)` that compression applied, 0 or less,
    without make-up. Knobs as printed; `release_s` None is AUTO. `state` is brought forward in place, so that a stream
    may be cut anywhere: the pieces are equal to the whole, to the last bit. Dynamics, the channels' own gains and
    thermal drift of `specimen`; its harmonics and coupling are in `analogue`."""
    knobs = Knobs(threshold_db, ratio, attack_ms, release_s, makeup_db, sidechain_hpf_hz, engaged)
    audio = _checked(audio)
    output, gain_db = np.empty_like(audio), np.empty(len(audio), np.float32)
    compress_into(audio, output, gain_db, sample_rate, knobs, specimen, rested_state() if state is None else state)
    return output, gain_db


def compress_into(
    audio: Float32,
    output: Float32,
    gain_db: Float32,
    sample_rate: int,
    knobs: Knobs,
    specimen: Specimen,
    state: State,
) -> None:
    """What `compress` does, into arrays that are there. All contiguous."""
    warm_up = specimen.warm_up
    loops.single(
        audio,
        output,
        gain_db,
        state,
        _packed(knobs, specimen, sample_rate),
        _fall(sample_rate),
        _sidechain_step(knobs.sidechain_hpf_hz, sample_rate),
        _channel_levels(knobs, specimen, audio.shape[1]),
        GAIN_CONSTANT_PER_DEGC * warm_up.rise_degc if warm_up else 0.0,
        warm_up.time_constant_s * sample_rate if warm_up else 1.0,
    )


def compress_lanes(
    audio: Float32,
    sample_rate: int,
    settings: Sequence[Knobs],
    *,
    specimen: Specimen = IDEAL,
    states: npt.NDArray[np.float64] | None = None,
) -> Float32:
    """One song at many settings at once: audio `(settings, frames, channels)`.

    For data sets: many times faster than one setting after the other, and equal to `compress` within 1e-4 dB of gain.
    `states` from `rested_states` is brought forward in place; a long song may be cut into blocks, which keeps memory
    small. A `specimen` that warms up is taken as warm."""
    audio = _checked(audio)
    outputs = np.empty((len(settings), *audio.shape), np.float32)
    _run_lanes(audio, sample_rate, settings, specimen, states, outputs, None)
    return outputs


def gain_lanes(
    audio: Float32,
    sample_rate: int,
    settings: Sequence[Knobs],
    *,
    specimen: Specimen = IDEAL,
    states: npt.NDArray[np.float64] | None = None,
) -> Float32:
    """The gains in dB `(settings, frames)` of `compress_lanes`, without the audio: for fits."""
    audio = _checked(audio)
    gains_db = np.empty((len(settings), len(audio)), np.float32)
    _run_lanes(audio, sample_rate, settings, specimen, states, None, gains_db)
    return gains_db


def _run_lanes(
    audio: Float32,
    sample_rate: int,
    settings: Sequence[Knobs],
    specimen: Specimen,
    states: npt.NDArray[np.float64] | None,
    outputs: Float32 | None,
    gains_db: Float32 | None,
) -> None:
    """Settings with the same side chain share its level, and go through the loop `LANES` at a time."""
    states = rested_states(len(settings)) if states is None else states
    corners = [knobs.sidechain_hpf_hz for knobs in settings]
    nothing, nothing_db = np.empty((0, *audio.shape), np.float32), np.empty((0, len(audio)), np.float32)
    for corner in dict.fromkeys(corners):
        alike = [n for n, other in enumerate(corners) if other == corner]
        for begin in range(0, len(alike), loops.LANES):
            chosen = alike[begin : begin + loops.LANES]
            neighbours = slice(chosen[0], chosen[-1] + 1) if chosen[-1] - chosen[0] == len(chosen) - 1 else None
            packed = np.zeros((loops.PARTS, loops.LANES))
            packed[loops.KNEE] = packed[loops.SHARE] = 1.0
            packed[loops.THRESHOLD] = NEVER
            for lane, n in enumerate(chosen):
                packed[:, lane] = _packed(settings[n], specimen, sample_rate)
            state = states[chosen]
            # neighbours are written in place, others are gathered
            out = nothing if outputs is None else outputs[chosen] if neighbours is None else outputs[neighbours]
            gain_db = nothing_db if gains_db is None else gains_db[chosen if neighbours is None else neighbours]
            loops.lanes(
                audio,
                out,
                gain_db,
                state,
                packed,
                _fall(sample_rate),
                _sidechain_step(corner, sample_rate),
                np.stack([_channel_levels(settings[n], specimen, audio.shape[1]) for n in chosen]),
            )
            states[chosen] = state
            if neighbours is None and outputs is not None:
                outputs[chosen] = out
            if neighbours is None and gains_db is not None:
                gains_db[chosen] = gain_db


def rested_states(settings: int) -> npt.NDArray[np.float64]:
    """`rested_state` for so many settings."""
    return np.repeat(rested_state()[None], settings, axis=0)


def static_reduction_db(level_db: float, threshold_db: float, ratio: float, specimen: Specimen = IDEAL) -> float:
    """Gain reduction that a steady `level_db` settles at: the root of reduction = wanted(level - reduction).

    Inside the knee the equation is quadratic: x + slope (x + half)^2 / (2 knee) = over, for x = output - threshold."""
    law = Dynamics.of(Knobs(threshold_db, ratio, 1.0, 0.1), specimen)
    over, slope, half = level_db - law.threshold_db, law.ratio - 1, law.knee_db / 2
    if over <= -half or slope == 0:
        return 0.0
    above = over / law.ratio
    if above >= half:
        return over - above
    root = (math.sqrt(1 + 2 * slope * (over + half) / law.knee_db) - 1) * law.knee_db / slope  # x + half
    return over - (root - half)


def _checked(audio: Float32) -> Float32:
    if audio.ndim != 2 or not 1 <= audio.shape[1] <= MOST_CHANNELS:
        raise ValueError(f"audio must be (frames, 1 to {MOST_CHANNELS} channels), got {audio.shape}")
    return np.ascontiguousarray(audio, np.float32)


@lru_cache(maxsize=256)
def _packed(knobs: Knobs, specimen: Specimen, sample_rate: int) -> npt.NDArray[np.float64]:
    setting = Dynamics.of(knobs, specimen).packed(sample_rate)
    if not knobs.engaged:  # the side chain goes on, but nothing is taken away
        setting[loops.THRESHOLD] = NEVER
    return setting


@lru_cache(maxsize=256)
def _channel_levels(knobs: Knobs, specimen: Specimen, channels: int) -> Float32:
    return np.array([from_db(knobs.makeup_db) * specimen.channel_gain(n) for n in range(channels)], np.float32)


def _step(time_s: float, sample_rate: int) -> float:
    return -math.expm1(-1 / (time_s * sample_rate))


def _fall(sample_rate: int) -> float:
    return 1 / (math.log(2) * ENVELOPE_FALL_S * sample_rate)  # octaves per sample


def _sidechain_step(corner_hz: float | None, sample_rate: int) -> float:
    bend = 0.0 if corner_hz is None else math.tan(math.pi * corner_hz / sample_rate)
    return 2 * bend / (1 + bend)

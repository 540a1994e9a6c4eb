"""A compressor for comparison: what the fingerprint of a bus compressor looks like, in a millisecond.

It shares no code with the virtual unit. The signal is known, so its level in dB is a table, and the loop runs in dB:

    level      peak of the signal, falling by 8.7 dB per `fall_s`
    wanted     slope * knee(level - feedback * reduction - threshold)
    reduction  follows `wanted`, by the attack when it rises and by the release when it falls; at AUTO a second branch
               with times of its own carries the rest

or, in units that follow the level, it is the level (as an amplitude) that has attack and release, and the reduction
is what is wanted at once.

What makers do differently is a number here, to be fitted: `feedback` 1 hears what leaves the unit, 0 what enters;
`loop` 1 means that the attack is that of the closed loop, 0 that of the circuit alone, which feedback makes faster;
`shift_db` is what a doubling of the ratio adds to the threshold, `knee_by_ratio` the power of 4 / ratio in the knee.
Form after Giannoulis, Massberg and Reiss, JAES 60(6), 2012.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.levels import from_db
from ..manifests.pcm import Float32
from .fingerprint import ratios_db
from .fingerprint_signal import fingerprint_parts

Array = npt.NDArray[np.float64]

# A point is one compressor at one setting: these numbers in this order. Times are natural logarithms.
POINT = (
    "threshold_db", "ratio", "attack_ms", "release_s",  # ln ratio, ln ms, ln s; release NaN is AUTO
    "knee_db", "knee_by_ratio", "shift_db", "feedback", "loop", "fall_s", "auto_fast_s",
    "auto_slow_s", "auto_fill_s", "auto_share",
    "follows_level",  # 1 or 0: which of the two, never fitted
    "low_loss_db",  # what a high-pass in the side chain takes from the low tone
)  # fmt: skip
USUAL = {
    "knee_db": 6.0, "knee_by_ratio": 0.0, "shift_db": 0.0, "feedback": 1.0, "loop": 1.0, "fall_s": math.log(0.005),
    "auto_fast_s": math.log(0.043), "auto_slow_s": math.log(5.1), "auto_fill_s": 0.0, "auto_share": 0.5,
}  # fmt: skip
PER_DB = 100
AMPLITUDES = 10 ** (-np.arange(100 * PER_DB + 1) / (20 * PER_DB))  # of a reduction; linear in between to 2e-6 dB
LIMITS = {
    "knee_db": (0.5, 24.0), "knee_by_ratio": (-1.0, 1.0), "feedback": (0.0, 1.0), "loop": (0.0, 1.0),
    "auto_share": (0.05, 0.95),
}  # fmt: skip


def simulate(sample_rate: int, points: Sequence[Array]) -> Array:
    """(points, windows): the gains in dB that a fingerprint would measure, each point simulated once."""
    windows = len(fingerprint_parts(sample_rate).windows)
    keys = [tuple(None if math.isnan(x) else x for x in point.tolist()) for point in points]
    return np.array([_simulated(sample_rate, key) for key in keys]).reshape(len(points), windows)


@lru_cache(maxsize=16384)
def _simulated(sample_rate: int, point: tuple[float | None, ...]) -> Array:
    signal = fingerprint_parts(sample_rate)
    sums = _summed(sample_rate, point, _tables(sample_rate), signal.low)
    return ratios_db(signal, sums / signal.energies)


def programme_gains_db(sample_rate: int, point: Array, audio: Float32, hop_frames: int) -> Array:
    """(windows,): what the compressor at `point` does to programme, `audio` (frames, channels) as it is sent: the mean
    gain, dB, of every `hop_frames`. A high-pass in the side chain is not allowed for."""
    level = np.maximum(np.abs(audio).max(axis=1), 1e-10)
    square = np.square(audio, dtype=np.float64).mean(axis=1) + 1e-20
    starts = np.arange(0, len(audio), hop_frames, dtype=np.intp)
    tables = (20 * np.log10(level, dtype=np.float64), square, np.append(starts[1:], len(audio)))
    key = tuple(None if math.isnan(x) else x for x in point.tolist())
    gains = _summed(sample_rate, key, tables, slice(0, 0)) / np.add.reduceat(square, starts)
    return np.asarray(20 * np.log10(gains), np.float64)


def _summed(
    sample_rate: int, point: tuple[float | None, ...], tables: tuple[Array, Array, npt.NDArray[np.intp]], low: slice
) -> Array:
    """(windows,): the square of every frame times its gain, summed; `tables` as `_tables` gives them, `low` the frames
    of the low tone."""
    p = {name: math.nan if value is None else value for name, value in zip(POINT, point, strict=True)}
    for name, (least, most) in LIMITS.items():
        p[name] = min(max(p[name], least), most)
    auto, octaves = math.isnan(p["release_s"]), (p["ratio"] - math.log(4)) / math.log(2)
    threshold_db = p["threshold_db"] + p["shift_db"] * octaves
    knee_db = p["knee_db"] * 2 ** (-p["knee_by_ratio"] * octaves)
    share = p["auto_share"] if auto else 1.0
    less = 1 - math.exp(-p["ratio"])  # of a dB over the threshold, what is taken away in the end
    times = [p["attack_ms"] - math.log(1000), p["auto_fast_s" if auto else "release_s"], p["auto_fill_s"]]
    steps = [-math.expm1(-1 / (sample_rate * math.exp(time))) for time in (*times, p["auto_slow_s"])]
    attack, release, fill, empty = steps
    sums = np.zeros(len(tables[2]))
    if p["follows_level"]:
        low_gain = from_db(-p["low_loss_db"])
        _following(
            *tables, sums, threshold_db, less, knee_db, attack, release, empty if auto else 0.0, low_gain, low.start,
            low.stop,
        )  # fmt: skip
    else:
        slope = less / (1 - p["feedback"] * less)
        attack /= 1 + p["loop"] * p["feedback"] * share * slope
        fall_db = 20 / math.log(10) / (sample_rate * math.exp(p["fall_s"]))
        _compiled(
            *tables, sums, threshold_db, slope, knee_db, p["feedback"], share, attack, release, fill, empty, fall_db,
            p["low_loss_db"], low.start, low.stop,
        )  # fmt: skip
    return sums


@lru_cache(maxsize=4)
def _tables(sample_rate: int) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    """Level in dB and square of every frame, and the frame after each window."""
    signal = fingerprint_parts(sample_rate)
    wave = np.asarray(signal.wave, np.float64)
    stops = np.array([window.stop for window in signal.windows], np.intp)
    return 20 * np.log10(np.maximum(np.abs(wave), 1e-10)), wave**2, stops


def _loop(
    level_db: Array, square: Array, stops: npt.NDArray[np.intp], sums: Array, threshold_db: float, slope: float,
    knee_db: float, feedback: float, share: float, attack: float, release: float, fill: float, empty: float,
    fall_db: float, low_loss_db: float, low_start: int, low_stop: int,
) -> None:  # fmt: skip
    """Adds to `sums` (windows,) the signal's square times the gain."""
    envelope, first, slow, start = -200.0, 0.0, 0.0, 0
    half = knee_db / 2
    for window in range(len(stops)):
        summed = 0.0
        for n in range(start, stops[window]):
            heard = level_db[n] - low_loss_db if low_start <= n < low_stop else level_db[n]
            envelope = max(heard, envelope - fall_db)
            over = envelope - feedback * (first + slow) - threshold_db
            if over <= -half:
                wanted = 0.0
            elif over < half:
                wanted = slope * (over + half) ** 2 / (2 * knee_db)
            else:
                wanted = slope * over
            target = share * wanted
            first += (attack if target > first else release) * (target - first)
            if share < 1:
                target = wanted - target
                slow += (fill if target > slow else empty) * (target - slow)
            at = min(first + slow, 99.9) * PER_DB
            cell = int(at)
            summed += square[n] * (AMPLITUDES[cell] + (at - cell) * (AMPLITUDES[cell + 1] - AMPLITUDES[cell]))
        sums[window] = summed
        start = stops[window]


_compiled = numba.njit(cache=True, fastmath=True)(_loop)


def _following_loop(
    level_db: Array, square: Array, stops: npt.NDArray[np.intp], sums: Array, threshold_db: float, less: float,
    knee_db: float, attack: float, release: float, slow: float, low_gain: float, low_start: int, low_stop: int,
) -> None:  # fmt: skip
    """The same for a unit that follows the level; at AUTO (`slow` above 0) a second, slower follower holds it up."""
    fast_level, slow_level, start = 1e-10, 1e-10, 0
    half, to_ln, to_db = knee_db / 2, -math.log(10) / 20, 20 / math.log(10)
    idle = 10 ** ((threshold_db - half) / 20)
    for window in range(len(stops)):
        summed = 0.0
        for n in range(start, stops[window]):
            heard = math.sqrt(square[n])
            if low_start <= n < low_stop:
                heard *= low_gain
            fast_level += (attack if heard > fast_level else release) * (heard - fast_level)
            if slow > 0:
                slow_level += (attack if heard > slow_level else slow) * (heard - slow_level)
            level = max(fast_level, slow_level)
            if level <= idle:
                summed += square[n]
                continue
            over = to_db * math.log(level) - threshold_db
            reduction = less * (over if over >= half else (over + half) ** 2 / (2 * knee_db))
            summed += square[n] * math.exp(to_ln * reduction)
        sums[window] = summed
        start = stops[window]


_following = numba.njit(cache=True, fastmath=True)(_following_loop)

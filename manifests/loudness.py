"""Integrated loudness after ITU-R BS.1770-5 and loudness range after EBU Tech 3342, in one pass over the audio.

The K-weighting is designed for the sample rate at hand from the analog prototypes behind the standard's 48 kHz
coefficients (as libebur128 does, with which it agrees to 0.0001 LU); pyloudnorm scales its high-pass and reads up to
0.047 LU lower. Blocks of 400 ms overlap by three quarters; only whole blocks count.

A recursive filter waits for its own last output, so eight stretches of the audio go through it side by side. Each but
the first begins 0.4 s early, after which nothing of its filter's beginning is left (e^-95 of it, at 38 Hz).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

STEP_S, STEPS_PER_BLOCK = 0.1, 4
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
OFFSET_LU = -0.691  # a 997 Hz sine of 0 dBFS on one channel reads -3.01
SURROUND_WEIGHT = 1.41
SHORT_TERM_STEPS = 30  # 3 s, ten times a second
RANGE_GATE_LU, RANGE_LOW, RANGE_HIGH = -20.0, 0.10, 0.95  # EBU Tech 3342: gate, and the two places in order
LANES, WARM_UP_STEPS, TILE = 8, 4, 128  # stretches side by side, their early begin, frames gathered at a time
SHELF_HZ, SHELF_DB, SHELF_Q, SHELF_BAND = 1681.974450955533, 3.999843853973347, 0.7071752369554196, 0.4996667741545416
PASS_HZ, PASS_Q = 38.13547087602444, 0.5003270373238773


def k_weighting(sample_rate: int) -> tuple[Float64, Float64]:
    """The two filters of the K-weighting, shelf and high-pass, each (b0, b1, b2, a1, a2)."""
    k, gain = math.tan(math.pi * SHELF_HZ / sample_rate), 10 ** (SHELF_DB / 20)
    band, scale = gain**SHELF_BAND, 1 + k / SHELF_Q + k * k
    shelf = [gain + band * k / SHELF_Q + k * k, 2 * (k * k - gain), gain - band * k / SHELF_Q + k * k]
    shelf += [2 * (k * k - 1), 1 - k / SHELF_Q + k * k]
    k = math.tan(math.pi * PASS_HZ / sample_rate)
    high_pass_scale = 1 + k / PASS_Q + k * k
    high_pass = [1.0, -2.0, 1.0, 2 * (k * k - 1) / high_pass_scale, (1 - k / PASS_Q + k * k) / high_pass_scale]
    return np.array(shelf) / scale, np.array(high_pass)


@dataclass(frozen=True)
class Loudness:
    """How loud a recording is, and how much that varies."""

    integrated_lufs: float | None  # None where no block of 400 ms passes the gate at -70 LUFS
    range_lu: float | None  # None where no 3 s pass it


def measure_loudness(audio: npt.NDArray[np.floating], sample_rate: int) -> Loudness:
    """Both, of `audio` (frames, channels); channels 1 to 3 count once, further ones 1.41 times. Values that are not
    finite have no loudness."""
    powers = step_powers(audio, sample_rate)
    return Loudness(integrated_of(powers), range_of(_means(powers, SHORT_TERM_STEPS)))


def integrated_lufs(audio: npt.NDArray[np.floating], sample_rate: int) -> float | None:
    """Gated loudness alone. None where no block passes the gate, and under 400 ms, where there is none."""
    return integrated_of(step_powers(audio, sample_rate))


def step_powers(audio: npt.NDArray[np.floating], sample_rate: int) -> Float64:
    """K-weighted mean square, summed over weighted channels, of each whole 100 ms (steps,)."""
    audio = np.ascontiguousarray(audio, np.float32)
    step = round(STEP_S * sample_rate)
    weights = np.where(np.arange(audio.shape[1]) < 3, 1.0, SURROUND_WEIGHT)
    return np.asarray(_compiled(audio, step, weights, *k_weighting(sample_rate)), np.float64)


def integrated_of(powers: Float64) -> float | None:
    """Gated loudness, LUFS, from `step_powers`."""
    blocks = _means(powers, STEPS_PER_BLOCK)
    if not np.isfinite(blocks).all():
        return None
    blocks = blocks[blocks > _power(ABSOLUTE_GATE_LUFS)]
    if not len(blocks):
        return None
    relative = blocks.mean() * 10 ** (RELATIVE_GATE_LU / 10)
    return _lufs(float(blocks[blocks > relative].mean()))


def range_of(short_terms: Float64) -> float | None:
    """Loudness range, LU, from the powers of windows of 3 s: the distance between the 10 % that are quietest and the
    5 % that are loudest, of those above -70 LUFS and above 20 LU below their mean."""
    if not len(short_terms) or not np.isfinite(short_terms).all():
        return None
    gated = short_terms[short_terms >= _power(ABSOLUTE_GATE_LUFS)]
    if not len(gated):
        return None
    gated = np.sort(gated[gated >= gated.mean() * 10 ** (RANGE_GATE_LU / 10)])
    low, high = (gated[int((len(gated) - 1) * place + 0.5)] for place in (RANGE_LOW, RANGE_HIGH))
    return _lufs(float(high)) - _lufs(float(low))


def _means(powers: Float64, steps: int) -> Float64:
    """The mean of every `steps` successive powers; nothing when there are fewer."""
    if len(powers) < steps:
        return np.zeros(0)
    return np.convolve(powers, np.full(steps, 1 / steps), "valid")


def _power(loudness_lufs: float) -> float:
    return float(10 ** ((loudness_lufs - OFFSET_LU) / 10))


def _lufs(power: float) -> float:
    return OFFSET_LU + 10 * math.log10(power)


def _step_powers(
    audio: npt.NDArray[np.float32], step: int, weights: Float64, shelf: Float64, high_pass: Float64
) -> Float64:
    """`step_powers`: two channels of eight stretches at a time, in transposed direct form II. The last of an odd number
    of channels goes twice and counts once."""
    frames, channels = audio.shape
    steps = frames // step
    per_lane = (steps + LANES - 1) // LANES
    powers = np.zeros(steps)
    b0, b1, b2, a1, a2 = shelf
    c1, c2 = high_pass[3], high_pass[4]
    tile = np.zeros((TILE, 2 * LANES))
    s1, s2, t1, t2 = np.zeros(2 * LANES), np.zeros(2 * LANES), np.zeros(2 * LANES), np.zeros(2 * LANES)
    energy = np.zeros(2 * LANES)
    for left in range(0, channels, 2):
        right = min(left + 1, channels - 1)
        weight, other_weight = weights[left] / step, weights[right] / step if right > left else 0.0
        s1[:] = s2[:] = t1[:] = t2[:] = 0.0
        for place in range(-WARM_UP_STEPS, per_lane):
            energy[:] = 0.0
            for begin in range(place * step, (place + 1) * step, TILE):
                count = min(TILE, (place + 1) * step - begin)
                for lane in range(LANES):
                    first = begin + lane * per_lane * step
                    inside = first >= 0 and first + count <= frames
                    for n in range(count):
                        tile[n, 2 * lane] = audio[first + n, left] if inside else 0.0
                        tile[n, 2 * lane + 1] = audio[first + n, right] if inside else 0.0
                for n in range(count):
                    for lane in range(2 * LANES):
                        x = tile[n, lane]
                        y = b0 * x + s1[lane]
                        s1[lane] = b1 * x - a1 * y + s2[lane]
                        s2[lane] = b2 * x - a2 * y
                        z = y + t1[lane]
                        t1[lane] = t2[lane] - 2 * y - c1 * z
                        t2[lane] = y - c2 * z
                        energy[lane] += z * z
            for lane in range(LANES):
                if place >= 0 and lane * per_lane + place < steps:
                    powers[lane * per_lane + place] += weight * energy[2 * lane] + other_weight * energy[2 * lane + 1]
            for lane in range(2 * LANES):
                if abs(t1[lane]) < 1e-30:  # in long silence they would shrink to denormal numbers, which are slow
                    s1[lane] = s2[lane] = t1[lane] = t2[lane] = 0.0
    return powers


_compiled = numba.njit(cache=True, fastmath={"contract"})(_step_powers)  # at the first call

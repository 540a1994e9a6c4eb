"""Integrated loudness after ITU-R BS.1770-5 in one pass over the audio.

The K-weighting is designed for the sample rate at hand from the analog prototypes behind the standard's 48 kHz
coefficients (as libebur128 does, with which it agrees to 0.0001 LU); pyloudnorm scales its high-pass and reads up to
0.047 LU lower. Blocks of 400 ms overlap by three quarters; only whole blocks count.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

STEP_S, STEPS_PER_BLOCK = 0.1, 4
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
OFFSET_LU = -0.691  # a 997 Hz sine of 0 dBFS on one channel reads -3.01
SURROUND_WEIGHT = 1.41
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


def integrated_lufs(audio: npt.NDArray[np.floating], sample_rate: int) -> float | None:
    """Gated loudness of `audio` (frames, channels); channels 1 to 3 count once, further ones 1.41 times.

    None where no block passes the gate at -70 LUFS, where there is none (under 400 ms), or values are not finite."""
    audio = np.ascontiguousarray(audio, np.float32)
    step = round(STEP_S * sample_rate)
    if len(audio) < STEPS_PER_BLOCK * step:
        return None
    weights = np.where(np.arange(audio.shape[1]) < 3, 1.0, SURROUND_WEIGHT)
    powers = _compiled(audio, step, weights, *k_weighting(sample_rate))
    blocks = np.convolve(powers, np.full(STEPS_PER_BLOCK, 1 / STEPS_PER_BLOCK), "valid")
    if not np.isfinite(blocks).all():
        return None
    blocks = blocks[blocks > _power(ABSOLUTE_GATE_LUFS)]
    if not len(blocks):
        return None
    relative = blocks.mean() * 10 ** (RELATIVE_GATE_LU / 10)
    return OFFSET_LU + 10 * math.log10(float(blocks[blocks > relative].mean()))


def _power(loudness_lufs: float) -> float:
    return float(10 ** ((loudness_lufs - OFFSET_LU) / 10))


def _step_powers(
    audio: npt.NDArray[np.float32], step: int, weights: Float64, shelf: Float64, high_pass: Float64
) -> Float64:
    """Weighted mean square of the filtered audio in successive steps (steps,), summed over channels. Two channels go
    together, since one alone waits for its own last sample; the last of an odd number goes twice and counts once."""
    frames, channels = audio.shape
    steps = frames // step
    powers = np.zeros(steps)
    b0, b1, b2, a1, a2 = shelf
    c1, c2 = high_pass[3], high_pass[4]
    for left in range(0, channels, 2):
        right = min(left + 1, channels - 1)
        weight, other_weight = weights[left] / step, weights[right] / step if right > left else 0.0
        s1 = s2 = t1 = t2 = 0.0  # transposed direct form II
        u1 = u2 = v1 = v2 = 0.0
        for block in range(steps):
            total = other_total = 0.0
            for n in range(block * step, (block + 1) * step):
                x, other_x = np.float64(audio[n, left]), np.float64(audio[n, right])
                y, other_y = b0 * x + s1, b0 * other_x + u1
                s1, u1 = b1 * x - a1 * y + s2, b1 * other_x - a1 * other_y + u2
                s2, u2 = b2 * x - a2 * y, b2 * other_x - a2 * other_y
                z, other_z = y + t1, other_y + v1
                t1, v1 = t2 - 2 * y - c1 * z, v2 - 2 * other_y - c1 * other_z
                t2, v2 = y - c2 * z, other_y - c2 * other_z
                total += z * z
                other_total += other_z * other_z
            powers[block] += weight * total + other_weight * other_total
            if abs(t1) + abs(v1) < 1e-30:  # in long silence they would shrink to denormal numbers, which are slow
                s1 = s2 = t1 = t2 = u1 = u2 = v1 = v2 = 0.0
    return powers


_compiled = numba.njit(cache=True, fastmath={"contract"})(_step_powers)  # at the first call

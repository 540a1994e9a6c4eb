"""The loops of the simulated compressor, compiled. Levels are in octaves here: log2 of amplitude, 6.02 dB each.

Only the feedback itself has to go sample by sample. What comes before (the logarithm of the level) and after (the
exponential of the gain) is done for a block at a time, which the compiler turns into vector instructions; both are
polynomials, exact to 4e-6 dB. Blocks begin at multiples of `BLOCK` of the unit's own time, and scratch is always
computed whole, so a stream may be cut anywhere without a bit of difference.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32

Array = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

BLOCK = 1024  # frames
LANES = 16  # settings that are computed at once
PITCH = BLOCK + 16  # of a lane's block: not a power of two, so that lanes do not fight for the same cache lines
FLOOR = np.float32(2.0**-33)  # amplitude: -199 dB
NEGLIGIBLE = 1e-9  # octaves of gain reduction that count as none, before numbers become denormal
TO_DB = np.float32(20 * math.log10(2))

# Rows of what describes one setting, and of its state.
THRESHOLD, KNEE, BEND, SLOPE, SHARE, ATTACK, RELEASE, FILL, EMPTY = range(9)
ENVELOPE, FIRST, SLOW, FRAME, SIDECHAIN = range(5)  # from SIDECHAIN on: low-passed side chain of each channel
PARTS = 9
# Where the lanes' branches stand, and what rounding left of them, after their settings.
FIRST_AT, SLOW_AT, FIRST_REST_AT, SLOW_REST_AT = (part * LANES for part in range(PARTS, PARTS + 4))

# 2 ** f = 1 + f * (...) for f in (-1, 0], relative error 2e-7; log2(1 + t) = t * (...) for t in [0, 1), error 4e-7:
# least squares at Chebyshev points, tests/capture/test_simulator.py repeats the fit.
_t = 0.5 + 0.5 * np.cos(np.pi * (np.arange(400) + 0.5) / 400)
_E = tuple(np.float32(c) for c in np.linalg.lstsq((-_t[:, None]) ** np.arange(1, 7), np.exp2(-_t) - 1, rcond=None)[0])
_L = tuple(np.float32(c) for c in np.linalg.lstsq(_t[:, None] ** np.arange(1, 8), np.log2(1 + _t), rcond=None)[0])
# All of fast mathematics but reassociation, which would make the last bit depend on where a stream is cut.
SAME_BITS = {"nnan", "ninf", "nsz", "arcp", "contract"}
_ONE = np.float32(1)


def _peaks(audio: Float32, magnitude: Float32, state: Array, sidechain: float) -> None:
    """The louder channel's magnitude in every frame; the rest of the block is silent. `sidechain` is the step of the
    high-pass (first order, bilinear), 0 for none."""
    count, channels = audio.shape
    if sidechain > 0:
        for n in range(count):
            loudest = 0.0
            for channel in range(channels):
                low = state[SIDECHAIN + channel]
                high = audio[n, channel] - low
                state[SIDECHAIN + channel] = low + sidechain * high
                loudest = max(loudest, abs(high))
            magnitude[n] = max(np.float32(loudest * (1 - sidechain / 2)), FLOOR)
    elif channels == 2:
        flat = audio.reshape(2 * count)
        for n in range(count):
            magnitude[n] = max(abs(flat[2 * n]), abs(flat[2 * n + 1]), FLOOR)
    else:
        for n in range(count):
            magnitude[n] = FLOOR
            for channel in range(channels):
                magnitude[n] = max(magnitude[n], abs(audio[n, channel]))
    for n in range(count, BLOCK):
        magnitude[n] = FLOOR


def _levels(magnitude: Float32, level: Float32) -> None:
    """`level` = log2 of `magnitude`, which is spoiled."""
    bits = magnitude.view(np.int32)
    for n in range(BLOCK):
        level[n] = np.float32((bits[n] >> 23) - 127)
        bits[n] = (bits[n] & 0x7FFFFF) | 0x3F800000
    for n in range(BLOCK):
        t = magnitude[n] - _ONE
        level[n] += t * (_L[0] + t * (_L[1] + t * (_L[2] + t * (_L[3] + t * (_L[4] + t * (_L[5] + t * _L[6]))))))


def _gains(reduction: Float32, gain: Float32, scratch: Int32) -> None:
    """`gain` = 2 ** -`reduction`, exactly 1 for 0; `reduction` is spoiled."""
    for n in range(len(reduction)):
        whole = np.int32(reduction[n])
        reduction[n] = np.float32(whole) - reduction[n]
        scratch[n] = (127 - whole) << 23
    power = scratch.view(np.float32)
    for n in range(len(reduction)):
        f = reduction[n]
        gain[n] = power[n] * (_ONE + f * (_E[0] + f * (_E[1] + f * (_E[2] + f * (_E[3] + f * (_E[4] + f * _E[5]))))))


def _decibels(reduction: Float32, gain_db: Float32) -> None:
    for n in range(len(gain_db)):
        gain_db[n] = -TO_DB * reduction[n]


def _apply(audio: Float32, gain: Float32, levels: Float32, output: Float32) -> None:
    frames, channels = audio.shape
    if channels == 2:
        heard, out = audio.reshape(2 * frames), output.reshape(2 * frames)
        left, right = levels[0], levels[1]
        for n in range(frames):
            out[2 * n] = heard[2 * n] * (gain[n] * left)
            out[2 * n + 1] = heard[2 * n + 1] * (gain[n] * right)
    else:
        for n in range(frames):
            for channel in range(channels):
                output[n, channel] = audio[n, channel] * (gain[n] * levels[channel])


def _follow(level: Float32, count: int, setting: Array, fall: float, state: Array, reduction: Float32) -> None:
    """The loop itself, sample by sample, in double precision: the reduction of one sample is what the next one's
    detector hears. Without AUTO the slow branch is empty, and its arithmetic is left out."""
    envelope, first, slow = state[ENVELOPE], state[FIRST], state[SLOW]
    threshold, knee, bend, slope = setting[THRESHOLD], setting[KNEE], setting[BEND], setting[SLOPE]
    attack, release, share = setting[ATTACK], setting[RELEASE], setting[SHARE]
    if share == 1.0 and slow == 0.0:
        for n in range(count):
            envelope = max(np.float64(level[n]), envelope - fall)
            over = max(envelope - threshold - first, 0.0)
            bent = min(over, knee)
            miss = bend * bent * bent + slope * (over - bent) - first
            first += (attack if miss > 0 else release) * miss
            reduction[n] = np.float32(first)
    else:
        fill, empty = setting[FILL], setting[EMPTY]
        for n in range(count):
            envelope = max(np.float64(level[n]), envelope - fall)
            over = max(envelope - threshold - first - slow, 0.0)
            bent = min(over, knee)
            wanted = bend * bent * bent + slope * (over - bent)
            miss = share * wanted - first
            first += (attack if miss > 0 else release) * miss
            miss = (1 - share) * wanted - slow
            slow += (fill if miss > 0 else empty) * miss
            reduction[n] = np.float32(first + slow)
    for n in range(count, BLOCK):
        reduction[n] = 0
    state[ENVELOPE], state[FIRST], state[SLOW] = envelope, first, slow


def _single(
    audio: Float32, output: Float32, gain_db: Float32, state: Array, setting: Array, fall: float, sidechain: float,
    levels: Float32, cold: float, warming_frames: float,
) -> None:  # fmt: skip
    """One setting. `cold` is the fraction of gain reduction in dB that is missing at frame 0 of the unit's time."""
    magnitude, level = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    reduction, gain, scratch = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    frames, begin = len(audio), 0
    while begin < frames:
        frame = int(state[FRAME])
        block, phase = frame // BLOCK, frame % BLOCK
        count = min(BLOCK - phase, frames - begin)
        if phase == 0:
            for branch in (FIRST, SLOW):
                if state[branch] < NEGLIGIBLE:
                    state[branch] = 0.0
        _peaks_compiled(audio[begin : begin + count], magnitude, state, sidechain)
        _levels_compiled(magnitude, level)
        _follow_compiled(level, count, setting, fall, state, reduction)
        if cold > 0:
            factor = np.float32(1 - cold * math.exp(-block * BLOCK / warming_frames))
            for n in range(BLOCK):
                reduction[n] *= factor
        piece = slice(begin, begin + count)
        _decibels_compiled(reduction, gain_db[piece])
        _gains_compiled(reduction, gain, scratch)
        _apply_compiled(audio[piece], gain, levels, output[piece])
        state[FRAME] = frame + count
        begin += count


def _feedback(level: Float32, count: int, envelope: float, fall: float, work: Float32, reduction: Float32) -> float:
    """The loop for all lanes; gives the envelope at its end, which they share. `work` is one array, so that the
    compiler sees that nothing overlaps, and is loaded first: a load under a condition would be no vector.

    Single precision is twice as fast, and would lose what a release of seconds gives back in a sample; what rounding
    took away is therefore kept beside each branch (Kahan, 1965) and comes with the next sample."""
    one, zero = np.float32(1), np.float32(0)
    for n in range(count):
        envelope = max(np.float64(level[n]), envelope - fall)
        heard = np.float32(envelope)
        for lane in range(LANES):
            first, slow = work[FIRST_AT + lane], work[SLOW_AT + lane]
            first_rest, slow_rest = work[FIRST_REST_AT + lane], work[SLOW_REST_AT + lane]
            attack, release = work[ATTACK * LANES + lane], work[RELEASE * LANES + lane]
            fill, empty = work[FILL * LANES + lane], work[EMPTY * LANES + lane]
            share = work[SHARE * LANES + lane]
            over = max(heard - work[THRESHOLD * LANES + lane] - (first + slow), zero)
            bent = min(over, work[KNEE * LANES + lane])
            wanted = work[BEND * LANES + lane] * bent * bent + work[SLOPE * LANES + lane] * (over - bent)
            miss = share * wanted - first
            change = (attack if miss > 0 else release) * miss + first_rest
            moved = first + change
            work[FIRST_AT + lane], work[FIRST_REST_AT + lane] = moved, change - (moved - first)
            first = moved
            miss = (one - share) * wanted - slow
            change = (fill if miss > 0 else empty) * miss + slow_rest
            moved = slow + change
            work[SLOW_AT + lane], work[SLOW_REST_AT + lane] = moved, change - (moved - slow)
            reduction[n * LANES + lane] = first + moved
    return envelope


def _lanes(
    audio: Float32, outputs: Float32, gains_db: Float32, states: Array, settings: Array, fall: float,
    sidechain: float, levels: Float32,
) -> None:  # fmt: skip
    """`LANES` settings of one song. The level is the same for all, so the inner loop over the lanes has only the
    feedback left. `settings` is (PARTS, LANES), `states` (lanes, state), `levels` (lanes, channels); `outputs` or
    `gains_db` may be empty."""
    magnitude, level = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    reduction = np.zeros(BLOCK * LANES, np.float32)  # lanes side by side, then `turned`: one lane after the other
    turned, gain = np.zeros(PITCH * LANES, np.float32), np.empty(PITCH * LANES, np.float32)
    scratch = np.empty(PITCH * LANES, np.int32)
    work = np.zeros((PARTS + 4) * LANES, np.float32)
    used = len(states)
    for part in range(PARTS):
        for lane in range(LANES):
            work[part * LANES + lane] = np.float32(settings[part, lane])
    shared = states[0]
    frames, begin = len(audio), 0
    while begin < frames:
        frame = int(shared[FRAME])
        phase = frame % BLOCK
        count = min(BLOCK - phase, frames - begin)
        for lane in range(used):
            for branch in (FIRST, SLOW):
                if phase == 0 and states[lane, branch] < NEGLIGIBLE:
                    states[lane, branch] = 0.0
            for branch, at, rest_at in ((FIRST, FIRST_AT, FIRST_REST_AT), (SLOW, SLOW_AT, SLOW_REST_AT)):
                work[at + lane] = np.float32(states[lane, branch])
                work[rest_at + lane] = np.float32(states[lane, branch] - np.float64(work[at + lane]))
        _peaks_compiled(audio[begin : begin + count], magnitude, shared, sidechain)
        _levels_compiled(magnitude, level)
        envelope = _feedback_compiled(level, count, shared[ENVELOPE], fall, work, reduction)
        for n in range(BLOCK):
            for lane in range(LANES):
                turned[lane * PITCH + n] = reduction[n * LANES + lane]
        piece = slice(begin, begin + count)
        for lane in range(len(gains_db)):
            _decibels_compiled(turned[lane * PITCH : lane * PITCH + BLOCK], gains_db[lane, piece])
        if len(outputs) > 0:
            _gains_compiled(turned, gain, scratch)
        for lane in range(len(outputs)):
            of_lane = gain[lane * PITCH : lane * PITCH + BLOCK]
            _apply_compiled(audio[piece], of_lane, levels[lane], outputs[lane, piece])
        for lane in range(used):
            for branch, at, rest_at in ((FIRST, FIRST_AT, FIRST_REST_AT), (SLOW, SLOW_AT, SLOW_REST_AT)):
                states[lane, branch] = np.float64(work[at + lane]) + np.float64(work[rest_at + lane])
        shared[ENVELOPE] = envelope
        for lane in range(used):
            states[lane, ENVELOPE] = envelope
            states[lane, FRAME] = frame + count
            for n in range(SIDECHAIN, states.shape[1]):
                states[lane, n] = shared[n]
        begin += count


# Compiled at the first call, kept on disk. No division by zero or NaN can happen: magnitudes are held above FLOOR.
_compiled = numba.njit(cache=True, fastmath=SAME_BITS, error_model="numpy")
_peaks_compiled = _compiled(_peaks)
_levels_compiled = _compiled(_levels)
_gains_compiled = _compiled(_gains)
_decibels_compiled = _compiled(_decibels)
_apply_compiled = _compiled(_apply)
_follow_compiled = _compiled(_follow)
single = _compiled(_single)
_feedback_compiled = _compiled(_feedback)
lanes = _compiled(_lanes)

"""Compiled loops over samples for the grey boxes; called as those of streaming_kernels.py are.

State is in double precision, in places of two floats: at a release of a second a sample brings 2e-5 of what is missing,
which single precision would lose. There are few operations, so that costs nothing that is heard.
"""

# numba has no types
# mypy: disable-error-code="untyped-decorator,no-any-return,assignment"
from __future__ import annotations

import math
from functools import cache

import numba
import numpy as np

from .detector import GAIN_SCALE_DB
from .gain_loop import ATTACK, EMPTY, FALL, FILL, KNEE, LAW, RELEASE, SHARE, SLOPE, THRESHOLD
from .greybox import FLOOR
from .physical import FLOOR_DB
from .streaming_kernels import Counters, Kernel, Memory, ramp
from .streaming_places import GreyBoxPlaces, Modulation, PhysicalPlaces

PHYSICAL_FLOOR = 10 ** (FLOOR_DB / 20)
TINY = 1e-30
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})  # sums in their order
_inlined = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})


@_inlined
def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@_inlined
def still(state: Memory) -> None:
    """Numbers too small to be heard become 0: they would shrink to denormal ones, which are slow."""
    for j in range(len(state)):
        if abs(state[j]) < TINY:
            state[j] = 0.0


@cache
def physical_kernel(p: PhysicalPlaces, q: Modulation) -> Kernel:
    """Compiled for the physical grey box: the loop of gain_loop.py, with its gain."""

    @_compiled
    def kernel(memories: Memory, counters: Counters, x: Memory, y: Memory) -> None:
        for channel in range(x.shape[1]):
            m, c = memories[channel], counters[channel]
            state = m[p.states : p.states + 6].view(np.float64)
            law = m[q.values : q.values + q.width]
            for n in range(len(x)):
                ramp(m, c, q)
                now = np.float64(x[n, channel])
                level = 20 * math.log10(max(abs(now), PHYSICAL_FLOOR)) - FLOOR_DB
                state[0] = max(level, state[0] - law[FALL])
                knee, share = np.float64(law[KNEE]), np.float64(law[SHARE])
                over = max(state[0] - law[THRESHOLD] + knee / 2 - p.feedback * (state[1] + state[2]), 0.0)
                bent = min(over, knee)
                wanted = law[SLOPE] * (bent * bent / (2 * knee) + over - bent)
                miss = (1 - share) * wanted - state[1]
                state[1] += (law[ATTACK] if miss > 0 else law[RELEASE]) * miss
                miss = share * wanted - state[2]
                state[2] += (law[FILL] if miss > 0 else law[EMPTY]) * miss
                y[n, channel] = now * 10 ** ((law[LAW] - state[1] - state[2]) / 20)
            still(state)

    return kernel


@cache
def grey_box_kernel(p: GreyBoxPlaces, q: Modulation) -> Kernel:
    """Compiled for one of the six forms of GreyBoxDRC."""
    soft, is_modulated = p.soft, p.modulated  # plain names: what does not apply is not compiled

    @_compiled
    def kernel(memories: Memory, counters: Counters, x: Memory, y: Memory) -> None:
        H = p.hidden
        for channel in range(x.shape[1]):
            m, c = memories[channel], counters[channel]
            state = m[p.states : p.states + 2 + 4 * H].view(np.float64)
            heard, of_makeup = state[1 : 1 + H], state[1 + H :]
            law = m[q.values : q.values + q.width]
            before = m[p.before : p.before + 2 * H].view(np.float64)
            for n in range(len(x)):
                ramp(m, c, q)
                now = np.float64(x[n, channel])
                over = 20 * math.log10(max(abs(now), FLOOR)) - law[0]
                if soft:
                    knee = np.float64(law[2])
                    over = max(over + knee / 2, 0.0)
                    bent = min(over, knee)
                    wanted = law[1] * (bent * bent / (2 * knee) + over - bent)
                else:
                    wanted = law[1] * max(over, 0.0)
                if is_modulated:
                    step = modulated(m, p.rnn, H, wanted / GAIN_SCALE_DB, heard, before, p.sample_rate)
                else:
                    step = np.float64(m[p.steps] if state[0] > wanted else m[p.steps + 1])
                state[0] += step * (wanted - state[0])
                out = now * 10 ** (state[0] / 20)
                if soft:
                    out = (out + m[p.makeup]) * m[p.makeup + 1]
                else:
                    out += gru(m, p.makeup, H, out, of_makeup, before)
                y[n, channel] = out
            still(state)

    return kernel


@_inlined
def modulated(m: Memory, place: int, hidden: int, x: float, state: Memory, before: Memory, sample_rate: int) -> float:
    """A step of the recurrent network that hears the wanted gain; how far the gain moves in this sample."""
    for j in range(hidden):
        before[j] = state[j]
    matrix = place + hidden
    biases = matrix + hidden * hidden
    tau = biases + hidden
    total = np.float64(m[tau + hidden])
    for j in range(hidden):
        sum_ = m[place + j] * x + m[biases + j]
        for k in range(hidden):
            sum_ += m[matrix + j * hidden + k] * before[k]
        state[j] = math.tanh(sum_)
        total += m[tau + j] * state[j]
    return -math.expm1(-(1 + math.exp(-total)) / sample_rate)


@_inlined
def gru(m: Memory, place: int, hidden: int, x: float, state: Memory, before: Memory) -> float:
    """A step of the make-up's network; what it adds. Gates in torch's order: reset, update, new."""
    for j in range(hidden):
        before[j] = state[j]
    matrix = place + 3 * hidden
    of_input = matrix + 3 * hidden * hidden
    of_state = of_input + 3 * hidden
    mix = of_state + 3 * hidden
    total = np.float64(m[mix + hidden])
    for j in range(hidden):
        reset, update = np.float64(m[of_state + j]), np.float64(m[of_state + hidden + j])
        new = np.float64(m[of_state + 2 * hidden + j])
        for k in range(hidden):
            reset += m[matrix + j * hidden + k] * before[k]
            update += m[matrix + (hidden + j) * hidden + k] * before[k]
            new += m[matrix + (2 * hidden + j) * hidden + k] * before[k]
        reset = sigmoid(reset + m[place + j] * x + m[of_input + j])
        update = sigmoid(update + m[place + hidden + j] * x + m[of_input + hidden + j])
        new = math.tanh(m[place + 2 * hidden + j] * x + m[of_input + 2 * hidden + j] + reset * new)
        state[j] = new + update * (before[j] - new)
        total += m[mix + j] * state[j]
    return total

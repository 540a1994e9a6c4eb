"""Compiled loops over samples: one per family of models, in single precision, by numba.

A kernel is called as `kernel(memories, counters, x, y)`: it reads the samples x (frames, channels), writes y, and goes
on in the memory m of each channel (float32: weights, modulation, state, work space) and its counters c, so that any
buffer gives the same as any other, to the bit. Nothing is allocated. Every place in m and every size is a constant at
compile time, for which there is a kernel per configuration: only so does the compiler see that places do not overlap,
and uses the processor's vectors. A model's channels are innermost everywhere, which makes a buffer of one sample as
fast as a long one.

All compiled code is in this file, because numba's cache on the disk looks at the file of the function it keeps.
"""

# numba has no types
# mypy: disable-error-code="untyped-decorator,no-any-return,assignment,return-value"
from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from .streaming_places import CONSTANT, SHARED, ConvolutionPlaces, LstmPlaces, Modulation, S4Places

Memory = npt.NDArray[np.float32]
Counters = npt.NDArray[np.int64]
Kernel = Callable[[Memory, Counters, Memory, Memory], None]

BLOCK = 128  # frames, as in blocks.py
RAMP, POSITION, CLOCK = 0, 1, 2  # counters: frames of a ramp left; frames of the block past; frames of the stream past
COUNTERS = 3
TINY = np.float32(1e-30)
ZERO, HALF, ONE, NINE = np.float32(0), np.float32(0.5), np.float32(1), np.float32(9)
MINUS_INFINITY = np.float32(-np.inf)
# tanh x = x P(x^2) / Q(x^2) within 2e-8 on [0, 9], fitted to the least greatest relative error
P0, P1, P2 = np.float32(0.9999999795033946), np.float32(0.1338103152659735), np.float32(0.00349559491304643)
P3, P4 = np.float32(2.060918583785718e-05), np.float32(1.335478974295514e-08)
Q1, Q2 = np.float32(0.467143471318415), np.float32(0.025877008544757475)
Q3, Q4 = np.float32(0.00032856455634278287), np.float32(7.776613999945377e-07)

FAST = {"contract", "reassoc", "nsz", "arcp"}  # not-a-number stays what it is
_inlined = numba.njit(nogil=True, error_model="numpy", fastmath=FAST)
_unrolled = numba.njit(inline="always")  # its constants must be seen
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
_exact = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})  # sums in their order


@_inlined
def tanh(x: float) -> float:
    x = min(max(x, -NINE), NINE)
    s = x * x
    return x * ((((P4 * s + P3) * s + P2) * s + P1) * s + P0) / ((((Q4 * s + Q3) * s + Q2) * s + Q1) * s + ONE)


@_inlined
def sigmoid(x: float) -> float:
    return HALF * tanh(HALF * x) + HALF


@_unrolled
def mix(m: Memory, weights: int, bias: int, source: int, target: int, columns: int, rows: int) -> None:
    """target (rows,) = bias + source (columns,) times weights (columns, rows)."""
    for j in range(rows):
        m[target + j] = m[bias + j]
    whole = columns - columns % 8
    for k in range(0, whole, 8):
        a, b, d, e = m[source + k], m[source + k + 1], m[source + k + 2], m[source + k + 3]
        f, g, h, i = m[source + k + 4], m[source + k + 5], m[source + k + 6], m[source + k + 7]
        w = weights + k * rows
        for j in range(rows):
            m[target + j] += (
                a * m[w + j]
                + b * m[w + rows + j]
                + d * m[w + 2 * rows + j]
                + e * m[w + 3 * rows + j]
                + f * m[w + 4 * rows + j]
                + g * m[w + 5 * rows + j]
                + h * m[w + 6 * rows + j]
                + i * m[w + 7 * rows + j]
            )
    for k in range(whole, columns):
        a = m[source + k]
        w = weights + k * rows
        for j in range(rows):
            m[target + j] += a * m[w + j]


@_unrolled
def lstm(m: Memory, weights: int, bias: int, heard: int, gates: int, cell: int, inputs: int, hidden: int) -> None:
    """One step of an LSTM; `heard` is (inputs + hidden,), and its end becomes the output. Gates in torch's order."""
    mix(m, weights, bias, heard, gates, inputs + hidden, 4 * hidden)
    for j in range(hidden):
        kept = sigmoid(m[gates + hidden + j]) * m[cell + j]
        new = kept + sigmoid(m[gates + j]) * tanh(m[gates + 2 * hidden + j])
        m[cell + j] = new
        m[heard + inputs + j] = sigmoid(m[gates + 3 * hidden + j]) * tanh(new)


@_inlined
def rectify(m: Memory, place: int, count: int) -> None:
    for j in range(count):
        m[place + j] = max(m[place + j], ZERO)


@_inlined
def still(m: Memory, place: int, count: int) -> None:
    """Numbers too small to be heard become 0: they would shrink to denormal ones, which are slow."""
    for j in range(count):
        if abs(m[place + j]) < TINY:
            m[place + j] = ZERO


@_inlined
def ramp(m: Memory, c: Counters, p: Modulation) -> None:
    """One frame of the ramp from the modulation before to the one that was asked for."""
    if c[RAMP] > 0:
        c[RAMP] -= 1
        if c[RAMP] == 0:
            for j in range(p.layers * p.width):
                m[p.values + j] = m[p.targets + j]
        else:
            for j in range(p.layers * p.width):
                m[p.values + j] += m[p.steps + j]


@_inlined
def shared(m: Memory, c: Counters, x: float, p: Modulation) -> None:
    """At the begin of a block, one LSTM for all layers; at any frame, the peak of |x|."""
    if c[POSITION] == BLOCK:
        c[POSITION] = 0
        inputs = p.pooled + p.controls
        lstm(m, p.weights, p.biases, p.heard, p.gates, p.cells, inputs, p.hidden)
        m[p.heard] = ZERO
        for i in range(p.layers):
            w, b, v = p.maps + i * p.hidden * p.width, p.map_biases + i * p.width, p.values + i * p.width
            mix(m, w, b, p.heard + inputs, v, p.hidden, p.width)
    c[POSITION] += 1
    m[p.heard] = max(m[p.heard], abs(x))


@_inlined
def layered(m: Memory, c: Counters, p: Modulation) -> None:
    """At the begin of a block, an LSTM for each layer. `peaks` is called where the features are."""
    if c[POSITION] == BLOCK:
        c[POSITION] = 0
        inputs = p.pooled + p.controls
        for i in range(p.layers):
            into, peak, v = p.heard + i * (inputs + p.hidden), p.peaks + i * p.features, p.values + i * p.width
            if p.reduction >= 0:
                w, b = p.reduction + i * p.features * p.pooled, p.reduction_biases + i * p.pooled
                mix(m, w, b, peak, into, p.features, p.pooled)
            else:
                for j in range(p.features):
                    m[into + j] = m[peak + j]
            w, b = p.weights + i * (inputs + p.hidden) * 4 * p.hidden, p.biases + i * 4 * p.hidden
            lstm(m, w, b, into, p.gates, p.cells + i * p.hidden, inputs, p.hidden)
            if p.maps >= 0:
                perceptron(m, i, into + inputs, v, p)
            else:
                for j in range(p.width):
                    m[v + j] = m[into + inputs + j]
            for j in range(p.width // 2):
                m[v + j] += np.float32(p.raised)
            for j in range(p.features):
                m[peak + j] = MINUS_INFINITY
    c[POSITION] += 1


@_inlined
def perceptron(m: Memory, i: int, source: int, target: int, p: Modulation) -> None:
    """Two hidden layers and a linear map, each but the last rectified, and that too where `rectified` says so."""
    w, b, work = p.first + i * p.hidden * p.first_width, p.first_biases + i * p.first_width, p.work + p.first_width
    mix(m, w, b, source, p.work, p.hidden, p.first_width)
    rectify(m, p.work, p.first_width)
    w, b = p.second + i * p.first_width * p.second_width, p.second_biases + i * p.second_width
    mix(m, w, b, p.work, work, p.first_width, p.second_width)
    rectify(m, work, p.second_width)
    w, b = p.maps + i * p.second_width * p.width, p.map_biases + i * p.width
    mix(m, w, b, work, target, p.second_width, p.width)
    if p.rectified:
        rectify(m, target, p.width)


@_inlined
def hear(m: Memory, i: int, place: int, p: Modulation) -> None:
    """The features of layer `i`, before modulation, for the peaks of the block."""
    for j in range(p.features):
        m[p.peaks + i * p.features + j] = max(m[p.peaks + i * p.features + j], m[place + j])


@cache
def s4_kernel(p: S4Places, q: Modulation) -> Kernel:
    """Compiled for the S4 networks of papers A and B."""
    ramps, shares = q.kind == CONSTANT, q.kind == SHARED  # plain names: what does not apply is not compiled

    @_exact
    def kernel(memories: Memory, counters: Counters, x: Memory, y: Memory) -> None:
        H = p.channels
        for channel in range(x.shape[1]):
            m, c = memories[channel], counters[channel]
            for n in range(len(x)):
                now = x[n, channel]
                if ramps:
                    ramp(m, c, q)
                elif shares:
                    shared(m, c, now, q)
                else:
                    layered(m, c, q)
                for j in range(H):
                    m[p.h + j] = m[p.widen + j] * now + m[p.widen + H + j]
                for i in range(p.blocks):
                    mix(m, p.mixes + i * H * H, p.mix_biases + i * H, p.h, p.u, H, H)
                    activate(m, p.u, H, m[p.slopes + 2 * i], p.rectifies)
                    for j in range(H):
                        m[p.y + j] = m[p.feedthroughs + i * H + j] * m[p.u + j]
                    for mode in range(p.modes):
                        s, w = p.states + (i * p.modes + mode) * 4 * H, p.systems + (i * p.modes + mode) * 4 * H
                        for j in range(H):
                            real, imaginary = m[s + j], m[s + H + j]
                            to_real = (m[w + j] * real - m[w + H + j] * imaginary + m[p.u + j]) + m[s + 2 * H + j]
                            to_imaginary = (m[w + j] * imaginary + m[w + H + j] * real) + m[s + 3 * H + j]
                            m[s + j] = real + to_real
                            m[s + H + j] = imaginary + to_imaginary
                            m[s + 2 * H + j] = to_real - (m[s + j] - real)  # what rounding lost (Kahan, 1965)
                            m[s + 3 * H + j] = to_imaginary - (m[s + H + j] - imaginary)
                            m[p.y + j] += m[w + 2 * H + j] * m[s + j] - m[w + 3 * H + j] * m[s + H + j]
                    if not (ramps or shares):
                        hear(m, i, p.y, q)
                    v = q.values + i * 2 * H
                    for j in range(H):
                        m[p.y + j] = m[v + j] * m[p.y + j] + m[v + H + j]
                    activate(m, p.y, H, m[p.slopes + 2 * i + 1], p.rectifies)
                    for j in range(H):
                        m[p.h + j] = m[p.residuals + i * H + j] * m[p.h + j] + m[p.y + j]
                total = m[p.narrow + H]
                for j in range(H):
                    total += m[p.narrow + j] * m[p.h + j]
                y[n, channel] = tanh(total)
            still(m, p.states, p.blocks * p.modes * 4 * H)

    return kernel


@_inlined
def activate(m: Memory, place: int, count: int, slope: float, rectifies: bool) -> None:
    """PReLU with one slope, or tanh."""
    if rectifies:
        for j in range(count):
            m[place + j] = max(m[place + j], ZERO) + slope * min(m[place + j], ZERO)
    else:
        for j in range(count):
            m[place + j] = tanh(m[place + j])


@cache
def convolution_kernel(p: ConvolutionPlaces, q: Modulation) -> Kernel:
    """Compiled for the convolutional networks of paper A."""
    ramps, shares = q.kind == CONSTANT, q.kind == SHARED  # plain names: what does not apply is not compiled
    dilations, lines, masks = p.dilations, p.lines, p.masks

    @_compiled
    def kernel(memories: Memory, counters: Counters, x: Memory, y: Memory) -> None:
        W = p.channels
        F = 2 * W if p.gated else W
        blocks = len(dilations)
        for channel in range(x.shape[1]):
            m, c = memories[channel], counters[channel]
            for n in range(len(x)):
                now = x[n, channel]
                clock = c[CLOCK]
                c[CLOCK] += 1
                if ramps:
                    ramp(m, c, q)
                elif shares:
                    shared(m, c, now, q)
                else:
                    layered(m, c, q)
                for j in range(W):
                    m[p.h + j] = now
                total = m[p.narrow + (blocks * W if p.gated else W)]
                for i in range(blocks):
                    line, mask, dilation = lines[i], masks[i], dilations[i]
                    row = line + (clock & mask) * W
                    for j in range(W):
                        m[row + j] = m[p.h + j]
                    if clock == 0:  # before the stream, the input of every block was what it is at its begin
                        for j in range(W, (mask + 1) * W):
                            m[line + j] = m[line + j - W]
                    for tap in range(p.taps):
                        row = line + ((clock - (p.taps - 1 - tap) * dilation) & mask) * W
                        for j in range(W):
                            m[p.past + tap * W + j] = m[row + j]
                    mix(m, p.weights + i * p.taps * W * F, p.biases + i * F, p.past, p.f, p.taps * W, F)
                    if not (ramps or shares):
                        hear(m, i, p.f, q)
                    v = q.values + i * 2 * F
                    for j in range(F):
                        m[p.f + j] = m[v + j] * m[p.f + j] + m[v + F + j]
                    if p.gated:
                        for j in range(W):
                            m[p.f + j] = tanh(m[p.f + j]) * sigmoid(m[p.f + W + j])
                        for j in range(W):
                            total += m[p.narrow + i * W + j] * m[p.f + j]
                        mix(m, p.mixes + i * W * W, p.mix_biases + i * W, p.f, p.z, W, W)
                        for j in range(W):
                            m[p.h + j] += m[p.z + j]
                    else:
                        for j in range(W):
                            if p.rectifies:
                                z = max(m[p.f + j], ZERO) + m[p.slopes + i * W + j] * min(m[p.f + j], ZERO)
                            else:
                                z = tanh(m[p.f + j])
                            m[p.h + j] = z + m[p.residuals + i * W + j] * m[p.h + j]
                if p.gated:
                    y[n, channel] = total
                else:
                    for j in range(W):
                        total += m[p.narrow + j] * m[p.h + j]
                    y[n, channel] = tanh(total)

    return kernel


@cache
def lstm_kernel(p: LstmPlaces, q: Modulation) -> Kernel:
    """Compiled for the LSTM network of paper A."""
    ramps, shares = q.kind == CONSTANT, q.kind == SHARED  # plain names: what does not apply is not compiled

    @_compiled
    def kernel(memories: Memory, counters: Counters, x: Memory, y: Memory) -> None:
        for channel in range(x.shape[1]):
            m, c = memories[channel], counters[channel]
            for n in range(len(x)):
                now = x[n, channel]
                if ramps:
                    ramp(m, c, q)
                elif shares:
                    shared(m, c, now, q)
                else:
                    layered(m, c, q)
                m[p.heard] = now
                lstm(m, p.weights, q.values, p.heard, p.gates, p.cell, 1, p.hidden)
                total = m[p.narrow + p.hidden]
                for j in range(p.hidden):
                    total += m[p.narrow + j] * m[p.heard + 1 + j]
                y[n, channel] = tanh(total)

    return kernel

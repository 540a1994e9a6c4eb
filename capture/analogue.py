"""What the virtual unit and the virtual converters add besides dynamics: harmonics, coupling, latency, noise, 24 bits.

    harmonics   y = x + low(k2 u^2 + k3 u^3), u = x at twice the rate: only the products go through the half-band
                filters, so x itself passes as it is, `HARMONICS_DELAY` samples later
    coupling    a high-pass of first order, 5 Hz: it takes away the constant that the second harmonic brings along
    latency     `latency.fractional_kernel`: a straight phase up to 0.92 of half the sample rate
    noise       white and Gaussian, a function of seed, channel and frame, so a stream may be cut anywhere

Everything is a stream: cut it where you like, the pieces are equal to the whole. Audio is planar here, `(channels,
frames)`, because filters run along frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.pcm import FULL_SCALE, Float32
from .latency import KERNEL_HALF_FRAMES, fractional_kernel
from .simulator_loops import SAME_BITS
from .specimen import Specimen

HALF_TAPS = 16  # of the half-band filters, on either side of twice the rate: 31 taps in all, 15 of them zero
HALF_BETA = 8.0  # Kaiser window: 80 dB from 1.34 of half the sample rate on
HARMONICS_DELAY = HALF_TAPS - 1
FIR_FRAMES = 512  # of output that stay in the cache while the taps pass by
NOISE_FRAMES = 1024  # of one block of noise; half of them from cosines, half from sines
NEGLIGIBLE_TAP = 1e-9
Float64 = npt.NDArray[np.float64]
Uint32 = npt.NDArray[np.uint32]

_FULL = np.float32(FULL_SCALE)
_time = np.arange(HALF_TAPS) - HALF_TAPS / 2 + 0.5
_half = np.sinc(_time) * np.kaiser(2 * HALF_TAPS + 1, HALF_BETA)[1::2]
HALF_BAND = np.asarray(_half / _half.sum(), np.float32)  # (16,): the value in the middle between two samples


class Colour:
    """Harmonics and coupling of one unit, with what they remember."""

    def __init__(self, specimen: Specimen, sample_rate: int, channels: int):
        # the harmonic of a full-scale sine is k2 / 2 and k3 / 4; the third is the opposite of the fundamental, as
        # everything that saturates has it
        self._k2, self._k3 = np.float32(2 * specimen.second), np.float32(-4 * specimen.third)
        self._bends = bool(specimen.second or specimen.third)
        corner = math.tan(math.pi * specimen.coupling_hz / sample_rate)  # bilinear
        self._keep = (1 - corner) / (1 + corner)
        self._past = np.zeros((channels, HARMONICS_DELAY), np.float32)
        self._past_products = np.zeros((channels, HARMONICS_DELAY), np.float32)
        self._coupling = np.zeros((channels, 2))  # last input, last output

    @property
    def delay(self) -> int:
        """Samples by which everything is later."""
        return HARMONICS_DELAY if self._bends else 0

    def through(self, audio: Float32, wire: bool = False) -> Float32:
        """`audio` (channels, frames) with colour; a `wire` has none and is as late."""
        if self._bends:
            whole = np.concatenate([self._past, audio], axis=1)
            coloured = np.empty_like(audio)
            for channel, heard in enumerate(whole):
                k2, k3 = (np.float32(0), np.float32(0)) if wire else (self._k2, self._k3)
                _bend(heard, self._past_products[channel], HALF_BAND, k2, k3, coloured[channel])
            self._past, audio = whole[:, -HARMONICS_DELAY:].copy(), coloured
        if self._keep < 1:
            out = np.empty_like(audio)
            _couple(audio, out, self._coupling, self._keep)
            audio = audio if wire else out
        return audio


class Latency:
    """What comes in goes out `samples` later, also by a fraction of one."""

    def __init__(self, samples: float, channels: int):
        taps = np.asarray(fractional_kernel(samples % 1)[::-1], np.float32)
        used = np.flatnonzero(np.abs(taps) > NEGLIGIBLE_TAP)
        self._taps = taps[used[0] : used[-1] + 1].copy()
        behind = int(samples) - KERNEL_HALF_FRAMES + len(taps) - 1 - int(used[0])  # of the oldest sample that is used
        if behind < len(self._taps) - 1:
            raise ValueError(f"latency of {samples:g} samples is less than {least_latency_samples()}")
        self._past = np.zeros((channels, behind), np.float32)

    def through(self, audio: Float32) -> Float32:
        """`audio` (channels, frames), later."""
        whole = np.concatenate([self._past, audio], axis=1)
        out = np.empty_like(audio)
        for heard, late in zip(whole, out, strict=True):
            filter_into(heard, self._taps, late)
        self._past = whole[:, audio.shape[1] :].copy()
        return out


def least_latency_samples(colour_delay: int = 0) -> int:
    """The shortest latency that can be simulated: filters need as much."""
    return KERNEL_HALF_FRAMES + 1 + colour_delay


def sent(send: Float32, columns: Sequence[int]) -> Float32:
    """What a converter plays of some columns of `send` (frames, outputs): (frames, columns), held at full scale."""
    out = np.empty((len(send), len(columns)), np.float32)
    _sent(send, np.asarray(columns, np.int64), out)
    return out


def planar(audio: Float32) -> Float32:
    """`audio` (frames, channels) as (channels, frames), in memory too."""
    out = np.empty(audio.shape[::-1], np.float32)
    _planar(audio, out)
    return out


def noise_key(seed: int, column: int) -> np.uint64:
    """What the noise of one column of a stream is drawn from."""
    return np.random.default_rng([seed, column]).integers(0, 1 << 63, dtype=np.uint64)


def read_late(audio: Float32, rate: float) -> Float32:
    """`audio` (frames, channels) that falls behind by `rate` samples per sample, as if the clocks differed by that:
    frame n is what it was at n (1 - rate). Before the beginning and after the end it runs backwards."""
    reach = KERNEL_HALF_FRAMES + 2
    mirrored = np.pad(audio, ((reach, reach + int(abs(rate) * len(audio)) + 1), (0, 0)), mode="symmetric")
    steps = 256  # positions between two samples that have taps of their own; linear in between
    table = np.stack([fractional_kernel(1 - n / steps)[::-1] for n in range(steps + 1)]).astype(np.float32)
    out = np.empty_like(audio)
    for channel in range(audio.shape[1]):
        column = np.empty(len(audio), np.float32)
        _read(np.ascontiguousarray(mirrored[:, channel]), reach, table, rate, column)
        out[:, channel] = column
    return out


def _sent_loop(send: Float32, columns: npt.NDArray[np.int64], out: Float32) -> None:
    """Some columns of `send` as a converter plays them, no higher than full scale."""
    low, high = np.float32(-1), np.float32(1)
    for place in range(len(columns)):
        column = columns[place]
        for n in range(len(send)):
            out[n, place] = min(max(send[n, column], low), high)


def _planar_loop(audio: Float32, out: Float32) -> None:
    """(frames, channels) as (channels, frames)."""
    frames, channels = audio.shape
    for channel in range(channels):
        for n in range(frames):
            out[channel, n] = audio[n, channel]


def _filter(heard: Float32, taps: Float32, out: Float32) -> None:
    """out[n] = sum of taps[k] heard[n + k]. Four taps at a time over a block of output, for the vector units."""
    count = len(taps)
    for begin in range(0, len(out), FIR_FRAMES):
        piece = out[begin : begin + FIR_FRAMES]
        frames = len(piece)
        for n in range(frames):
            piece[n] = 0
        k = 0
        while k + 4 <= count:
            x = heard[begin + k : begin + k + frames + 3]
            a, b, c, d = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
            for n in range(frames):
                piece[n] += (a * x[n] + b * x[n + 1]) + (c * x[n + 2] + d * x[n + 3])
            k += 4
        while k < count:
            x = heard[begin + k : begin + k + frames]
            a = taps[k]
            for n in range(frames):
                piece[n] += a * x[n]
            k += 1


def _bend_loop(
    heard: Float32, past_products: Float32, half: Float32, k2: np.float32, k3: np.float32, out: Float32
) -> None:
    """`heard` begins with the last 15 samples of before."""
    frames, past = len(out), len(past_products)
    middle = np.empty(past + frames, np.float32)
    for n in range(past):  # assigning a slice would cost seconds of compiling
        middle[n] = past_products[n]
    now = middle[past:]
    filter_into(heard, half, now)  # the values between the samples, 7.5 samples ago
    for n in range(frames):
        now[n] = now[n] * now[n] * (k2 + k3 * now[n])
    filter_into(middle, half, out)  # low-passed to the samples, 15 samples ago
    for n in range(frames):
        x = heard[n]
        out[n] = x + np.float32(0.5) * (out[n] + x * x * (k2 + k3 * x))
    for n in range(past):
        past_products[n] = middle[frames + n]


def _couple_loop(audio: Float32, out: Float32, state: Float64, keep: float) -> None:
    channels, frames = audio.shape
    half = (1 + keep) / 2
    for channel in range(channels):
        x, y = state[channel]
        heard, passed = audio[channel], out[channel]
        for n in range(frames):
            y = keep * y + half * (heard[n] - x)
            x = np.float64(heard[n])
            passed[n] = np.float32(y)
        state[channel, 0], state[channel, 1] = x, y


def _read_loop(heard: Float32, reach: int, table: Float32, rate: float, out: Float32) -> None:
    steps, taps = len(table) - 1, table.shape[1]
    for n in range(len(out)):
        place = reach + n - n * rate
        whole = int(place)
        between = (place - whole) * steps
        row = int(between)
        part = np.float32(between - row)
        low, high = table[row], table[row + 1]
        begin = whole + 1 - KERNEL_HALF_FRAMES - 1
        total = np.float32(0)
        for k in range(taps):
            total += (low[k] + part * (high[k] - low[k])) * heard[begin + k]
        out[n] = total


def _polynomial(target: Float64, factor: Float64, x: Float64, count: int) -> tuple[np.float32, ...]:
    """Coefficients of the polynomial of `x` that, times `factor`, is nearest to `target`."""
    basis = np.stack([factor * x**k for k in range(count)], axis=1)
    return tuple(np.float32(c) for c in np.linalg.lstsq(basis, target, rcond=None)[0])


# log2(1 + t) = t * (...), cos(pi x) = (1 - 4 x^2) (...), sin(pi x) = x (1 - x^2) (...): least squares, errors 1e-6.
_t = 0.5 + 0.5 * np.cos(np.pi * (np.arange(400) + 0.5) / 400)
_LOG = _polynomial(np.log2(1 + _t), _t, _t, 7)
_COS = _polynomial(np.cos(np.pi * _t), 1 - 4 * _t**2, _t**2, 6)
_SIN = _polynomial(np.sin(np.pi * _t), _t * (1 - _t**2), _t**2, 6)


def _mixed(words: Uint32, first: np.uint32, second: np.uint32) -> None:
    """A counter, hashed: 32 random bits each. Two rounds of multiply and shift after C. Wellons' lowbias32, with the
    block's own keys in between."""
    for n in range(len(words)):
        word = np.uint32(np.uint32(n) * np.uint32(0x9E3779B9) + first)
        word = np.uint32((word ^ (word >> np.uint32(16))) * np.uint32(0x7FEB352D))
        word = np.uint32(word ^ second)
        word = np.uint32((word ^ (word >> np.uint32(15))) * np.uint32(0x846CA68B))
        words[n] = word ^ (word >> np.uint32(16))


def _gaussian(key: np.uint64, block: int, words: Uint32, scratch: Float32, noise: Float32) -> None:
    """One block of standard normal numbers, by the method of Box and Muller (1958)."""
    half = NOISE_FRAMES // 2
    z = key + np.uint64(block + 1) * np.uint64(0x9E3779B97F4A7C15)  # splitmix64 (Steele, Lea, Flood 2014)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    _mix(words, np.uint32(z & np.uint64(0xFFFFFFFF)), np.uint32(z >> np.uint64(32)))
    bits = scratch.view(np.int32)
    for n in range(half):
        uniform = (np.float32(np.int32(words[n] >> np.uint32(8))) + np.float32(0.5)) * np.float32(2**-24)
        scratch[n] = uniform
    for n in range(half):
        scratch[half + n] = np.float32((bits[n] >> 23) - 127)
        bits[n] = (bits[n] & 0x7FFFFF) | 0x3F800000
    for n in range(half):
        t = scratch[n] - np.float32(1)
        log2 = scratch[half + n] + t * (
            _LOG[0] + t * (_LOG[1] + t * (_LOG[2] + t * (_LOG[3] + t * (_LOG[4] + t * (_LOG[5] + t * _LOG[6])))))
        )
        scratch[n] = math.sqrt(max(np.float32(0), np.float32(-2 * math.log(2)) * log2))
    for n in range(half):
        x = np.float32(np.int32(words[half + n])) * np.float32(2**-31)
        q = x * x
        cos = (np.float32(1) - np.float32(4) * q) * (
            _COS[0] + q * (_COS[1] + q * (_COS[2] + q * (_COS[3] + q * (_COS[4] + q * _COS[5]))))
        )
        sin = (
            x
            * (np.float32(1) - q)
            * (_SIN[0] + q * (_SIN[1] + q * (_SIN[2] + q * (_SIN[3] + q * (_SIN[4] + q * _SIN[5])))))
        )
        noise[n] = scratch[n] * cos
        noise[half + n] = scratch[n] * sin


def _convert_loop(audio: Float32, level: np.float32, key: np.uint64, frame: int, out: Float32) -> None:
    """What a converter makes of one column: noise, limits, 24 bits. `frame` is the number of the first in the stream.

    Halves are rounded away from zero, which no analogue signal can tell from rounding to even."""
    words = np.empty(NOISE_FRAMES, np.uint32)
    scratch, noise = np.empty(NOISE_FRAMES, np.float32), np.empty(NOISE_FRAMES, np.float32)
    half, low, high = np.float32(0.5), -_FULL, _FULL - np.float32(1)
    begin = 0
    while begin < len(audio):
        block, phase = (frame + begin) // NOISE_FRAMES, (frame + begin) % NOISE_FRAMES
        count = min(NOISE_FRAMES - phase, len(audio) - begin)
        _gauss(key, block, words, scratch, noise)
        heard, drawn, codes = audio[begin : begin + count], noise[phase : phase + count], out[begin : begin + count]
        for n in range(count):
            code = min(max((heard[n] + level * drawn[n]) * _FULL, low), high)
            whole = np.int32(code + (half if code >= 0 else -half))
            codes[n] = np.float32(whole) * (np.float32(1) / _FULL)
        begin += count


_compiled = numba.njit(cache=True, fastmath=SAME_BITS, error_model="numpy")
filter_into = _compiled(_filter)
_bend = _compiled(_bend_loop)
_couple = _compiled(_couple_loop)
_read = _compiled(_read_loop)
_mix = _compiled(_mixed)
_gauss = _compiled(_gaussian)
convert = _compiled(_convert_loop)
_sent = _compiled(_sent_loop)
_planar = _compiled(_planar_loop)

"""How well the return follows the dry song, sample by sample, whatever the compressor's gain does.

    detail     x[n] + (x[n-1] + x[n+1]) / 4 - (x[n-2] + x[n+2]) / 2 - (x[n-3] + x[n+3]) / 4, of the return and of dry
               moved by the fraction of a sample: a band round 9 kHz at 44.1 kHz. Bass, coupling high-passes and most
               of what a gain does to bass are gone, and so is what converters do near Nyquist; one wrong sample stands
               out
    steady     detail of the return = gain x detail of dry, with a gain between that of 8 samples before and that of
               8 samples after
    falling    return = gain x dry + offset, with any gain that only falls, within 28 samples on either side
    score      what is left over / what is allowed (noise, a little of the detail, less of the amplitude), the worst
               of each block of 8 samples, under the better of the two models

An attack may be over in a few samples but no release is: gain may fall at once and cannot come back at once. So a hole
is seen at its end, where gain would have to rise, and everything else at its seams. Channels are judged each on its
own, so their gains need not be linked. A linear path (the loopback pair) has one gain and needs no second model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32

BLOCK = 8  # frames
DETAIL = np.array([-1, -2, 1, 4, 1, -2, -1]) / 4
DETAIL_NORM = float(np.sqrt(np.sum(DETAIL**2)))
SIGMAS = 7.0  # of the detail's noise
DETAIL_ALLOWED, LINEAR_DETAIL_ALLOWED = 0.05, 0.005  # of the detail of dry at that gain
AMPLITUDE_ALLOWED = 0.02  # of the return, under the falling model,
FALL_ALLOWED = 0.15  # and this for a gain that falls from all to nothing within 24 samples
FALL_REACH, OFFSET_ROUNDS = 28, 5  # frames on either side of a block; turns
LIMIT, SUSPECT = 1.0, 0.7
OVER_USUAL = 1.6  # a unit that always scores high is no fault: limit re the median of the maxima of 0.5 s
USUAL_S = 0.5
LEAST_NOISE = 1.2e-7  # RMS, about one step of 24 bits: what rounding alone may do
KERNEL_HALF, KERNEL_BAND = 12, 0.9  # frames; of Nyquist
TAPS = np.arange(-KERNEL_HALF, KERNEL_HALF + 1.0)
CHUNK = 256  # blocks at a time, to stay in the processor's cache
EDGE = 2  # blocks to the block before and to the block after
MARGIN = KERNEL_HALF + 4  # frames around a chunk that it needs


@dataclass(frozen=True)
class LocalFit:
    """The score of every block of 8 frames, re the song's first, and the score above which a block is harmed."""

    scores: Float32
    limit: float


def local_fit(
    sent: Float32, returned: Float32, fraction: float, silence: Float32, sample_rate: int, gain: float | None = None
) -> LocalFit:
    """The scores of `returned` (frames, channels), aligned to whole samples with `sent`, which it lags by `fraction`.

    `silence` (frames, channels) is what returned while nothing was sent; its detail is the noise to expect. `gain` is
    that of a linear path, a ratio with its sign; None for a compressor. Healthy simulated takes score 0.4 to 0.75 at
    their worst, at any setting."""
    sent, returned = (np.require(audio, np.float32, ["C", "W"]) for audio in (sent, returned))  # compiled only once
    noise = np.array([detail_noise_rms(channel) for channel in silence.T])
    floor = (DETAIL_NORM * SIGMAS * noise).astype(np.float32)
    scores = np.zeros(-(-len(returned) // BLOCK), np.float32)
    linear_gain = np.float32(0.0 if gain is None else gain)
    _compiled(sent, returned, detail_kernel(fraction).astype(np.float32), floor, linear_gain, scores)
    if gain is None:
        suspects = np.flatnonzero(scores > SUSPECT)
        _compiled_falling(sent, returned, delay_kernel(fraction).astype(np.float32), floor, suspects, scores)
    scores[: EDGE + 2], scores[-EDGE - 3 :] = 0, 0  # the song's ends hide what the filter needs
    length = max(1, round(USUAL_S * sample_rate / BLOCK))
    pieces = scores[: len(scores) // length * length].reshape(-1, length)
    usual = float(np.median(pieces.max(axis=1))) if len(pieces) else 0.0
    return LocalFit(scores, max(LIMIT, OVER_USUAL * usual))


def detail_noise_rms(silence: npt.NDArray[np.floating]) -> float:
    """RMS of the white noise that has the detail of `silence` (frames,): hum and drift do not count."""
    if len(silence) < len(DETAIL):
        return LEAST_NOISE
    detail = np.convolve(silence.astype(np.float64), DETAIL, "valid")
    return max(LEAST_NOISE, float(np.sqrt(np.mean(detail**2)) / DETAIL_NORM))


def delay_kernel(fraction: float) -> npt.NDArray[np.float64]:
    """Filter of 25 taps that delays by `fraction`: least squares up to 0.9 of Nyquist, within 4e-3 up to 15 kHz at
    44.1 kHz. Shorter than `latency.fractional_kernel`, for where speed counts more."""
    return _least_squares(_low_pass(TAPS - fraction))


def detail_kernel(fraction: float) -> npt.NDArray[np.float64]:
    """The like filter that gives the detail of what it filters, later by `fraction`; within 3e-4."""
    moved = np.arange(-3, 4)
    return _least_squares(_low_pass(np.subtract.outer(TAPS - fraction, moved)) @ DETAIL)


def _least_squares(wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    alike = _low_pass(np.subtract.outer(TAPS, TAPS)) + 1e-6 * np.eye(len(TAPS))
    return np.asarray(np.linalg.solve(alike, wanted), np.float64)


def _low_pass(time: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(KERNEL_BAND * np.sinc(KERNEL_BAND * time), np.float64)


def _score(
    sent: Float32, returned: Float32, kernel: Float32, floor: Float32, linear_gain: float, scores: Float32
) -> None:
    """Fills `scores` under the steady model. `floor`: what is allowed for noise, per channel; `linear_gain` 0: a
    compressor."""
    frames, channels = returned.shape
    width, blocks = (CHUNK + 2 * EDGE) * BLOCK, CHUNK + 2 * EDGE
    x, y = np.zeros(width + 2 * MARGIN, np.float32), np.zeros(width + 2 * MARGIN, np.float32)
    xq, yq = np.zeros(width, np.float32), np.zeros(width, np.float32)
    gain, most_detail = np.zeros(blocks, np.float32), np.zeros(blocks, np.float32)
    detail_allowed = np.float32(DETAIL_ALLOWED if linear_gain == 0 else LINEAR_DETAIL_ALLOWED)
    for channel in range(channels):
        noise = floor[channel]
        heavy = noise * noise * 8  # pulls towards the mean gain where there is little to fit
        mean_xx, mean_xy = np.float32(0), np.float32(0)  # of the last 64 blocks or so
        for first in range(0, len(scores), CHUNK):
            start = (first - EDGE) * BLOCK - MARGIN
            begin, end = max(0, -start), min(len(x), frames - start)  # what of the chunk there is
            x[:begin], y[:begin], x[end:], y[end:] = 0, 0, 0, 0
            x[begin:end] = sent[start + begin : start + end, channel]
            y[begin:end] = returned[start + begin : start + end, channel]
            m = y[MARGIN - 3 :]
            half, quarter = np.float32(0.5), np.float32(0.25)
            for i in range(width):
                yq[i] = m[i + 3] + quarter * (m[i + 2] + m[i + 4] - m[i] - m[i + 6]) - half * (m[i + 1] + m[i + 5])
            xq[:] = 0
            for k in range(0, len(kernel), 5):  # five taps a pass, to store less often
                tap0, tap1, tap2, tap3, tap4 = kernel[k], kernel[k + 1], kernel[k + 2], kernel[k + 3], kernel[k + 4]
                m = x[MARGIN + KERNEL_HALF - 4 - k :]
                for i in range(width):
                    xq[i] += tap0 * m[i + 4] + tap1 * m[i + 3] + tap2 * m[i + 2] + tap3 * m[i + 1] + tap4 * m[i]

            for b in range(blocks):
                xx, xy, top = np.float32(0), np.float32(0), np.float32(0)
                u, v = xq[b * BLOCK : (b + 1) * BLOCK], yq[b * BLOCK : (b + 1) * BLOCK]
                for i in range(BLOCK):
                    xx += u[i] * u[i]
                    xy += u[i] * v[i]
                    top = max(top, abs(u[i]))
                most_detail[b] = top
                if b >= 2 * EDGE or first == 0:  # the others were seen with the chunk before
                    mean_xx += (xx - mean_xx) * np.float32(1 / 64)
                    mean_xy += (xy - mean_xy) * np.float32(1 / 64)
                mean = mean_xy / (mean_xx + np.float32(1e-3) * heavy)
                gain[b] = (xy + heavy * mean) / (xx + heavy) if linear_gain == 0 else linear_gain

            for b in range(EDGE, min(blocks - EDGE, EDGE + len(scores) - first)):
                low, high = min(gain[b - EDGE], gain[b + EDGE]), max(gain[b - EDGE], gain[b + EDGE])
                left = np.float32(0)
                u, v = xq[b * BLOCK : (b + 1) * BLOCK], yq[b * BLOCK : (b + 1) * BLOCK]
                for i in range(BLOCK):
                    one, other = low * u[i], high * u[i]
                    left = max(left, v[i] - max(one, other), min(one, other) - v[i])
                top = max(most_detail[b - 1], most_detail[b], most_detail[b + 1]) * max(abs(low), abs(high))
                block = first + b - EDGE
                scores[block] = max(scores[block], left / (noise + detail_allowed * top))


def _score_falling(
    sent: Float32, returned: Float32, kernel: Float32, floor: Float32, suspects: npt.NDArray[np.int64], scores: Float32
) -> None:
    """Lowers the scores of `suspects` (blocks) to those under the falling model, where those are lower.

    The gain that falls and fits best is a weighted isotonic regression of return / dry (weights dry squared, pooling
    of adjacent violators: Barlow et al. 1972); the offset, which coupling high-passes and even harmonics bring, is
    found in turns with it."""
    frames, channels = returned.shape
    width = BLOCK + 2 * FALL_REACH
    x, y, gain, fitted = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    value, weight, length = np.zeros(width), np.zeros(width), np.zeros(width, np.int64)
    for block in suspects:
        worst = 0.0
        for channel in range(channels):
            start = block * BLOCK - FALL_REACH
            for i in range(width):
                n = start + i
                y[i] = returned[n, channel] if 0 <= n < frames else 0.0
                x[i] = 0.0
                for k in range(len(kernel)):
                    m = n + KERNEL_HALF - k
                    if 0 <= m < frames:
                        x[i] += kernel[k] * sent[m, channel]
            offset, tiny = 0.0, 1e-3 * floor[channel] ** 2
            for _ in range(OFFSET_ROUNDS):
                pools = 0
                for i in range(width):
                    weight[pools] = x[i] * x[i] + tiny
                    value[pools], length[pools] = (y[i] - offset) * x[i] / weight[pools], 1
                    pools += 1
                    while pools > 1 and value[pools - 2] < value[pools - 1]:
                        total = weight[pools - 2] + weight[pools - 1]
                        value[pools - 2] = (
                            value[pools - 2] * weight[pools - 2] + value[pools - 1] * weight[pools - 1]
                        ) / total
                        weight[pools - 2] = total
                        length[pools - 2] += length[pools - 1]
                        pools -= 1
                i, offset = 0, 0.0
                for pool in range(pools):
                    for _ in range(length[pool]):
                        gain[i] = value[pool]
                        fitted[i] = value[pool] * x[i]
                        offset += (y[i] - fitted[i]) / width
                        i += 1
            left, amplitude, detail = 0.0, 0.0, 0.0
            last = gain[FALL_REACH + 2 * BLOCK - 1]
            fall = 1 - last / max(gain[FALL_REACH - BLOCK], 1e-9) if last > 0 else 1.0
            for i in range(FALL_REACH, FALL_REACH + BLOCK):
                y_detail, fitted_detail = 0.0, 0.0
                for k in range(-3, 4):
                    y_detail += DETAIL[k + 3] * y[i + k]
                    fitted_detail += DETAIL[k + 3] * fitted[i + k]
                left = max(left, abs(y_detail - fitted_detail))
                amplitude, detail = max(amplitude, abs(fitted[i])), max(detail, abs(fitted_detail))
            allowed = floor[channel] + DETAIL_ALLOWED * detail + (AMPLITUDE_ALLOWED + FALL_ALLOWED * fall) * amplitude
            worst = max(worst, left / allowed)
        scores[block] = min(scores[block], worst)


_fast = {"contract", "reassoc", "nsz", "arcp"}  # all that leaves infinities and the absence of numbers alone
_compiled = numba.njit(cache=True, fastmath=_fast)(_score)
_compiled_falling = numba.njit(cache=True)(_score_falling)

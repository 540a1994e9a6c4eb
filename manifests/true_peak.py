"""True peak: the largest value of the waveform between the samples (ITU-R BS.1770-5, annex 2).

The standard's filter of 48 taps at four times the rate reads up to 0.4 dB low near 20 kHz, and up to 0.2 dB high at a
quarter of the rate. So that no meter of the standard reads more, the result is the largest of three: the samples, that
filter, and a windowed sinc at sixteen times the rate. Up to 20 kHz that sinc is within 0.05 dB of any other such
oversampling; with much sound above, those differ among themselves, since each ends its band elsewhere. Nearly all of
the audio is skipped without changing the result:

- a filter's output cannot pass the sum of its coefficients' magnitudes times the largest sample that it sees;
- within a quarter of a sample of the highest point M of a band-limited waveform its value is at least M cos(pi/4), and
  within an eighth at least M cos(pi/8) (R. P. Boas, Entire Functions, 1954: beside its maximum no such waveform falls
  faster than the cosine of the band limit), so finer steps are taken only where the coarser ones come so near the
  largest value so far.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

BLOCK = 256  # frames that are skipped or looked at together
REACH = 24  # samples on either side that the windowed sinc sees: flat to 0.94 of half the rate
STEPS = 16  # per sample
TAPS = 12  # of each phase of the standard's filter
KAISER_BETA = 5.0
NEAR_HALVES, NEAR_QUARTERS = 0.69, 0.91  # a little under cos(pi/4) and cos(pi/8): the sinc is cut off

# BS.1770-5, annex 2: the first two of four phases; the others are these, reversed.
# fmt: off
STANDARD = np.array([
     0.001708984375,   0.010986328125, -0.0196533203125, 0.033203125,     -0.0594482421875,  0.1373291015625,
     0.97216796875,   -0.102294921875,  0.047607421875, -0.026611328125,   0.014892578125,  -0.00830078125,
    -0.0291748046875,  0.029296875,    -0.0517578125,    0.089111328125,  -0.16650390625,    0.465087890625,
     0.77978515625,   -0.2003173828125, 0.1015625,      -0.0582275390625,  0.0330810546875, -0.0189208984375,
]).reshape(2, TAPS)
# fmt: on


def interpolator() -> npt.NDArray[np.float64]:
    """The windowed sinc (STEPS, 2 * REACH): row p holds what each sample n - REACH + 1 ... n + REACH adds to the value
    p / STEPS after sample n. Each row sums to 1."""
    places = np.arange(STEPS)[:, np.newaxis] / STEPS - np.arange(1 - REACH, REACH + 1)
    window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0, 1 - (places / REACH) ** 2))) / np.i0(KAISER_BETA)
    rows = np.sinc(places) * window
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), np.float64)


def true_peak(audio: npt.NDArray[np.floating], block_peaks: Float32 | None = None) -> float:
    """Largest magnitude of the waveform of `audio` (frames, channels), as a ratio to full scale, whatever its rate;
    never below the largest sample. Before and after the audio lies silence. 0 for no frames.

    `block_peaks`: what `peaks_of_blocks` gave, if it is known already.
    """
    audio = np.ascontiguousarray(audio, np.float32)
    if not audio.size:
        return 0.0
    peaks = peaks_of_blocks(audio) if block_peaks is None else block_peaks
    around = np.concatenate([np.zeros(2, np.float32), peaks, np.zeros(2, np.float32)])
    reach = np.max([around[:-2], around[1:-1], around[2:]], axis=0)  # of blocks -1 ... count, with their neighbours
    order = np.argsort(-reach, kind="stable") - 1
    sinc = interpolator()
    return float(
        _largest(audio, np.max(peaks), order, reach, STANDARD.astype(np.float32), sinc.astype(np.float32)),
    )


def peaks_of_blocks(audio: Float32) -> Float32:
    """Largest magnitude in each block of 256 frames, over all channels; the last block may be shorter."""
    return np.asarray(_peaks_of_blocks(audio), np.float32)


@numba.njit(cache=True, fastmath={"contract", "reassoc", "nnan", "nsz"})
def _peaks_of_blocks(audio):  # type: ignore[no-untyped-def]
    frames, channels = audio.shape
    flat = audio.reshape(-1)
    peaks = np.zeros((frames + BLOCK - 1) // BLOCK, np.float32)
    for block in range(len(peaks)):
        peak = np.float32(0)
        for n in range(block * BLOCK * channels, min((block + 1) * BLOCK, frames) * channels):
            peak = max(peak, abs(flat[n]))
        peaks[block] = peak
    return peaks


@numba.njit(cache=True, fastmath={"contract", "reassoc"})
def _largest(audio, best, order, reach, standard, sinc):  # type: ignore[no-untyped-def]
    """The largest magnitude of samples, standard filter and windowed sinc, `best` being that of the samples."""
    channels = audio.shape[1]
    even, odd = (standard + standard[:, ::-1]) / 2, (standard - standard[:, ::-1]) / 2
    half = sinc[STEPS // 2]
    standard_bound = max(np.abs(standard[0]).sum(), np.abs(standard[1]).sum())
    sinc_bound = np.float32(0)
    for step in range(STEPS):
        sinc_bound = max(sinc_bound, np.abs(sinc[step]).sum())
    near = np.zeros(BLOCK + 2 * REACH, np.float32)  # sample n of the block at n + REACH
    between = np.empty(BLOCK, np.float32)
    for block in order:
        if reach[block + 1] * max(standard_bound, sinc_bound) <= best:
            break
        for channel in range(channels):
            peak = _copy_block(audio, channel, block * BLOCK - REACH, near)
            if peak * standard_bound > best:
                best = max(best, _standard_peak(near, even, odd))
            if peak * sinc_bound <= best:
                continue
            for i in range(BLOCK):
                total = np.float32(0)
                for k in range(REACH):
                    total += half[REACH - 1 - k] * (near[i + REACH - k] + near[i + REACH + 1 + k])
                between[i] = abs(total)
            for i in range(BLOCK):
                best = max(best, between[i])
            for i in range(BLOCK):
                highest = max(between[i], abs(near[i + REACH]), abs(near[i + REACH + 1]))
                if highest >= NEAR_HALVES * best:
                    best = _between_two(near[i + 1 : i + 1 + 2 * REACH], between[i], sinc, best)
    return best


@numba.njit(cache=True, fastmath={"contract", "reassoc"})
def _standard_peak(near, even, odd):  # type: ignore[no-untyped-def]
    """Largest output of the standard's four phases over a block (its delay does not matter here). A phase and the
    reversed one are the sum and the difference of an even and an odd part, and max(|a + b|, |a - b|) = |a| + |b|."""
    peak = np.float32(0)
    for i in range(BLOCK):
        outer_even = outer_odd = inner_even = inner_odd = np.float32(0)
        for k in range(TAPS // 2):
            left, right = near[i + REACH - TAPS // 2 + k], near[i + REACH + TAPS // 2 - 1 - k]
            both, difference = left + right, left - right
            outer_even += even[0, k] * both
            inner_even += even[1, k] * both
            outer_odd += odd[0, k] * difference
            inner_odd += odd[1, k] * difference
        peak = max(peak, abs(outer_even) + abs(outer_odd), abs(inner_even) + abs(inner_odd))
    return peak


@numba.njit(cache=True, fastmath={"contract", "reassoc"})
def _copy_block(audio, channel, begin, near):  # type: ignore[no-untyped-def]
    """`near` = the samples of a channel from `begin` on, silence outside the audio; their largest magnitude."""
    peak = np.float32(0)
    if begin >= 0 and begin + len(near) <= len(audio):
        for i in range(BLOCK + 2 * REACH):
            near[i] = audio[begin + i, channel]
            peak = max(peak, abs(near[i]))
    else:
        near[:] = 0
        for n in range(max(begin, 0), min(begin + len(near), len(audio))):
            near[n - begin] = audio[n, channel]
            peak = max(peak, abs(audio[n, channel]))
    return peak


@numba.njit(cache=True, fastmath={"contract", "reassoc"})
def _between_two(samples, centre, sinc, best):  # type: ignore[no-untyped-def]
    """`best`, or the largest magnitude between the two middle ones of `samples`, if that is larger. `centre`: the
    magnitude half way."""
    quarter = STEPS // 4
    before = abs(samples[REACH - 1])
    for step in range(quarter, STEPS + 1, quarter):
        after = centre if step == 2 * quarter else abs(samples[REACH])
        if step % (2 * quarter):
            after = _at(samples, sinc[step])
        best = max(best, after)
        if max(before, after) >= NEAR_QUARTERS * best:
            for finer in range(step - quarter + 1, step):
                best = max(best, _at(samples, sinc[finer]))
        before = after
    return best


@numba.njit(cache=True, fastmath={"contract", "reassoc"})
def _at(samples, weights):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for k in range(2 * REACH):
        total += weights[k] * samples[k]
    return abs(total)

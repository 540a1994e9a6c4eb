"""What a driver did to a take without moving it in time: blocks zeroed, repeated, or otherwise spoiled.

Two kinds of evidence, each over the whole take:

    exact runs   frames that are zero, or equal to the last bit to earlier ones, so many in a row that the noise of a
                 healthy return cannot do it once in ten million takes: over a floor of -100 dBFS 4 frames of both
                 channels, or 7 samples of one
    local fit    samples that no compressor makes of this song (`local_fit`): one wrong sample in loud music is enough

Found in simulated takes of varied songs and settings, faults at random places (`tests/benchmarks/bench_timing.py`):
every block of 8 samples or more, zeroed or repeated, every single zero, and of single repeated samples nine in ten over
-100 dBFS; the others moved so little that noise or the attack of the unit could have done it. Through a loopback pair
a single sample is found where its error stands 10 times above the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.levels import from_db
from ..manifests.pcm import FULL_SCALE, Float32
from .local_fit import BLOCK, KERNEL_HALF, delay_kernel, detail_noise_rms, local_fit

Kind = Literal["zeroed", "repeated", "spoiled"]
REPEAT_LAGS = (1, 64, 128, 256, 512, 1024, 2048, 4096)  # a held sample; periods of audio drivers
SURELY_FRAMES = 32  # where noise is less than a step of the converter, and nothing is improbable
SURE = 1e-7  # chance of one such run in a healthy take of ten million frames
TAKE_FRAMES = 1e7
ACTIVE_DBFS = -60.0  # without noise, only holes in what sounds are holes
LEAST_NOISE_STEPS = 1.5  # of 24 bits
JOINED_FRAMES = 256  # harmed blocks nearer than this are one damage
FLAGGED_BLOCKS = 4  # driver blocks looked at on either side of a flagged one
FLAGGED_LIMIT = 0.8  # of the blind limit: near a flag suspicion comes first
CLIPPED = 0.999  # a return at full scale repeats one code, and has a reason of its own
NEAR_FRAMES, NO_CHANCE = 64, 8.0  # for a local gain; re the RMS of the noise
MOVE = 0.02  # of the amplitude, from one frame to the next: below it, dry hardly moves
LOOK_BACK_FRAMES = 8192  # for what a spoiled block may repeat,
SHORT_LAG = 64  # or this, where fewer frames prove it:
LIKELY = 1e-5  # chance of one such run at a place that the local fit finds spoiled


@dataclass(frozen=True)
class Damage:
    """A stretch of the song that did not come back as it was."""

    at_s: float  # re the song's first sample
    frames: int  # exact for zeroed and repeated blocks; to 8 frames for spoiled ones
    kind: Kind


def damage(
    sent: Float32,
    returned: Float32,
    fraction: float,
    silence: Float32,
    sample_rate: int,
    *,
    gain: float | None = None,
    flags: Iterable[int] = (),
    block_size: int = 1024,
) -> tuple[Damage, ...]:
    """All damage of `returned` (frames, channels) re `sent`, in the order of time; both are the song alone, aligned to
    whole samples, and `returned` lags by `fraction` of a sample, -0.5 to 0.5.

    `silence` (frames, channels): what returned while nothing was sent. `gain`: for a loopback, its gain as a ratio
    with its sign (measured by its chirp); None for the unit. `flags`: frames, re the song's first, near which
    (`block_size`) the driver reported trouble; less is enough there."""
    fit = local_fit(sent, returned, fraction, silence, sample_rate, gain)
    limits = np.full(len(fit.scores), fit.limit, np.float32)
    for flag in flags:
        begin, end = _reach(flag, block_size)
        limits[max(0, begin // BLOCK) : max(0, end // BLOCK + 1)] = FLAGGED_LIMIT * fit.limit
    harmed = np.flatnonzero(fit.scores > limits)
    pieces = np.split(harmed, np.flatnonzero(np.diff(harmed) > JOINED_FRAMES // BLOCK) + 1) if len(harmed) else []
    spoiled = [(int(piece[0]) * BLOCK, (int(piece[-1]) + 1) * BLOCK) for piece in pieces]

    noise_rms = max(detail_noise_rms(channel) for channel in silence.T)
    exact = exact_runs(sent, returned, silence, block_size)
    for n in held_frames(sent, returned, fraction, silence):
        exact.append((n, n + 1, "repeated") if returned[n].any() else (n - 1, n + 1, "zeroed"))
    exact = _joined(exact)
    found = list(exact)
    for start, end in spoiled:
        if not any(start < other_end + BLOCK and other < end + BLOCK for other, other_end, _ in exact):
            found.append(_named(sent, returned, noise_rms, start, end))
    return tuple(Damage(start / sample_rate, end - start, kind) for start, end, kind in sorted(found))


def harmed_near_flags(found: Iterable[Damage], flags: Iterable[int], block_size: int, sample_rate: int) -> bool:
    """Whether any damage lies within 4 driver blocks of a flagged frame (re the song's first). A JACK server in
    synchronous mode raises flags on takes that are exact, so a flag alone proves nothing."""
    reaches = [_reach(flag, block_size) for flag in flags]
    spans = [(round(one.at_s * sample_rate), one.frames) for one in found]
    return any(start < end and start + frames > begin for begin, end in reaches for start, frames in spans)


def exact_runs(
    sent: Float32, returned: Float32, silence: Float32, block_size: int = 1024
) -> list[tuple[int, int, Kind]]:
    """Runs `(first frame, frame after the last, kind)` of exact zeros on any channel, or of frames that repeat those
    of a driver block before on all channels where dry does not. An analog return never repeats a bit pattern.

    How many frames prove it follows from the noise in `silence`: a sample is zero, or equal to another, with a chance
    of 0.4 step / RMS at most. Where noise is under 1.5 steps of 24 bits, 32 frames do: zeros where dry sounds above
    -60 dBFS, repetitions where dry differs."""
    channels = returned.shape[1]
    chances = [_zero_chance(detail_noise_rms(channel)) for channel in silence.T]
    noisy = max(chances) < 1
    lags = np.array(sorted({*REPEAT_LAGS, block_size, 2 * block_size}), np.int64)
    zeros_needed = np.array([_run_needed(chance if noisy else 1.0, channels) for chance in chances], np.int64)
    repeats_needed = _run_needed(math.prod(chances) if noisy else 1.0, len(lags) + 1)
    active = 0.0 if noisy else from_db(ACTIVE_DBFS)
    sent, returned = (np.require(audio, np.float32, ["C", "W"]) for audio in (sent, returned))  # compiled only once
    rows = _compiled(sent, returned, zeros_needed, repeats_needed, lags, active)
    zeroed: list[tuple[int, int, Kind]] = []
    repeated: list[tuple[int, int, Kind]] = []
    for start, end, lag in rows:
        if lag > 0 and returned[start:end].any():
            repeated.append((int(start), int(end), "repeated"))
        else:  # zeros of all channels that repeat the zero before them are shorter than those of one must be
            zeroed.append((int(start) - (lag == 1), int(end), "zeroed"))
    return _joined(zeroed + repeated)


def held_frames(sent: Float32, returned: Float32, fraction: float, silence: Float32) -> list[int]:
    """Frames that are equal to the last bit to the frame before, on two channels or more, where dry moves by more than
    the noise could undo. By chance that happens once in 100,000 frames over a floor of -100 dBFS, and only where dry
    stands still."""
    noise_rms = max(detail_noise_rms(channel) for channel in silence.T)
    if returned.shape[1] < 2 or _zero_chance(noise_rms) == 1:
        return []
    same = np.flatnonzero(returned[1:, 0] == returned[:-1, 0]) + 1
    same = same[(returned[same] == returned[same - 1]).all(axis=1) & (np.abs(returned[same]) < CLIPPED).all(axis=1)]
    kernel, half = delay_kernel(fraction)[::-1], KERNEL_HALF
    held = []
    for n in same[(same > NEAR_FRAMES) & (same < len(sent) - NEAR_FRAMES)]:
        around = sent[n - 1 - half : n + 1 + half]
        moves = np.abs(kernel @ around[1:] - kernel @ around[:-1])
        least = NO_CHANCE * noise_rms / _local_gain(sent, returned, int(n), int(n) + 1) + MOVE * np.abs(around).max(
            axis=0
        )
        if (moves > least).any():
            held.append(int(n))
    return held


def _zero_chance(noise_rms: float) -> float:
    """Chance that a sample of noise is zero, or equal to another, at most; 1 where it is too little to say."""
    steps = noise_rms * FULL_SCALE
    return 1 / (math.sqrt(2 * math.pi) * steps) if steps > LEAST_NOISE_STEPS else 1.0


def _run_needed(chance: float, tries: float, allowed: float = SURE / TAKE_FRAMES) -> int:
    """So many in a row that each happens by `chance`, and in `tries` there is one by a chance of `allowed`."""
    if chance == 1:
        return SURELY_FRAMES
    return min(SURELY_FRAMES, max(2, math.ceil(math.log(allowed / tries) / math.log(chance))))


def _reach(flag: int, block_size: int) -> tuple[int, int]:
    return flag - FLAGGED_BLOCKS * block_size, flag + (FLAGGED_BLOCKS + 1) * block_size


def _joined(runs: list[tuple[int, int, Kind]]) -> list[tuple[int, int, Kind]]:
    """Runs that touch (channels, lags) as one; zeros are zeros though they repeat each other."""
    whole: list[tuple[int, int, Kind]] = []
    for start, end, kind in sorted(runs):
        if whole and start <= whole[-1][1]:
            start, end, kind = whole[-1][0], max(end, whole[-1][1]), max(kind, whole[-1][2])
            whole.pop()
        whole.append((start, end, kind))
    return whole


def _named(sent: Float32, returned: Float32, noise_rms: float, start: int, end: int) -> tuple[int, int, Kind]:
    """A spoiled stretch, or what in it is exactly zero or repeats earlier frames: single samples, too, since here
    the local fit has already said that something is wrong. By chance a quiet sample is zero or equal to the last."""
    here, last = slice(start, end), slice(start - 1, end - 1)
    least = NO_CHANCE * noise_rms / _local_gain(sent, returned, start, end)  # of dry, to be heard above the noise
    zero = np.flatnonzero((returned[here] == 0).all(axis=1) & (np.abs(sent[here]) > least).any(axis=1))
    if len(zero):
        return start + int(zero[0]), start + int(zero[-1]) + 1, "zeroed"
    if start:
        moves = (np.abs(sent[here] - sent[last]) > least).any(axis=1)
        held = np.flatnonzero((returned[here] == returned[last]).all(axis=1) & moves)
        if len(held):
            return start + int(held[0]), start + int(held[-1]) + 1, "repeated"
    chance = _zero_chance(noise_rms) ** returned.shape[1]
    needed, of_near = _run_needed(chance, 1), _run_needed(chance, SHORT_LAG * (end - start), LIKELY)
    for first in range(start, end - of_near + 1):
        before = returned[max(0, first - LOOK_BACK_FRAMES) : first]
        for match in np.flatnonzero((before == returned[first]).all(axis=1)):
            lag = len(before) - int(match)
            equal = (returned[first:end] == returned[first - lag : end - lag]).all(axis=1)
            length = len(equal) if equal.all() else int(equal.argmin())
            if length >= (of_near if lag <= SHORT_LAG else needed):
                return first, first + length, "repeated"
    return start, end, "spoiled"


def _local_gain(sent: Float32, returned: Float32, start: int, end: int) -> float:
    near = slice(max(0, start - NEAR_FRAMES), end + NEAR_FRAMES)
    return max(float(np.linalg.norm(returned[near])) / max(float(np.linalg.norm(sent[near])), 1e-9), 1e-9)


def _find_runs(
    sent: Float32,
    returned: Float32,
    zeros_needed: npt.NDArray[np.int64],
    repeats_needed: int,
    lags: npt.NDArray[np.int64],
    active: float,
) -> list[tuple[int, int, int]]:
    """Rows of first frame, frame after the last, lag (0: zeros). `active` 0: there is noise, and it proves by itself
    that zeros and repetitions are none of its own; else zeros count where dry is louder, repetitions where it differs.
    """
    frames, channels = returned.shape
    found = [(0, 0, 0) for _ in range(0)]
    for channel in range(channels):
        n, stride = 0, zeros_needed[channel]  # a run that is long enough holds a multiple of its least length
        while n < frames:
            if returned[n, channel] == 0:
                begin, end = n, n + 1
                while begin > 0 and returned[begin - 1, channel] == 0:
                    begin -= 1
                while end < frames and returned[end, channel] == 0:
                    end += 1
                sounds = active == 0
                for i in range(begin, end):
                    sounds = sounds or abs(sent[i, channel]) > active
                if end - begin >= stride and sounds:
                    found.append((begin, end, 0))
                n = end - end % stride
            n += stride
    for lag in lags:
        n = -(-lag // repeats_needed) * repeats_needed
        while n < frames:
            if returned[n, 0] == returned[n - lag, 0] and _repeats(returned, n, lag):
                begin, end = n, n + 1
                while begin > lag and _repeats(returned, begin - 1, lag):
                    begin -= 1
                while end < frames and _repeats(returned, end, lag):
                    end += 1
                differs = active == 0
                for i in range(begin, end):
                    for channel in range(channels):
                        differs = differs or sent[i, channel] != sent[i - lag, channel]
                if end - begin >= repeats_needed and differs:
                    found.append((begin, end, lag))
                n = end - end % repeats_needed
            n += repeats_needed
    return found


def _is_earlier(returned: Float32, n: int, lag: int) -> bool:
    for channel in range(returned.shape[1]):
        if returned[n, channel] != returned[n - lag, channel] or abs(returned[n, channel]) >= CLIPPED:
            return False
    return True


_repeats = numba.njit(cache=True)(_is_earlier)
_compiled = numba.njit(cache=True)(_find_runs)

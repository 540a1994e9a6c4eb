"""The simulated unit: a stereo bus compressor with feedback, fast enough for many takes.

    level   = envelope of the louder channel (instant rise, 5 ms fall) less the present gain reduction, in dB:
              the detector hears what leaves the unit
    wanted  = (ratio - 1) * knee(level - threshold)       so that out = threshold + (in - threshold) / ratio
    reduction follows `wanted`, by the attack when it rises, by the release when it falls

`attack_ms` is the time constant of the closed loop: after a step the reduction reaches 63 % of its end in `attack_ms`
at any ratio. `release_s` is that of the recovery to nothing; the fall of the envelope comes before it (5 ms for each
8.7 dB that the step was above the threshold). At AUTO two branches carry half of the reduction each: one with the
attack and a release of 43 ms, one that takes 1 s to fill and 5.1 s to empty, so peaks recover at once and long loud
passages slowly.

Levels: 0 dB of `threshold_db` is digital full scale at the send, after the boost. Songs peak at -7 dBFS there, so the
positions -40 to 0 of the shipped bus compressor are heavy but plausible: its grid of -28 to -16 works 9 to 21 dB
below the peaks. Loop form after Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design", JAES 60(6),
2012, section 2; the branches of AUTO after published readings of the unit's release network.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32

ENVELOPE_FALL_S = 0.005
AUTO_FAST_S, AUTO_SLOW_S, AUTO_FILL_S = 0.043, 5.1, 1.0
AUTO_SHARE = 0.5  # of the reduction that the fast branch carries
KNEE_DB = 6.0

State = npt.NDArray[np.float64]  # (3,): envelope, reduction of the first and of the slow branch in dB


def rested_state() -> State:
    """The state of a unit that has heard nothing for long."""
    return np.zeros(3)


def compress(
    audio: Float32,
    sample_rate: int,
    *,
    threshold_db: float,
    ratio: float,
    attack_ms: float,
    release_s: float | None,
    makeup_db: float = 0.0,
    knee_db: float = KNEE_DB,
    state: State | None = None,
) -> tuple[Float32, Float32]:
    """The compressed audio `(frames, channels)` and the gain in dB `(frames,)` that compression applied, 0 or less,
    without make-up. `release_s` None is AUTO. `state` is brought forward in place, so that a stream may be cut
    anywhere: the pieces are equal to the whole, to the last bit."""
    audio = np.ascontiguousarray(audio, np.float32)
    state = rested_state() if state is None else state
    output, gain_db = np.empty_like(audio), np.empty(len(audio), np.float32)

    share = 1.0 if release_s is not None else AUTO_SHARE
    release = AUTO_FAST_S if release_s is None else release_s
    attack_step = _step(attack_ms / 1000, sample_rate) / (1 + share * (ratio - 1))
    steps = np.array(
        [attack_step, _step(release, sample_rate), _step(AUTO_FILL_S, sample_rate), _step(AUTO_SLOW_S, sample_rate)]
    )
    fall = math.exp(-1 / (ENVELOPE_FALL_S * sample_rate))
    _compiled(audio, output, gain_db, state, threshold_db, ratio - 1, knee_db, share, steps, fall, makeup_db)
    return output, gain_db


def static_reduction_db(level_db: float, threshold_db: float, ratio: float, knee_db: float = KNEE_DB) -> float:
    """Gain reduction that a steady `level_db` settles at: the root of reduction = (ratio - 1) knee(level - reduction).

    Inside the knee the equation is quadratic: x + slope (x + half)^2 / (2 knee) = over, for x = output - threshold."""
    over, slope, half = level_db - threshold_db, ratio - 1, knee_db / 2
    if over <= -half or slope == 0:
        return 0.0
    above = over / ratio
    if above >= half:
        return over - above
    root = (math.sqrt(1 + 2 * slope * (over + half) / knee_db) - 1) * knee_db / slope  # x + half
    return over - (root - half)


def _step(time_s: float, sample_rate: int) -> float:
    return -math.expm1(-1 / (time_s * sample_rate))


def _loop(
    audio: Float32,
    output: Float32,
    gain_db: Float32,
    state: State,
    threshold_db: float,
    slope: float,
    knee_db: float,
    share: float,
    steps: npt.NDArray[np.float64],
    fall: float,
    makeup_db: float,
) -> None:
    """Sample by sample, in double precision: reduction of one sample is what the next one's detector sees."""
    attack, release, fill, empty = steps
    envelope, first, slow = state
    half = knee_db / 2
    frames, channels = audio.shape
    for n in range(frames):
        loudest = 0.0
        for channel in range(channels):
            loudest = max(loudest, abs(audio[n, channel]))
        envelope = max(loudest, envelope * fall, 1e-10)
        over = 20 * math.log10(envelope) - first - slow - threshold_db
        if over <= -half:
            wanted = 0.0
        elif over < half:
            wanted = slope * (over + half) ** 2 / (2 * knee_db)
        else:
            wanted = slope * over
        target = share * wanted
        first += (attack if target > first else release) * (target - first)
        target = wanted - target
        slow += (fill if target > slow else empty) * (target - slow)
        if first + slow < 1e-12:
            first, slow = 0.0, 0.0
        gain_db[n] = -(first + slow)
        gain = 10 ** ((makeup_db - first - slow) / 20)
        for channel in range(channels):
            output[n, channel] = audio[n, channel] * gain
    state[0], state[1], state[2] = envelope, first, slow


_compiled = numba.njit(cache=True)(_loop)  # compiled at the first call

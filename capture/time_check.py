"""Did the return keep time? Samples lost or inserted, two clocks, a latency that is not that of the stream.

The chirps before and after the song tell the sum to 1e-3 sample, the track of the delay along the song tells where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..manifests.pcm import Float32
from .latency import delay_by_fraction
from .reasons import Reason
from .tracking import FOLLOWED, DelayTrack, Slip, drift_ppm, slips

CLOCK_DRIFT_SAMPLES = 0.1  # between the chirps; one clock leaves 2e-4
SLIP_SAMPLES, WHOLE_SAMPLES = 0.5, 0.1  # a slip is a whole number of samples
EXPLAINED = 0.3  # of the drift: so far off may the slope of the track be that explains it
LATENCY_JUMP_SAMPLES = 0.5
NAMED_SLIPS = 3
PROOF_FRAMES, PROOF_AFTER_S = 32_768, 0.45  # looked at after a slip that the chirps do not confirm
PROOF_BETTER, PROOF_LEAST = 0.05, 0.5  # correlation with the delay after the slip, re that before it and at all


@dataclass(frozen=True)
class Timing:
    """How the delay went along a song."""

    slips: tuple[Slip, ...]
    ppm: float | None  # slope of the delay; None for a song too short or too quiet to say
    jump_samples: float | None  # largest departure from the delay of the chirp before the song


def timing_of(track: DelayTrack, fraction: float) -> Timing:
    """The timing of a song whose chirp says that it lags by `fraction` of a sample."""
    sure = track.delay_samples[track.coherence > FOLLOWED] - fraction
    jump = float(sure[np.abs(sure).argmax()]) if len(sure) else None
    return Timing(slips(track), drift_ppm(track), jump)


def confirmed(
    timing: Timing, drift_samples: float | None, sent: Float32, returned: Float32, sample_rate: int, fraction: float
) -> Timing:
    """`timing` with the slips that can be believed: the only one, where it is what the chirps say; else those after
    which the waveform fits better when it is moved. Tones, whose phase says little about delay, hold false ones."""
    only = len(timing.slips) == 1 and drift_samples is not None and round(drift_samples) == timing.slips[0].samples
    if only or not timing.slips:
        return timing
    believed: list[Slip] = []
    for slip in timing.slips:
        start = round((slip.at_s + PROOF_AFTER_S) * sample_rate)
        before = _sum(believed)
        as_before, moved = (_likeness(sent, returned, start, before + more, fraction) for more in (0, slip.samples))
        if moved > max(as_before + PROOF_BETTER, PROOF_LEAST):
            believed.append(slip)
    return replace(timing, slips=tuple(believed))


def _likeness(sent: Float32, returned: Float32, start: int, delay: int, fraction: float) -> float:
    """Correlation, over all channels, of the second differences of what was sent `delay` + `fraction` before and of
    what returned in the second after `start`."""
    begin, end = max(start, delay), min(start + PROOF_FRAMES, len(returned), len(sent) + delay)
    if end - begin < PROOF_FRAMES // 8:
        return 0.0
    x = np.diff(delay_by_fraction(sent[begin - delay : end - delay], fraction), 2, axis=0)
    y = np.diff(returned[begin:end], 2, axis=0)
    return float(np.sum(x * y) / np.sqrt(np.sum(x**2) * np.sum(y**2) + 1e-30))


def _sum(found: Sequence[Slip]) -> int:
    return sum(slip.samples for slip in found)


def time_alarms(timing: Timing, drift_samples: float | None, apart_samples: int) -> dict[Reason, str]:
    """The reasons against a song with this timing. `drift_samples`: delay of the chirp after the song minus that of
    the one before, `apart_samples` earlier; None where a chirp is missing."""
    alarms: dict[Reason, str] = {}
    slope = 0.0 if timing.ppm is None else timing.ppm * 1e-6 * apart_samples
    if drift_samples is not None:
        if abs(drift_samples) > CLOCK_DRIFT_SAMPLES and abs(slope - drift_samples) < EXPLAINED * abs(drift_samples):
            return {Reason.CLOCK_DRIFT: f"{drift_samples:+.2f} samples along the take ({timing.ppm:+.2f} ppm)"}
        rest = drift_samples - _sum(timing.slips)
        if abs(rest) > SLIP_SAMPLES and abs(rest - round(rest)) < WHOLE_SAMPLES:
            alarms[_slip_reason(rest)] = f"{abs(round(rest))} samples {_verb(rest)} between the chirps"
        elif abs(rest) > CLOCK_DRIFT_SAMPLES:
            alarms[Reason.CLOCK_DRIFT] = f"{rest:+.2f} samples along the take"
    for reason in (Reason.LOST_SAMPLES, Reason.INSERTED_SAMPLES):
        those = [slip for slip in timing.slips if _slip_reason(slip.samples) is reason]
        told = [f"{abs(slip.samples)} samples {_verb(slip.samples)} at {slip.at_s:.1f} s" for slip in those]
        if told:
            more = f" and {len(told) - NAMED_SLIPS} times more" if len(told) > NAMED_SLIPS else ""
            alarms[reason] = ", ".join(told[:NAMED_SLIPS]) + more
    return alarms


def latency_alarm(latency_samples: float, expected_samples: float | None) -> str | None:
    """What is wrong when the latency is not that of the takes before in the same stream, within half a sample."""
    if expected_samples is None or abs(latency_samples - expected_samples) <= LATENCY_JUMP_SAMPLES:
        return None
    return f"latency of {latency_samples:.2f} samples, {latency_samples - expected_samples:+.2f} re the takes before"


def _slip_reason(samples: float) -> Reason:
    return Reason.LOST_SAMPLES if samples < 0 else Reason.INSERTED_SAMPLES


def _verb(samples: float) -> str:
    return "lost" if samples < 0 else "inserted"

"""Latency by a known probe: whole samples by correlation, the fraction by phase slope, with its uncertainty.

Positive latency means wet lags dry. Nothing is resampled. The fraction is the slope through the origin of the phase
between 2 and 15 kHz, fitted together with the 1 / frequency that coupling high-passes add to it (alone, one of 5 Hz
would move the delay by 6e-4 sample; a free intercept by 7e-3). Where a low-pass bends the phase, too, what that may
hide is part of the stated standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from ..manifests.pcm import Float32

BAND_HZ = (2_000.0, 15_000.0)
LEAST_CORRELATION = 0.5  # in the band; noise reaches 0.04 by chance, a probe 5 dB under noise 0.5
GUARD_FRAMES = 64  # silence beside the probe that is looked at with it, for the ends of a fractional delay
SIGNIFICANT = 4.0  # standard deviations, below which a bend of the phase is noise
BANDS = 24  # between which what is not noise would not average out
KERNEL_HALF_FRAMES = 64
KERNEL_BETA = 10.0  # Kaiser window: 100 dB of stop band


@dataclass(frozen=True)
class Latency:
    """Where the probe was found, and how well."""

    samples: float  # positive: the return lags the send
    std_samples: float  # standard deviation of `samples`, from the scatter of the phase around its line
    gain_db: float  # level of the probe in the return re the send, 2-15 kHz
    inverted: bool  # the return has the opposite polarity
    snr_db: float  # probe over everything else, 2-15 kHz
    bend_samples: float = 0.0  # what a low-pass that bends the phase may hide, 0 if noise explains it; part of the std


def measure_latency(
    recorded: npt.NDArray[np.floating], probe: Float32, search_frames: int, sample_rate: int
) -> Latency | None:
    """How late `probe` begins in `recorded` (frames,), 0 to `search_frames`; None if it is not there.

    Phase errors of single frequencies have a variance inverse to the probe's energy there, so that energy is the
    weight; the straight line's standard deviation follows from the weighted residual. It reaches the Cramer-Rao
    bound of the band (1.2e-5 samples at 60 dB SNR of the whole probe)."""
    heard = np.asarray(recorded[: search_frames + len(probe) + GUARD_FRAMES], np.float32)
    sent = np.asarray(probe, np.float32)
    size = fft.next_fast_len(max(len(heard), search_frames + len(sent)), real=True)  # lags searched do not wrap
    product = fft.rfft(heard, size) * np.conj(fft.rfft(sent, size))
    product[~_in_band(size, sample_rate)] = 0
    correlation = fft.irfft(product, size)[: search_frames + 1]
    whole = int(np.abs(correlation).argmax())
    sign = np.sign(correlation[whole])
    if abs(sign) != 1:  # silence, or not a number
        return None

    size = fft.next_fast_len(len(sent) + 2 * GUARD_FRAMES, real=True)
    first = max(0, GUARD_FRAMES - whole)  # of the window, where the recording begins
    window, reference_window = np.zeros((2, size))
    piece = recorded[max(0, whole - GUARD_FRAMES) : whole + len(sent) + GUARD_FRAMES]
    window[first : first + len(piece)] = piece
    reference_window[GUARD_FRAMES : GUARD_FRAMES + len(sent)] = sent
    band = _in_band(size, sample_rate)
    omega = 2 * np.pi * fft.rfftfreq(size)[band]  # rad per sample
    reference, returned = fft.rfft(reference_window)[band], sign * fft.rfft(window)[band]
    weight = np.abs(reference) ** 2
    reach = omega / omega.mean()
    shapes = np.stack([-omega, 1 / reach, reach**3])  # of the phase: of a delay, a coupling high-pass, a low-pass
    normal = np.linalg.inv((weight * shapes[:2]) @ shapes[:2].T)
    fitted = np.zeros(2)
    product = returned * np.conj(reference)
    for _ in range(4):  # each round unwraps what the last one left
        phase = np.angle(product * np.exp(-1j * (fitted @ shapes[:2])))
        fitted += normal @ (shapes[:2] @ (weight * phase))
    fraction = float(fitted[0])
    phase = np.angle(product * np.exp(-1j * (fitted @ shapes[:2])))
    wider = np.linalg.inv((weight * shapes) @ shapes.T)
    further = wider @ (shapes @ (weight * phase))
    phase -= further @ shapes
    scatter = np.sum(weight * phase**2) / (len(omega) - 3)
    pull = normal[0] @ shapes[:2] * weight * phase  # of every frequency on the delay
    bands = np.add.reduceat(pull, np.linspace(0, len(pull), BANDS, endpoint=False).astype(int))
    variance = max(scatter * normal[0, 0], np.sum(bands**2) * BANDS / (BANDS - 3))
    bend = float(further[0])  # what a low-pass in the model would change
    if bend**2 < SIGNIFICANT**2 * max(scatter * (wider[0, 0] - normal[0, 0]), variance):
        bend = 0.0

    aligned = returned * np.exp(1j * omega * fraction)
    gain = float(np.sum((aligned * np.conj(reference)).real) / np.sum(weight))
    found, rest = gain**2 * np.sum(weight), np.sum(np.abs(aligned - gain * reference) ** 2)
    if gain <= 0 or found < LEAST_CORRELATION**2 * (found + rest):
        return None
    snr_db = float(10 * np.log10(found / max(rest, 1e-20 * found)))
    std = float(np.sqrt(variance + bend**2))
    return Latency(whole + fraction, std, float(20 * np.log10(gain)), bool(sign < 0), snr_db, bend)


@dataclass(frozen=True)
class Delay:
    """A delay from several chirps, or between two paths."""

    samples: float
    noise_samples: float  # standard deviation that noise and the disagreement of the chirps leave
    bend_samples: float = 0.0  # as in `Latency`

    @property
    def std_samples(self) -> float:
        """Standard deviation with all that is known to be uncertain."""
        return float(np.hypot(self.noise_samples, self.bend_samples))


def combined(latencies: Sequence[Latency]) -> Delay:
    """The delay of one path from all its chirps (channels, head and tail), weighted by their certainty. Where they
    disagree by more than they state, as channels of an analog unit do, that is part of the uncertainty."""
    samples = np.array([latency.samples for latency in latencies])
    bends = np.array([latency.bend_samples for latency in latencies])
    stds = np.array([latency.std_samples for latency in latencies])
    weights = 1 / np.maximum(stds**2 - bends**2, 1e-18)
    mean = float(np.average(samples, weights=weights))
    excess = float(np.sum(weights * (samples - mean) ** 2)) / max(1, len(samples) - 1)
    noise = np.sqrt(max(1.0, excess) / weights.sum())
    return Delay(mean, float(noise), float(np.average(bends, weights=weights)))


def own_delay(unit: Delay, loopback: Delay) -> Delay:
    """What the unit alone adds: its delay less that of the loopback pair in the same stream, which is the round trip
    of the converters. The bend that both share goes with it."""
    return Delay(
        unit.samples - loopback.samples,
        float(np.hypot(unit.noise_samples, loopback.noise_samples)),
        unit.bend_samples - loopback.bend_samples,
    )


def fractional_kernel(fraction: float) -> npt.NDArray[np.float64]:
    """Filter that delays by `KERNEL_HALF_FRAMES + fraction` samples, -0.5 to 1: a sinc under a Kaiser window that is
    centred with it, so its phase is a straight line as far as the window lets frequencies pass (0.92 of Nyquist)."""
    time = np.arange(-KERNEL_HALF_FRAMES, KERNEL_HALF_FRAMES + 2) - fraction
    inside = np.clip(1 - (time / (KERNEL_HALF_FRAMES + 1)) ** 2, 0, None)
    return np.asarray(np.sinc(time) * np.i0(KERNEL_BETA * np.sqrt(inside)) / np.i0(KERNEL_BETA), np.float64)


def delay_by_fraction(audio: Float32, fraction: float) -> Float32:
    """`audio` (frames, channels) later by `fraction` of a sample, same frames. For comparing in memory only."""
    kernel = np.asarray(fractional_kernel(fraction), np.float32)[:, None]
    filtered = signal.oaconvolve(audio, kernel, axes=0)
    return np.asarray(filtered[KERNEL_HALF_FRAMES : KERNEL_HALF_FRAMES + len(audio)], np.float32)


def _in_band(size: int, sample_rate: int) -> npt.NDArray[np.bool_]:
    frequency_hz = fft.rfftfreq(size, 1 / sample_rate)
    return np.asarray((frequency_hz >= BAND_HZ[0]) & (frequency_hz <= BAND_HZ[1]))

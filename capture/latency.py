"""Latency by a known probe: whole samples by correlation, the fraction by phase slope, with its uncertainty.

Positive latency means wet lags dry. Nothing is resampled. The fraction is the slope through the origin of the phase
between 2 and 15 kHz: coupling high-passes bend the phase below, converters' low-passes above, and a free intercept
would trade the one for the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from ..manifests.pcm import Float32

BAND_HZ = (2_000.0, 15_000.0)
LEAST_CORRELATION = 0.5  # in the band; noise reaches 0.04 by chance, a probe 5 dB under noise 0.5
GUARD_FRAMES = 64  # silence beside the probe that is looked at with it, for the ends of a fractional delay
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


def measure_latency(
    recorded: npt.NDArray[np.floating], probe: Float32, search_frames: int, sample_rate: int
) -> Latency | None:
    """How late `probe` begins in `recorded` (frames,), 0 to `search_frames`; None if it is not there.

    Phase errors of single frequencies have a variance inverse to the probe's energy there, so that energy is the
    weight; the straight line's standard deviation follows from the weighted residual. It reaches the Cramer-Rao
    bound of the band (1.2e-5 samples at 60 dB SNR of the whole probe)."""
    heard = np.asarray(recorded[: search_frames + len(probe) + GUARD_FRAMES], np.float64)
    sent = np.asarray(probe, np.float64)
    size = fft.next_fast_len(len(heard) + len(sent), real=True)
    product = fft.rfft(heard, size) * np.conj(fft.rfft(sent, size))
    product[~_in_band(size, sample_rate)] = 0
    correlation = fft.irfft(product, size)[: search_frames + 1]
    whole = int(np.abs(correlation).argmax())
    sign = np.sign(correlation[whole])
    if abs(sign) != 1:  # silence, or not a number
        return None

    padded = np.pad(heard, (GUARD_FRAMES, 2 * GUARD_FRAMES + len(sent)))
    window = padded[whole : whole + len(sent) + 2 * GUARD_FRAMES]
    band = _in_band(len(window), sample_rate)
    omega = 2 * np.pi * fft.rfftfreq(len(window))[band]  # rad per sample
    reference = fft.rfft(np.pad(sent, GUARD_FRAMES))[band]
    returned = sign * fft.rfft(window)[band]
    weight = np.abs(reference) ** 2
    fraction = 0.0
    for _ in range(4):  # each round unwraps what the last one left
        phase = np.angle(returned * np.conj(reference) * np.exp(1j * omega * fraction))
        fraction -= float(np.sum(weight * omega * phase) / np.sum(weight * omega**2))
    phase = np.angle(returned * np.conj(reference) * np.exp(1j * omega * fraction))
    variance = np.sum(weight * phase**2) / (len(omega) - 1) / np.sum(weight * omega**2)

    aligned = returned * np.exp(1j * omega * fraction)
    gain = float(np.sum((aligned * np.conj(reference)).real) / np.sum(weight))
    found, rest = gain**2 * np.sum(weight), np.sum(np.abs(aligned - gain * reference) ** 2)
    if gain <= 0 or found < LEAST_CORRELATION**2 * (found + rest):
        return None
    snr_db = float(10 * np.log10(found / max(rest, 1e-20 * found)))
    return Latency(whole + fraction, float(np.sqrt(variance)), float(20 * np.log10(gain)), bool(sign < 0), snr_db)


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

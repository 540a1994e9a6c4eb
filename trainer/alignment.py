"""Polarity, lag and gain of an output against its target: what fakes or ruins every other number.

An inverted output has an excellent STFT distance and an ESR near 4; one that is a sample late or 1 dB loud is charged
with errors that have nothing to do with compression. So each of the three is told beside the errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from ..manifests.pcm import Float32

WINDOW_FRAMES = 65_536  # that are listened to: where the target is loudest
MOST_LAG_SAMPLES = 4_096
SEGMENT_FRAMES = 4_096  # over which coherence is averaged
CLEAR = 0.2  # of 1: less than this resembles nothing, so that it has neither lag nor polarity


@dataclass(frozen=True)
class Alignment:
    """`polarity` 1 or -1; `lag_samples` positive: the output lags the target."""

    polarity: int
    lag_samples: float


def measure_alignment(output: Float32, target: Float32) -> Alignment | None:
    """How `output` lies on `target`, both (frames, channels). None where either is silent or nothing resembles.

    The whole samples are the top of the cross-correlation of their slopes (music has most of its energy where a
    correlation has no sharp top), polarity is its sign there. The fraction is the slope of the phase of the cross
    spectrum, each bin weighted as its coherence allows (E. Hannan and P. Thomson, "Estimating group delay", 1973).
    """
    begin = loudest(target, WINDOW_FRAMES)
    there, here = (np.diff(audio[begin : begin + WINDOW_FRAMES], axis=0) for audio in (target, output))
    norm = float(np.sqrt(np.vdot(here, here) * np.vdot(there, there)))
    if not norm > 0:
        return None
    length = scipy.fft.next_fast_len(2 * len(here), real=True)
    spectra = np.conj(scipy.fft.rfft(there, length, axis=0)) * scipy.fft.rfft(here, length, axis=0)
    correlation = scipy.fft.irfft(spectra.sum(axis=1), length) / norm
    most = min(MOST_LAG_SAMPLES, len(here) - 1)
    lags = np.arange(-most, most + 1)
    top = int(np.abs(correlation[lags]).argmax())
    whole, resemblance = int(lags[top]), float(correlation[lags[top]])
    if abs(resemblance) < CLEAR:
        return None
    polarity = 1 if resemblance > 0 else -1
    late, early = (here[whole:], there[: len(there) - whole]) if whole >= 0 else (here[:whole], there[-whole:])
    return Alignment(polarity, whole + _fraction(polarity * late, early))


def loudest(audio: Float32, frames: int) -> int:
    """First frame of the `frames` with the most energy, on a grid of half of them; 0 where the audio is shorter."""
    starts = range(0, max(len(audio) - frames, 0) + 1, max(frames // 2, 1))
    return max(starts, key=lambda start: float(np.sum(np.square(audio[start : start + frames], dtype=np.float64))))


def _fraction(late: npt.NDArray[np.floating], early: npt.NDArray[np.floating]) -> float:
    """What is left of the lag, in samples, between -1 and 1."""
    size = min(SEGMENT_FRAMES, len(late))
    window = np.hanning(size)[:, None]
    cross, power_late, power_early = (np.zeros(size // 2 + 1, kind) for kind in (np.complex128, float, float))
    for start in range(0, len(late) - size + 1, max(size // 2, 1)):
        a = scipy.fft.rfft(early[start : start + size] * window, axis=0)
        b = scipy.fft.rfft(late[start : start + size] * window, axis=0)
        cross += (np.conj(a) * b).sum(axis=1)
        power_early += np.square(np.abs(a)).sum(axis=1)
        power_late += np.square(np.abs(b)).sum(axis=1)
    coherence = np.square(np.abs(cross)) / np.maximum(power_early * power_late, 1e-300)
    weight = coherence / (1.0 + 1e-6 - np.minimum(coherence, 1.0))
    omega = 2 * np.pi * np.arange(len(cross)) / size
    slope = np.sum(weight * omega * np.angle(cross)) / max(float(np.sum(weight * omega**2)), 1e-300)
    return float(np.clip(-slope, -1.0, 1.0))

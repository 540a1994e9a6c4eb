"""How far wet lies behind dry, by cross-correlation of one window: a cheap proof of alignment that needs no probe.

Both are differentiated first. Music has most of its energy below 200 Hz, where a correlation has no sharp top and where
transformers and coupling capacitors turn the phase; its slope has neither fault. A compressor changes levels, not
times, so the top stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from .pcm import Float32

CLEAR = 0.2  # of 1: songs that have nothing to do with each other reach 0.05, takes of a unit 0.66


@dataclass(frozen=True)
class Lag:
    """Where two windows fit best."""

    samples: int  # positive: wet lags dry
    resemblance: float  # |correlation| there, 0 to 1
    correlation: npt.NDArray[np.float32]  # (frames,) of every lag, magnitudes in FFT order: negative lags from the end

    def resemblance_near(self, lag_samples: float, tolerance_samples: int) -> float:
        """Best |correlation| within `tolerance_samples` of `lag_samples`, 0 to 1."""
        lags = round(lag_samples) + np.arange(-tolerance_samples, tolerance_samples + 1)
        return float(self.correlation[lags % len(self.correlation)].max())


def measure_lag(dry: Float32, wet: Float32) -> Lag | None:
    """The lag of `wet` behind `dry`, both `(frames, channels)` of one window, found up to +- its length.

    None when either is silent. Inverted polarity changes nothing."""
    dry_slope, wet_slope = np.diff(dry, axis=0), np.diff(wet, axis=0)
    norm = float(np.sqrt(np.vdot(dry_slope, dry_slope) * np.vdot(wet_slope, wet_slope)))
    if not norm > 0:
        return None
    length = scipy.fft.next_fast_len(2 * len(dry_slope), real=True)
    spectra = np.conj(scipy.fft.rfft(dry_slope, length, axis=0)) * scipy.fft.rfft(wet_slope, length, axis=0)
    correlation = np.abs(scipy.fft.irfft(spectra.sum(axis=1), length)).astype(np.float32) / np.float32(norm)
    top = int(correlation.argmax())
    return Lag(top if top <= length // 2 else top - length, float(correlation[top]), correlation)

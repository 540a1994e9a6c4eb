"""How far an output is from the target, per take. All audio is (frames, channels), on the stored scale.

mae (the papers' l1), mse
esr       sum of squared error over sum of squared target
esr_dc    esr after the pre-emphasis 1 - 0.85 z^-1, plus squared mean error over mean squared target
          (Wright and Valimaki, Perceptual loss function for neural modeling of audio systems, 2020)
mstft     multi-resolution STFT distance, spectral convergence over the whole take
lufs_difference_db    absolute difference of integrated loudness
gain_trace_rmse_db    the compressor's real job: root mean square difference of wet / dry gain in 10 ms windows, per
                      channel, where dry is above -50 dBFS
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..manifests.levels import loudness_lufs
from ..manifests.pcm import Float32
from .loss import RESOLUTIONS, magnitudes_in_parts

PRE_EMPHASIS = 0.85
WINDOW_S = 0.010
AUDIBLE_DBFS = -50.0
FLOOR_DBFS = -120.0  # of a window's level, so that a silent output has a finite gain
TINY = 1e-20  # keeps ratios finite where the target is silent
METRICS = ("l1", "mae", "mse", "esr", "esr_dc", "mstft", "lufs_difference_db", "gain_trace_rmse_db")
Metrics = dict[str, float | None]


def measure(outputs: Sequence[Float32], target: Float32, dry: Float32, sample_rate: int) -> list[Metrics]:
    """Every metric of each of `outputs` against `target`. Where it is not defined (loudness of less than 0.4 s, no
    audible window) it is None. Several outputs share the target's spectra, which are the costly part."""
    distances = mstft_distances(outputs, target)
    loudness = loudness_lufs(target, sample_rate)
    measured: list[Metrics] = []
    for output, distance in zip(outputs, distances, strict=True):
        error = np.asarray(output, np.float64) - target
        absolute, emphasised = float(np.mean(np.abs(error))), pre_emphasis(target.astype(np.float64))
        other = None if loudness is None else loudness_lufs(output, sample_rate)
        measured.append(
            {
                "l1": absolute,
                "mae": absolute,
                "mse": float(np.mean(error**2)),
                "esr": _ratio(error, target),
                "esr_dc": _ratio(pre_emphasis(error), emphasised) + _dc(error, target),
                "mstft": distance,
                "lufs_difference_db": None if loudness is None or other is None else abs(other - loudness),
                "gain_trace_rmse_db": gain_trace_rmse_db(output, target, dry, sample_rate),
            }
        )
    return measured


def pre_emphasis(audio: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`audio` through 1 - 0.85 z^-1."""
    filtered = audio.copy()
    filtered[1:] -= PRE_EMPHASIS * audio[:-1]
    return filtered


def _ratio(error: npt.NDArray[np.float64], target: npt.NDArray[np.floating]) -> float:
    return float(np.sum(error**2) / max(float(np.sum(np.asarray(target, np.float64) ** 2)), TINY))


def _dc(error: npt.NDArray[np.float64], target: Float32) -> float:
    return float(np.mean(error)) ** 2 / max(float(np.mean(np.asarray(target, np.float64) ** 2)), TINY)


@torch.no_grad()
def mstft_distances(outputs: Sequence[Float32], target: Float32) -> list[float]:
    """Multi-resolution STFT distance of each of `outputs` to `target`: `loss.mstft` with the channels as a batch."""

    def tensor(audio: Float32) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(audio.T, np.float32))

    signals = [tensor(audio) for audio in (target, *outputs)]
    totals = np.zeros(len(outputs))
    for resolution in RESOLUTIONS:
        energy, count = 0.0, 0
        squares, logarithms = np.zeros(len(outputs)), np.zeros(len(outputs))
        for wanted, *found in zip(*(magnitudes_in_parts(signal, resolution) for signal in signals), strict=True):
            energy += float(wanted.square().sum())
            count += wanted.numel()
            logarithm = wanted.log()
            for i, magnitude in enumerate(found):
                squares[i] += float((magnitude - wanted).square().sum())
                logarithms[i] += float(magnitude.log_().sub_(logarithm).abs_().sum())
        totals += np.sqrt(squares / energy) + logarithms / count
    return [float(total) for total in totals / len(RESOLUTIONS)]


def gain_trace_db(audio: Float32, dry: Float32, sample_rate: int) -> npt.NDArray[np.float64]:
    """Gain from `dry` to `audio` in dB, (windows, channels) of 10 ms; NaN where dry is below -50 dBFS."""
    levels = _levels_dbfs(dry, sample_rate)
    gain_db: npt.NDArray[np.float64] = np.where(
        levels > AUDIBLE_DBFS, _levels_dbfs(audio, sample_rate) - levels, np.nan
    )
    return gain_db


def gain_trace_rmse_db(output: Float32, target: Float32, dry: Float32, sample_rate: int) -> float | None:
    """Root mean square difference of two gain traces, None where no window is audible."""
    difference = gain_trace_db(output, dry, sample_rate) - gain_trace_db(target, dry, sample_rate)
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt(np.mean(difference**2))) if difference.size else None


def _levels_dbfs(audio: Float32, sample_rate: int) -> npt.NDArray[np.float64]:
    """RMS level in dB of (windows, channels); an incomplete last window is left out."""
    length = round(WINDOW_S * sample_rate)
    windows = audio[: len(audio) // length * length].reshape(-1, length, audio.shape[1])
    power = np.mean(np.square(windows, dtype=np.float64), axis=1)
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10)))
    return levels

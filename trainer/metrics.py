"""How far an output is from the target, per take. All audio is (frames, channels), on the stored scale.

mae (the papers' l1), mse
esr       sum of squared error over sum of squared target
esr_dc    esr after the pre-emphasis 1 - 0.85 z^-1, plus squared mean error over mean squared target
          (Wright and Valimaki, Perceptual loss function for neural modeling of audio systems, 2020)
mstft     multi-resolution STFT distance, spectral convergence over the whole take
lufs_difference_db    absolute difference of integrated loudness
gain_trace_rmse_db    the compressor's real job: root mean square difference of wet / dry gain in 10 ms windows, per
                      channel, where dry is above -50 dBFS
gain_trace_cv_rmse_db the same against the recorded gain-control voltage, where there is one
polarity, lag_samples, gain_offset_db     how the output lies on the target, see `alignment`

Everything but the spectra of one channel is computed block by block, so that a take of four minutes costs little more
memory than its audio.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..manifests.levels import db, loudness_lufs
from ..manifests.pcm import Float32
from .alignment import measure_alignment
from .gain_trace import gain_trace_db, trace_rmse_db, voltage_trace_db
from .loss import RESOLUTIONS, magnitudes_in_parts

PRE_EMPHASIS = 0.85
BLOCK_FRAMES = 1 << 17
TINY = 1e-20  # keeps ratios finite where the target is silent
ERRORS = (
    "l1", "mae", "mse", "esr", "esr_dc", "mstft", "lufs_difference_db", "gain_trace_rmse_db", "gain_trace_cv_rmse_db",
)  # fmt: skip
DIAGNOSTICS = ("polarity", "lag_samples", "gain_offset_db")
METRICS = ERRORS + DIAGNOSTICS
Metrics = dict[str, float | None]
Float64 = npt.NDArray[np.float64]


def measure(
    outputs: Sequence[Float32], target: Float32, dry: Float32, sample_rate: int, cv: Float32 | None = None
) -> list[Metrics]:
    """Every metric of each of `outputs` against `target`. Where it is not defined (loudness of less than 0.4 s, no
    audible window, no `cv`) it is None. Several outputs share the target's spectra, which are the costly part."""
    distances = mstft_distances(outputs, target)
    loudness = loudness_lufs(target, sample_rate)
    gain_db = gain_trace_db(target, dry, sample_rate)
    voltage_db = None if cv is None else voltage_trace_db(cv, gain_db, sample_rate)
    measured: list[Metrics] = []
    for output, distance in zip(outputs, distances, strict=True):
        other = None if loudness is None else loudness_lufs(output, sample_rate)
        trace_db = gain_trace_db(output, dry, sample_rate)
        alignment = measure_alignment(output, target)
        measured.append(
            {
                **sample_errors(output, target),
                "mstft": distance,
                "lufs_difference_db": None if loudness is None or other is None else abs(other - loudness),
                "gain_trace_rmse_db": trace_rmse_db(trace_db, gain_db),
                "gain_trace_cv_rmse_db": None if voltage_db is None else trace_rmse_db(trace_db, voltage_db),
                "polarity": None if alignment is None else alignment.polarity,
                "lag_samples": None if alignment is None else alignment.lag_samples,
            }
        )
    return measured


def sample_errors(output: Float32, target: Float32) -> Metrics:
    """l1, mae, mse, esr, esr_dc and gain_offset_db (level of `output` over that of `target`)."""
    absolute = squared = emphasised = offset = power = target_emphasised = target_power = 0.0
    for begin in range(0, len(target), BLOCK_FRAMES):
        before, end = max(begin - 1, 0), begin + BLOCK_FRAMES
        wanted, found = np.asarray(target[before:end], np.float64), np.asarray(output[before:end], np.float64)
        error, first = found - wanted, begin - before  # the frame before is only for the filter's memory
        emphasised += float(np.sum(pre_emphasis(error)[first:] ** 2))
        target_emphasised += float(np.sum(pre_emphasis(wanted)[first:] ** 2))
        absolute += float(np.sum(np.abs(error[first:])))
        squared += float(np.sum(error[first:] ** 2))
        offset += float(np.sum(error[first:]))
        power += float(np.sum(found[first:] ** 2))
        target_power += float(np.sum(wanted[first:] ** 2))
    count = target.size
    dc = (offset / count) ** 2 / max(target_power / count, TINY)
    mean, heard = absolute / count, power > 0 and target_power > 0
    return {
        "l1": mean,
        "mae": mean,
        "mse": squared / count,
        "esr": squared / max(target_power, TINY),
        "esr_dc": emphasised / max(target_emphasised, TINY) + dc,
        "gain_offset_db": db((power / target_power) ** 0.5) if heard else None,
    }


def pre_emphasis(audio: Float64) -> Float64:
    """`audio` through 1 - 0.85 z^-1."""
    filtered = audio.copy()
    filtered[1:] -= PRE_EMPHASIS * audio[:-1]
    return filtered


@torch.no_grad()
def mstft_distances(outputs: Sequence[Float32], target: Float32) -> list[float]:
    """Multi-resolution STFT distance of each of `outputs` to `target`: `loss.mstft` with the channels as a batch."""
    count = len(RESOLUTIONS)
    energy, bins = np.zeros(count), np.zeros(count)
    squares, logarithms = np.zeros((len(outputs), count)), np.zeros((len(outputs), count))
    for channel in range(target.shape[1]):
        signals = [torch.from_numpy(np.ascontiguousarray(audio[None, :, channel])) for audio in (target, *outputs)]
        for place, resolution in enumerate(RESOLUTIONS):
            for wanted, *found in zip(*(magnitudes_in_parts(signal, resolution) for signal in signals), strict=True):
                energy[place] += float(wanted.square().sum())
                bins[place] += wanted.numel()
                logarithm = wanted.log()
                for i, magnitude in enumerate(found):
                    squares[i, place] += float((magnitude - wanted).square().sum())
                    logarithms[i, place] += float(magnitude.log_().sub_(logarithm).abs_().sum())
    distances = np.sqrt(squares / energy) + logarithms / bins
    return [float(distance) for distance in distances.mean(axis=1)]

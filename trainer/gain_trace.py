"""The gain of a take over time, in dB, in windows of 10 ms: the compressor's real job.

From the (dry, wet) pair it is the difference of two levels. Where the unit's gain-control voltage was recorded, it is
that: gain in dB is proportional to the voltage of a VCA, and scale and offset are fitted to the pair.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32

WINDOW_S = 0.010
AUDIBLE_DBFS = -50.0
FLOOR_DBFS = -120.0  # of a window's level, so that a silent output has a finite gain
FOLLOWED = 0.9  # share of the gain's variance that a control voltage explains, or it is not this gain's
Trace = npt.NDArray[np.float64]  # (windows, channels)


def window_frames(sample_rate: int) -> int:
    """Length of a window, samples."""
    return round(WINDOW_S * sample_rate)


def levels_dbfs(audio: Float32, sample_rate: int) -> Trace:
    """RMS level in dB of (windows, channels); an incomplete last window is left out."""
    length = window_frames(sample_rate)
    windows = audio[: len(audio) // length * length].reshape(-1, length, audio.shape[1])
    power = np.einsum("wlc,wlc->wc", windows, windows, dtype=np.float64) / length
    levels: Trace = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10)))
    return levels


def gain_trace_db(audio: Float32, dry: Float32, sample_rate: int) -> Trace:
    """Gain from `dry` to `audio` in dB, (windows, channels) of 10 ms; NaN where dry is below -50 dBFS."""
    levels = levels_dbfs(dry, sample_rate)
    gain_db: Trace = np.where(levels > AUDIBLE_DBFS, levels_dbfs(audio, sample_rate) - levels, np.nan)
    return gain_db


def voltage_trace_db(cv: Float32, gain_db: Trace, sample_rate: int) -> Trace | None:
    """The gain that the control voltage `cv` (frames, 1 or as many channels as `gain_db`) tells, as `gain_db` is: the
    straight line through the voltages that fits `gain_db` best. None where they do not lie on a line, as when the
    voltage never moves, or is that of an optical cell, which is not proportional to dB."""
    length = window_frames(sample_rate)
    voltages = cv[: len(cv) // length * length].reshape(-1, length, cv.shape[1]).mean(axis=1, dtype=np.float64)
    if voltages.shape[1] != gain_db.shape[1]:
        voltages = np.repeat(voltages[:, :1], gain_db.shape[1], axis=1)
    heard = np.isfinite(gain_db)
    x, y = voltages[heard], gain_db[heard]
    if not len(x) or not np.var(x) > 0 or not np.var(y) > 0:
        return None
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / np.var(x))
    trace: Trace = np.where(heard, y.mean() + slope * (voltages - x.mean()), np.nan)
    return trace if 1 - np.var(y - trace[heard]) / np.var(y) >= FOLLOWED else None


def trace_rmse_db(trace: Trace, wanted: Trace) -> float | None:
    """Root mean square difference of two traces, None where no window is audible."""
    difference = trace - wanted
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt(np.mean(difference**2))) if difference.size else None


def gain_trace_rmse_db(output: Float32, target: Float32, dry: Float32, sample_rate: int) -> float | None:
    """How far the gain of `output` is from that of `target`, in dB."""
    return trace_rmse_db(gain_trace_db(output, dry, sample_rate), gain_trace_db(target, dry, sample_rate))

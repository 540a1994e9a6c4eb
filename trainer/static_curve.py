"""The best static curve: what a compressor without attack and release could do, fitted to each setting.

Gain is a function of level alone: the RMS of dry in 10 ms, over all channels, as in a stereo-linked detector. The curve
is a straight line between knots 3 dB apart, and its values are the least-squares fit to the gain traces of training
takes, so no other such curve has a smaller gain-trace error on them. Beating it takes memory.

A setting that was never trained on gets the mean of the seen settings' curves, weighted by 1 / distance^(controls + 1)
between their control vectors (D. Shepard, "A two-dimensional interpolation function for irregularly-spaced data",
1968): at a seen setting that is its own curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32
from .gain_trace import FLOOR_DBFS, gain_trace_db, window_frames

KNOTS_DBFS = np.arange(-60.0, 1.0, 3.0)
STRAIGHT = 1e-3  # weight of the curve's bends against its errors: where nothing was heard it goes straight on
BLOCK_WINDOWS = 1000
Curve = npt.NDArray[np.float64]  # (knots,) gain in dB at KNOTS_DBFS


@dataclass
class CurveFit:
    """The normal equations of one setting's curve; takes are added one by one."""

    squares: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(KNOTS_DBFS),) * 2))
    products: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(KNOTS_DBFS)))

    def add(self, dry: Float32, wet: Float32, sample_rate: int) -> None:
        """One take, both (frames, channels)."""
        gain_db = gain_trace_db(wet, dry, sample_rate)
        heard = np.isfinite(gain_db)
        counts, sums = heard.sum(axis=1), np.where(heard, gain_db, 0.0).sum(axis=1)
        hats = _hats(linked_levels_dbfs(dry, sample_rate)[: len(gain_db)])
        self.squares += (hats * counts[:, None]).T @ hats
        self.products += hats.T @ sums

    def curve(self) -> Curve:
        """Gain in dB at each knot; 0 where no take was heard at all."""
        bends = np.diff(np.eye(len(KNOTS_DBFS)), n=2, axis=0)
        straight = STRAIGHT * max(float(np.trace(self.squares)), 1e-12) / len(KNOTS_DBFS)
        solved = np.linalg.lstsq(self.squares + straight * bends.T @ bends, self.products, rcond=None)[0]
        return np.asarray(solved, np.float64)


@dataclass(frozen=True)
class StaticCurves:
    """A curve for every setting that was trained on, and where these settings lie: control vectors by setting_id."""

    curves: Mapping[str, Curve]
    places: Mapping[str, Float32]

    def at(self, setting_id: str, controls: Float32) -> Curve:
        """The curve of a setting, seen or not, whose control vector is `controls`."""
        if setting_id in self.curves:
            return self.curves[setting_id]
        names = list(self.curves)
        distances = np.linalg.norm(np.stack([self.places[name] for name in names]) - controls, axis=1)
        weights = 1 / np.maximum(distances, 1e-6) ** (len(controls) + 1)
        mixed: Curve = np.tensordot(weights / weights.sum(), np.stack([self.curves[name] for name in names]), axes=1)
        return mixed


def apply_curve(curve: Curve, dry: Float32, sample_rate: int) -> Float32:
    """`dry` (frames, channels) with the gain of `curve`, one for all channels, going straight from the middle of each
    window to that of the next."""
    length = window_frames(sample_rate)
    gain_db = np.interp(linked_levels_dbfs(dry, sample_rate), KNOTS_DBFS, curve)
    middles = (np.arange(len(gain_db)) + 0.5) * length
    output = np.empty_like(dry)
    for block in _blocks(len(dry), BLOCK_WINDOWS * length):
        gain = np.interp(np.arange(block.start, block.stop) + 0.5, middles, gain_db)
        output[block] = dry[block] * (10 ** (gain / 20)).astype(np.float32)[:, None]
    return output


def linked_levels_dbfs(dry: Float32, sample_rate: int) -> npt.NDArray[np.float64]:
    """RMS level over all channels of each window (windows,), an incomplete last one too."""
    length = window_frames(sample_rate)
    starts = np.arange(0, len(dry), length)
    power = np.empty(len(starts))
    for block in _blocks(len(starts), BLOCK_WINDOWS):
        audio = np.square(dry[block.start * length : block.stop * length], dtype=np.float64).mean(axis=1)
        power[block] = np.add.reduceat(audio, starts[block] - starts[block.start])
    power /= np.minimum(length, len(dry) - starts)
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10))))


def _hats(levels_dbfs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much each knot counts at each level, (windows, knots): two neighbours share 1."""
    step = KNOTS_DBFS[1] - KNOTS_DBFS[0]
    held = np.clip(levels_dbfs, KNOTS_DBFS[0], KNOTS_DBFS[-1])[:, None]
    return np.asarray(np.maximum(0.0, 1 - np.abs(held - KNOTS_DBFS) / step))


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))

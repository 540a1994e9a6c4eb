"""Dry and wet, cut into windows of 100 ms: the inner products of all channels, from one pass over the audio.

Everything that compares levels and shapes reads these: gain reduction, silence, swapped, summed or missing channels,
another song. Windows make such measures blind to how the gain moves from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.levels import from_db
from ..manifests.pcm import Float32

WINDOW_S = 0.1
ACTIVE_DBFS = -60.0
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """Inner products of all channels in windows of 100 ms, each `(windows, channels, channels)`."""

    frames: int  # of one window
    dry: Float64
    cross: Float64  # dry x wet
    wet: Float64

    @property
    def active(self) -> npt.NDArray[np.bool_]:
        """Windows in which dry is above -60 dBFS, over all channels."""
        channels = self.dry.shape[1]
        return np.asarray(power(self.dry) > self.frames * channels * from_db(2 * ACTIVE_DBFS))

    @property
    def active_channels(self) -> npt.NDArray[np.bool_]:
        """The same per channel `(windows, channels)`."""
        return np.asarray(np.diagonal(self.dry, axis1=1, axis2=2) > self.frames * from_db(2 * ACTIVE_DBFS))

    def without(self, first: int, end: int) -> Windows:
        """All windows but those from `first` to before `end`."""
        kept = [np.delete(products, slice(first, end), axis=0) for products in (self.dry, self.cross, self.wet)]
        return Windows(self.frames, *kept)


def windows_of(dry: Float32, wet: Float32, sample_rate: int, channel_gains: Float64 | None = None) -> Windows:
    """The windows of `dry` and `wet` (frames, channels); wet divided by `channel_gains` (channels,), which may be
    negative. What is left at the end, under a window, is not looked at; a song under 100 ms is one window."""
    frames = min(len(dry), round(WINDOW_S * sample_rate))
    dry, wet = np.ascontiguousarray(dry, np.float32), np.ascontiguousarray(wet, np.float32)
    products = (_compiled if dry.shape[1] == 2 else _products)(dry, wet, frames)
    scale = np.ones(dry.shape[1]) if channel_gains is None else 1 / channel_gains
    return Windows(frames, products[0], products[1] * scale, products[2] * scale * scale[:, None])


def power(products: Float64) -> Float64:
    """Energy of all channels together, per window."""
    return np.asarray(np.trace(products, axis1=1, axis2=2))


def gain_reduction_db(windows: Windows, static_gain_db: float) -> Float64:
    """Level lost against `static_gain_db` (dry to wet) in every active window, dB, positive."""
    dry, wet = power(windows.dry)[windows.active], power(windows.wet)[windows.active]
    return np.asarray(static_gain_db - 10 * np.log10(np.maximum(wet, 1e-20 * dry) / dry))


def _stereo_products(dry: Float32, wet: Float32, frames: int) -> Float64:
    """(3, windows, 2, 2): dry x dry, dry x wet, wet x wet."""
    products = np.zeros((3, len(dry) // frames, 2, 2))
    for window in range(products.shape[1]):
        d00 = d01 = d11 = x00 = x01 = x10 = x11 = w00 = w01 = w11 = 0.0
        for n in range(window * frames, (window + 1) * frames):
            d0, d1, w0, w1 = np.float64(dry[n, 0]), np.float64(dry[n, 1]), np.float64(wet[n, 0]), np.float64(wet[n, 1])
            d00 += d0 * d0
            d01 += d0 * d1
            d11 += d1 * d1
            x00 += d0 * w0
            x01 += d0 * w1
            x10 += d1 * w0
            x11 += d1 * w1
            w00 += w0 * w0
            w01 += w0 * w1
            w11 += w1 * w1
        products[0, window] = np.array([[d00, d01], [d01, d11]])
        products[1, window] = np.array([[x00, x01], [x10, x11]])
        products[2, window] = np.array([[w00, w01], [w01, w11]])
    return products


def _products(dry: Float32, wet: Float32, frames: int) -> Float64:
    """The same for any number of channels."""
    d, w = (audio[: len(dry) // frames * frames].reshape(-1, frames, dry.shape[1]) for audio in (dry, wet))
    return np.stack([np.einsum("nti,ntj->nij", a, b, dtype=np.float64) for a, b in ((d, d), (d, w), (w, w))])


_compiled = numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})(_stereo_products)  # at the first call

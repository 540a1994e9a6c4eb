"""Everything that is measured on the samples of a song, in one call.

The audio is gone through twice, each time in pieces that fit the cache: once for sums, peaks and silence, once for
loudness. Flat tops and true peak look again only at those blocks of 256 frames in which they can be. Sums are in
double precision. What each figure means is in `manifests.levels`, whose plain numpy it equals; here it is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.levels import CLIPPED_RUN, db, from_db
from ..manifests.loudness import measure_loudness
from ..manifests.pcm import Float32
from ..manifests.true_peak import BLOCK, true_peak

SILENT_BELOW_PEAK_DB = -60.0
CEILING_DB = -0.5  # below the peak: where a limiter holds a song's loud moments
MOMENT_BLOCKS = 86  # blocks in a moment, for the share at the ceiling: 0.5 s at 44.1 kHz
EXACT = {"contract", "reassoc", "nsz"}  # sums may be taken in any order


@dataclass(frozen=True)
class Look:
    """The first look at `(frames, channels)` of audio: sums and peaks."""

    frames: int
    sums: npt.NDArray[np.float64]  # (channels,)
    squares: npt.NDArray[np.float64]  # (channels,)
    product: float  # sum of first channel times last channel
    block_peaks: Float32  # (blocks, channels)

    @property
    def peak(self) -> float:
        """Largest magnitude of a sample, re full scale."""
        return float(self.block_peaks.max(initial=0.0))

    @property
    def rms(self) -> float:
        """Root mean square over all channels, re full scale."""
        return float(np.sqrt(self.squares.sum() / (self.frames * len(self.squares)))) if self.frames else 0.0

    @property
    def dc_offset(self) -> float:
        """Largest mean of a channel, re full scale."""
        return float(np.abs(self.sums / self.frames).max()) if self.frames else 0.0

    @property
    def stereo_correlation(self) -> float | None:
        """Pearson's correlation of left and right; None where one of them is constant."""
        left, right = self.sums[0] / self.frames, self.sums[-1] / self.frames
        powers = self.squares / self.frames - (self.sums / self.frames) ** 2
        if powers[0] <= 0 or powers[-1] <= 0:
            return None
        correlation = (self.product / self.frames - left * right) / np.sqrt(powers[0] * powers[-1])
        return float(np.clip(correlation, -1, 1))

    @property
    def ceiling_share(self) -> float:
        """Share of successive half seconds (at 44.1 kHz) that reach within 0.5 dB of the largest sample."""
        peaks = self.block_peaks.max(axis=1)
        moments = np.maximum.reduceat(peaks, np.arange(0, len(peaks), MOMENT_BLOCKS))
        return float(np.mean(moments >= self.peak * from_db(CEILING_DB)))


def first_look(audio: Float32) -> Look:
    """Sums and peaks of `audio` (frames, channels), which must be finite."""
    sums, squares, product, peaks = _sums_and_peaks(np.ascontiguousarray(audio, np.float32))
    return Look(len(audio), sums, squares, float(product), peaks)


def clipped_runs(audio: Float32, look: Look) -> int:
    """As `levels.clipped_runs`: flat tops of four samples or more at the very peak of a channel, on one side."""
    return int(_clipped_runs(np.ascontiguousarray(audio, np.float32), look.block_peaks))


def silent_ends(audio: Float32, look: Look) -> tuple[int, int]:
    """Frames before the first and after the last sample that comes within 60 dB of the peak. All of them, twice, for
    digital silence."""
    threshold = look.peak * from_db(SILENT_BELOW_PEAK_DB)
    peaks = look.block_peaks.max(axis=1)
    loud = np.flatnonzero((peaks >= threshold) & (peaks > 0))
    if not len(loud):
        return len(audio), len(audio)
    first, last = (
        np.flatnonzero(np.abs(audio[block * BLOCK : (block + 1) * BLOCK]).max(axis=1) >= threshold)
        for block in (loud[0], loud[-1])
    )
    return int(loud[0] * BLOCK + first[0]), int(len(audio) - 1 - (loud[-1] * BLOCK + last[-1]))


def measure_song(audio: Float32, sample_rate: int, look: Look | None = None) -> dict[str, Any]:
    """The level columns of `songs` of finite `audio` (frames, channels) at `sample_rate` Hz: peak, true peak, RMS,
    crest factor, loudness and its range, DC, silence at both ends, stereo correlation, share at the ceiling. `look`:
    the first look at it, if there was one."""
    audio = np.ascontiguousarray(audio, np.float32)
    look = look or first_look(audio)
    peak_dbfs, rms_dbfs = db(look.peak), db(look.rms)
    loudness = measure_loudness(audio, sample_rate)
    leading, trailing = silent_ends(audio, look)
    return {
        "peak_dbfs": peak_dbfs,
        "true_peak_dbtp": db(true_peak(audio, look.block_peaks.max(axis=1, initial=0.0))),
        "rms_dbfs": rms_dbfs,
        "crest_db": peak_dbfs - rms_dbfs,
        "loudness_lufs": loudness.integrated_lufs,
        "loudness_range_lu": loudness.range_lu,
        "dc_offset": look.dc_offset,
        "leading_silence_s": leading / sample_rate,
        "trailing_silence_s": trailing / sample_rate,
        "stereo_correlation": look.stereo_correlation,
        "ceiling_share": look.ceiling_share,
    }


@numba.njit(cache=True, fastmath=EXACT)
def _sums_and_peaks(audio):  # type: ignore[no-untyped-def]
    frames, channels = audio.shape
    sums, squares, product = np.zeros(channels), np.zeros(channels), 0.0
    peaks = np.zeros(((frames + BLOCK - 1) // BLOCK, channels), np.float32)
    last = channels - 1
    for block in range(len(peaks)):
        begin, end = block * BLOCK, min((block + 1) * BLOCK, frames)
        for channel in range(channels):
            total = square = 0.0
            peak = np.float32(0)
            for n in range(begin, end):
                x = audio[n, channel]
                peak = max(peak, abs(x))
                total += np.float64(x)
                square += np.float64(x) * np.float64(x)
            sums[channel] += total
            squares[channel] += square
            peaks[block, channel] = peak
        together = 0.0
        for n in range(begin, end):
            together += np.float64(audio[n, 0]) * np.float64(audio[n, last])
        product += together
    return sums, squares, product, peaks


@numba.njit(cache=True)
def _clipped_runs(audio, peaks):  # type: ignore[no-untyped-def]
    frames, channels = audio.shape
    runs = 0
    for channel in range(channels):
        limit = np.float64(np.max(peaks[:, channel])) * (1 - 1e-5) if len(peaks) else 0.0
        if limit == 0.0:
            continue
        above = below = 0  # length of the run that goes on
        for block in range(len(peaks)):
            if peaks[block, channel] < limit:
                above = below = 0
                continue
            for n in range(block * BLOCK, min((block + 1) * BLOCK, frames)):
                x = np.float64(audio[n, channel])
                above = above + 1 if x >= limit else 0
                below = below + 1 if x <= -limit else 0
                runs += (above == CLIPPED_RUN) + (below == CLIPPED_RUN)
    return runs

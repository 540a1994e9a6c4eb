"""Is this take right? Reason codes, their thresholds, and the pure functions that find them.

Signs: gain reduction is positive, latency is positive when wet lags dry. `dry`, `wet` and `returned` are float arrays
`(frames, channels)` of the same song, aligned to the sample; `returned` is what the converter gave, before the trim.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ..manifests.levels import CLIPPED_RUN, from_db, rms_dbfs
from ..manifests.pcm import Float32

LOST_SAMPLES = 0.5  # |latency after - latency before|
PROVEN_SAMPLES = 0.05  # below it no sample was lost or added
CLIP_LEVEL, CLIP_WIDTH = 0.9999, 2e-4  # of full scale
SILENT_BELOW_PREDICTED_DB = 40.0  # no compressor takes so much away
SILENT_DBFS, ACTIVE_DBFS = -90.0, -60.0
SAME_SONG = 0.5  # correlation; heavy compression leaves 0.8, another song 0.0
SIDE_BELOW_MID_DB, SWAPPED, SWAP_WINDOWS = -30.0, -0.3, 10
WINDOW_S = 0.1
ZEROED_FRAMES = REPEATED_FRAMES = 32
REPEAT_LAGS = (64, 128, 256, 512, 1024, 2048, 4096)  # periods of audio drivers
LOCAL_FRAMES = 64  # blocks of the local fit
FLAGGED_BLOCKS = 4  # driver blocks looked at on either side of a flagged one
DAMAGED = 0.6  # residual of the local fit
NOISE_MARGIN = 8.0  # a local block is judged when it is so many times above the noise
LEAST_NOISE = 3e-6


class Reason(StrEnum):
    """Why a take is rejected. `meaning` says it for a person, with the threshold."""

    meaning: str

    FRAMES = "frames", "the recording has another length or channel count than what was sent"
    NOT_FINITE = "not_finite", "the recording holds values that are infinite or not numbers"
    DEVICE_LOST = "device_lost", "the audio device stopped answering during the take"
    PROBE_NOT_FOUND = (
        "probe_not_found",
        "the chirp before or after the song is not in the return (correlation under 0.5)",
    )
    LOST_SAMPLES = "lost_samples", "latency after the song differs from latency before it by more than 0.5 sample"
    LOST_BLOCK = (
        "lost_block",
        "32 samples or more of exact zeros where dry sounds above -60 dBFS, or equal to the last bit to those of a "
        "driver block earlier where dry is not",
    )
    XRUN = (
        "xrun",
        "the driver raised a flag and the take is not proven whole: latency before and after equal within 0.05 "
        "sample, and the local fit of wet to dry near the flag under 0.6",
    )
    CLIPPED_RETURN = "clipped_return", "4 samples or more in a row at full scale (0.9999) at the return"
    SILENT_RETURN = (
        "silent_return",
        "a channel is under -90 dBFS, or 40 dB under what dry and probe predict, where dry is above -60 dBFS",
    )
    WRONG_SONG = "wrong_song", "wet is not this song: median correlation with dry over 100 ms windows under 0.5"
    POLARITY = "polarity", "the probe came back with the opposite sign on a channel"
    CHANNEL_SWAP = "channel_swap", "left and right are exchanged: median correlation of the side signals under -0.3"

    def __new__(cls, code: str, meaning: str) -> Reason:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


@dataclass(frozen=True)
class Windows:
    """Inner products of all channels in windows of 100 ms, each `(windows, channels, channels)`: all that levels and
    correlations need, from one pass over the audio."""

    frames: int  # of one window
    dry: npt.NDArray[np.float64]
    cross: npt.NDArray[np.float64]  # dry x wet
    wet: npt.NDArray[np.float64]

    @property
    def active(self) -> npt.NDArray[np.bool_]:
        """Windows in which dry is above -60 dBFS."""
        return np.asarray(_power(self.dry) > self.frames * self.dry.shape[1] * from_db(2 * ACTIVE_DBFS))


def windows_of(
    dry: Float32, wet: Float32, sample_rate: int, channel_gains: npt.NDArray[np.float64] | None = None
) -> Windows:
    """The windows of `dry` and `wet`; wet divided by `channel_gains` (channels,), which may be negative."""
    frames = min(len(dry), round(WINDOW_S * sample_rate))
    count = len(dry) // frames
    d, w = (np.asarray(a)[: count * frames].reshape(count, frames, -1) for a in (dry, wet))
    scale = np.ones(dry.shape[1]) if channel_gains is None else 1 / channel_gains
    dd, dw, ww = (np.asarray(a.transpose(0, 2, 1) @ b, np.float64) for a, b in ((d, d), (d, w), (w, w)))
    return Windows(frames, dd, dw * scale, ww * scale * scale[:, None])


def gain_reduction_db(windows: Windows, static_gain_db: float) -> npt.NDArray[np.float64]:
    """Level lost against `static_gain_db` (dry to wet) in every active window, dB, positive."""
    dry, wet = _power(windows.dry)[windows.active], _power(windows.wet)[windows.active]
    return np.asarray(static_gain_db - 10 * np.log10(np.maximum(wet, 1e-20 * dry) / dry))


def song_correlation(windows: Windows) -> float | None:
    """Median over active windows of the correlation of dry and wet mid (of side, where that is the louder); None when
    dry has no active window. Windows make it blind to how the gain moves from one to the next."""
    mid, side = _sums(windows.dry, 1), _sums(windows.dry, -1)
    dry = np.maximum(mid, side)
    cross = np.where(mid >= side, _sums(windows.cross, 1), np.abs(_sums(windows.cross, -1)))
    wet = np.where(mid >= side, _sums(windows.wet, 1), _sums(windows.wet, -1))
    return _median_correlation(windows.active, dry, cross, wet)


def side_correlation(windows: Windows) -> float | None:
    """Median correlation of the side signals where dry's is above -30 dB re mid; None if that is under 1 s."""
    if windows.dry.shape[1] != 2:
        return None
    mid, side = _sums(windows.dry, 1), _sums(windows.dry, -1)
    wide = windows.active & (side > mid * from_db(2 * SIDE_BELOW_MID_DB))
    if np.count_nonzero(wide) < SWAP_WINDOWS:
        return None
    return _median_correlation(wide, side, _sums(windows.cross, -1), _sums(windows.wet, -1))


def clipped_runs(returned: Float32) -> int:
    """How many times a channel stays at full scale, on one side, for 4 samples or more."""
    runs = 0
    for side in (returned, -returned) if np.abs(returned).max(initial=0) >= CLIP_LEVEL else ():
        at_limit = (side >= CLIP_LEVEL) & (side <= CLIP_LEVEL + CLIP_WIDTH)
        for channel in at_limit.T:
            starts = run_starts(channel, CLIPPED_RUN)
            runs += int(np.sum(np.diff(starts, prepend=-2) > 1))
    return runs


def silent_channels(dry: Float32, returned: Float32, gain_db: float) -> list[int]:
    """Channels on which the song did not come back. `gain_db`: dry to return, uncompressed, of the louder channel."""
    silent = []
    for channel in range(dry.shape[1]):
        sent_dbfs, got_dbfs = rms_dbfs(dry[:, channel]), rms_dbfs(returned[:, channel])
        least_dbfs = max(SILENT_DBFS, sent_dbfs + gain_db - SILENT_BELOW_PREDICTED_DB)
        if sent_dbfs > ACTIVE_DBFS and got_dbfs < least_dbfs:
            silent.append(channel)
    return silent


def lost_blocks(dry: Float32, returned: Float32) -> bool:
    """Whether a driver filled a hole with exact zeros or with an earlier block. An analog return never repeats a bit
    pattern, and only a hole is exactly zero; holes that it fills otherwise need its flag (`damaged_near`)."""
    for channel in range(dry.shape[1]):
        for start in run_starts(returned[:, channel] == 0, ZEROED_FRAMES):
            if np.abs(dry[start : start + ZEROED_FRAMES, channel]).max() > from_db(ACTIVE_DBFS):
                return True
    sent, got = (np.add.reduce(list(audio.T)) for audio in (dry, returned))  # of the channels
    for lag in REPEAT_LAGS:
        again = (got[lag:] == got[:-lag]) & (got[lag:] != got[lag - 1 : -1]) & (sent[lag:] != sent[:-lag])
        if len(run_starts(again, REPEATED_FRAMES)):
            return True
    return False


def run_starts(mask: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.intp]:
    """Every index at which at least `length` successive values are true."""
    have, all_true = 1, mask
    while have < length:
        step = min(have, length - have)
        all_true = all_true[: max(0, len(all_true) - step)] & all_true[step:]
        have += step
    return np.flatnonzero(all_true)


def local_residual(dry: Float32, wet: Float32, noise_rms: float) -> npt.NDArray[np.float64]:
    """How badly wet follows dry in blocks of 64 samples, every 32: 0 exactly, 1 not at all; 0 where there is too
    little above the noise to say.

    `dry` is already delayed by the fraction of a sample. The first differences are compared, since within 1.5 ms
    bass looks alike anywhere; gain may change along a block: d(gx) = g dx + g' (t dx + x), g and g' by least squares.
    Simulated takes: healthy blocks read 0.01, fast attacks up to 0.55 (none of 440 000 above 0.6); a hole or a
    repetition of 64 samples or more reads above 0.6 in 99 of 100."""
    blocks = max(0, 2 * ((len(dry) - 1) // LOCAL_FRAMES) - 1)
    residual = np.zeros(blocks)
    stride, half = 4096, LOCAL_FRAMES // 2  # blocks at a time, to keep memory small
    slope = np.linspace(-0.5, 0.5, LOCAL_FRAMES)[:, None]
    for first in range(0, blocks, stride):
        last = min(blocks, first + stride)
        x, y = (np.asarray(a[first * half : (last + 1) * half + 1], np.float64) for a in (dry, wet))
        cut = (_cut(np.diff(x, axis=0)), _cut((x[1:] + x[:-1]) / 2), _cut(np.diff(y, axis=0)))
        dx, mean, dy = cut
        turn = slope * dx + mean / LOCAL_FRAMES
        aa, ab, bb, ay, by, yy = (
            np.einsum("nic,nic->n", p, q)
            for p, q in ((dx, dx), (dx, turn), (turn, turn), (dx, dy), (turn, dy), (dy, dy))
        )
        determinant = np.maximum(aa * bb - ab**2, 1e-9 * aa * bb + 1e-300)
        explained = (ay**2 * bb - 2 * ay * by * ab + by**2 * aa) / determinant
        judged = np.maximum(aa, yy) > (NOISE_MARGIN * max(noise_rms, LEAST_NOISE)) ** 2 * 2 * dx[0].size
        ratio = np.sqrt(np.clip(1 - explained / np.maximum(yy, 1e-300), 0, 1))
        residual[first:last] = np.where(judged, ratio, 0)
    return residual


def damaged_near(residual: npt.NDArray[np.float64], flags: Iterable[int], block_size: int) -> bool:
    """Whether a `local_residual` within 4 driver blocks of a flagged frame (re the song's first) is above 0.6."""
    half = LOCAL_FRAMES // 2
    for flag in flags:
        begin = (flag - FLAGGED_BLOCKS * block_size) // half - 1
        end = (flag + (FLAGGED_BLOCKS + 1) * block_size) // half + 1
        if residual[max(0, begin) : max(0, end)].max(initial=0.0) > DAMAGED:
            return True
    return False


def _cut(audio: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Blocks of 64 frames, every 32: (blocks, 64, channels)."""
    view = np.lib.stride_tricks.sliding_window_view(audio, LOCAL_FRAMES, axis=0)[:: LOCAL_FRAMES // 2]
    return view.transpose(0, 2, 1)


def _power(products: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.trace(products, axis1=1, axis2=2))


def _sums(products: npt.NDArray[np.float64], sign: int) -> npt.NDArray[np.float64]:
    """Inner products of the mids (sign 1) or sides (sign -1) of two signals; the only channel of a mono one."""
    v = np.array([1, sign][: products.shape[1]]) / products.shape[1]
    return np.asarray(np.einsum("i,nij,j->n", v, products, v))


def _median_correlation(
    chosen: npt.NDArray[np.bool_],
    dry: npt.NDArray[np.float64],
    cross: npt.NDArray[np.float64],
    wet: npt.NDArray[np.float64],
) -> float | None:
    if not chosen.any():
        return None
    return float(np.median(cross[chosen] / np.sqrt(np.maximum(dry * wet, 1e-300)[chosen])))

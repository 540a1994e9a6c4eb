"""Is it this song, through this unit, with every channel where it was?

All of it is read from `Windows`: one pass over the audio has made them. Wet is taken without the static gain and sign
of each channel (`windows_of(..., channel_gains)`), so cables and make-up do not enter. Signs and ratios are judged,
never closeness to 1: heavy compression leaves a correlation of 0.8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..manifests.levels import from_db
from .reasons import Reason
from .windows import Float64, Windows, gain_reduction_db, power

SAME_SONG = 0.5  # correlation; heavy compression leaves 0.8, another song 0.3
SIDE_BELOW_MID_DB, LEAST_WIDE_WINDOWS = -40.0, 5  # under it the channels are too alike to be told apart
SIDE_OVER_NOISE_DB = 6.0
ALIKE = 0.9  # squared correlation of mid and side: one channel alone, where neither can be taken out of the other
SWAPPED, SUMMED = -0.3, 0.1  # gain of side re gain of mid: 1 when all is well, -1 exchanged, 0 summed
BYPASS_SPREAD_DB, BYPASS_REDUCTION_DB, BYPASS_EXPECTED_DB = 0.3, 0.5, 1.0
LEAST_BYPASS_WINDOWS = 5


def song_correlation(windows: Windows) -> float | None:
    """Median over active windows of the correlation of wet with what dry's channels can make of it, whichever way
    they are exchanged, summed or turned. None when dry has no active window."""
    active = windows.active
    if not active.any():
        return None
    dry, cross, wet = windows.dry[active], windows.cross[active], power(windows.wet[active])
    regular = dry + 1e-6 * power(dry)[:, None, None] * np.eye(dry.shape[1])
    explained = np.einsum("nij,nij->n", cross, np.linalg.solve(regular, cross))
    return float(np.median(np.sqrt(np.clip(explained / np.maximum(wet, 1e-300), 0, 1))))


def side_over_mid(windows: Windows, noise_rms: float = 0.0) -> float | None:
    """Gain of the side signal re that of the mid, median over windows: 1 when left and right are where they were, -1
    when they are exchanged, 0 when both carry the sum, for any common gain. What mid leaks into side (a small
    imbalance) is taken out.

    None when under 0.5 s of dry has a side above -40 dB re mid and 6 dB above `noise_rms` of wet: a mono song."""
    if windows.dry.shape[1] != 2:
        return None
    mm, ss, ms = (_product(windows.dry, a, b) for a, b in ((1, 1), (-1, -1), (1, -1)))
    common = ms**2 > ALIKE * mm * ss
    alone = np.where(common, ss, ss - ms**2 / np.maximum(mm, 1e-300))  # of side, without what is like mid
    gain = np.sqrt(power(windows.wet) / np.maximum(power(windows.dry), 1e-300))
    floor = windows.frames * (noise_rms * from_db(SIDE_OVER_NOISE_DB) / np.maximum(gain, 1e-9)) ** 2
    wide = windows.active & (alone > mm * from_db(2 * SIDE_BELOW_MID_DB)) & (alone > floor)
    if np.count_nonzero(wide) < LEAST_WIDE_WINDOWS:
        return None
    mid_side, side_side, mid_mid = (_product(windows.cross, a, b) for a, b in ((1, -1), (-1, -1), (1, 1)))
    leak = np.where(common, 0, ms / np.maximum(mm, 1e-300))
    side_gain = (side_side - leak * mid_side) / np.maximum(alone, 1e-300)
    # one channel alone: mid and side are one signal, and its gain is that of either
    mid_gain = np.maximum(np.maximum(np.abs(mid_mid) / np.maximum(mm, 1e-300), 0.1 * gain), 1e-12)
    return float(np.median((side_gain / mid_gain)[wide]))


def channel_order(windows: Windows, noise_rms: float = 0.0) -> Reason | None:
    """CHANNEL_SWAP, MONO_RETURN or None."""
    ratio = side_over_mid(windows, noise_rms)
    if ratio is None:
        return None
    if ratio < SWAPPED:
        return Reason.CHANNEL_SWAP
    return Reason.MONO_RETURN if abs(ratio) < SUMMED else None


def polarity(signs: npt.NDArray[np.floating]) -> Reason | None:
    """The reason for probes that came back with these signs (channels,); 0 where there was none to see."""
    inverted = np.asarray(signs) < 0
    if not inverted.any():
        return None
    if inverted[np.asarray(signs) != 0].all() and np.count_nonzero(signs) == len(inverted):
        return Reason.POLARITY
    return Reason.POLARITY_LEFT if inverted[0] else Reason.POLARITY_RIGHT


def untouched(windows: Windows, expected_reduction_db: float | None) -> str | None:
    """What shows that nothing compressed the song, which should have lost `expected_reduction_db` on average: bypass,
    or a loopback instead of the unit. None when it was compressed, or when under 1 dB is expected."""
    if expected_reduction_db is None or expected_reduction_db <= BYPASS_EXPECTED_DB:
        return None
    reduction_db: Float64 = gain_reduction_db(windows, 0.0)
    if len(reduction_db) < LEAST_BYPASS_WINDOWS:
        return None
    low_db, high_db = np.percentile(reduction_db, [5, 95])
    mean_db = float(reduction_db.mean())
    if high_db - low_db < BYPASS_SPREAD_DB and abs(mean_db) < BYPASS_REDUCTION_DB:
        return (
            f"gain reduction of {mean_db:.2f} dB, spread {high_db - low_db:.2f} dB, "
            f"where {expected_reduction_db:.1f} dB is expected"
        )
    return None


def _product(products: Float64, one: int, other: int) -> Float64:
    """Inner product of two sums of channels, (left + one x right) / 2 and (left + other x right) / 2, per window."""
    return np.asarray(np.einsum("i,nij,j->n", [0.5, 0.5 * one], products, [0.5, 0.5 * other]))

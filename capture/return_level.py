"""How strong the return is: clipping, silence, a missing channel, the static gain."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ..manifests.levels import CLIPPED_RUN, from_db
from ..manifests.pcm import Float32
from .windows import Windows

CLIP_LEVEL, CLIP_WIDTH = 0.9999, 2e-4  # of full scale
FLAT_WIDTH = 5e-4  # of the channel's own peak: a flat top below full scale
FLAT_DRY = 10.0  # dry's change over such a top re that width; where dry is as flat, it is the song's
FLAT_TOPS = 3  # below full scale one may be chance
BLOCK = 64  # frames looked at together
SILENT_BELOW_PREDICTED_DB = 40.0  # no compressor takes so much away
SILENT_WINDOWS = 3  # of 100 ms, in a row
STATIC_GAIN_LIMIT_DB = 0.2
IMBALANCE_LIMIT_DB = 6.0  # where no calibration says what is right
CHANNEL_NAMES = ("left", "right")


@dataclass(frozen=True)
class Tops:
    """How a return looks at its limits."""

    finite: bool
    peak: float  # largest magnitude
    full_scale_runs: int  # 4 samples or more at full scale, on one side


def measure_tops(returned: Float32) -> Tops:
    """Peak and runs at full scale of `returned` (frames, channels)."""
    peaks = _compiled_peaks(returned)
    peak = float(peaks.max(initial=0.0))
    runs = _compiled_runs(returned, CLIP_LEVEL, CLIP_WIDTH, CLIPPED_RUN) if peak >= CLIP_LEVEL else 0
    energy = np.vdot(returned, returned)  # finite if every value is
    return Tops(bool(np.isfinite(energy)), peak, int(runs))


def flat_tops(dry: Float32, song: Float32) -> int:
    """How many times `song` (frames, channels), aligned with dry, stands still at its channel's peak while dry goes on
    moving: a limit below full scale, such as a clipped stage before a trim.

    Tops are runs of 4 samples within 0.05 % of the peak, three of them at least; or runs of 2 that are equal to it to
    the last bit, which analog noise never repeats, 4 samples at least. Fewer may be chance and read 0."""
    near, exact, exact_samples = _compiled_tops(dry, song, _compiled_peaks(song), FLAT_WIDTH, FLAT_DRY, CLIPPED_RUN)
    return max(int(near) if near >= FLAT_TOPS else 0, int(exact) if exact_samples >= CLIPPED_RUN else 0)


def silent_stretch(windows: Windows, channel: int, noise_rms: float) -> tuple[int, int] | None:
    """First window and window after the last of the longest stretch of 0.3 s or more in which nothing of the song
    returned on `channel`: it is 40 dB under what dry and the static gain predict. Windows in which that is under the
    noise are left out. `windows` and `noise_rms` without the static gain. None when there is none."""
    dry, wet = windows.dry[:, channel, channel], windows.wet[:, channel, channel]
    noise, least = windows.frames * noise_rms**2, from_db(-2 * SILENT_BELOW_PREDICTED_DB) * dry
    judged = np.flatnonzero(windows.active_channels[:, channel] & (least >= noise))
    silent = np.flatnonzero((wet < least + noise)[judged])
    runs = [run for run in np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1) if len(run) >= SILENT_WINDOWS]
    if not runs:
        return None
    longest = judged[max(runs, key=len)]
    return int(longest[0]), int(longest[-1]) + 1


def gain_alarm(gains_db: npt.NDArray[np.floating], expected_gains_db: npt.NDArray[np.floating] | None) -> str | None:
    """What is wrong with the static gains of the channels, None when nothing is."""
    if expected_gains_db is None:
        apart_db = float(np.ptp(gains_db))
        return f"the channels differ by {apart_db:.2f} dB" if apart_db > IMBALANCE_LIMIT_DB else None
    off_db = np.asarray(gains_db) - expected_gains_db
    if np.abs(off_db).max() <= STATIC_GAIN_LIMIT_DB:
        return None
    if len(off_db) == 2 and np.ptp(off_db) > STATIC_GAIN_LIMIT_DB:
        worst = int(np.abs(off_db).argmax())
        return f"{CHANNEL_NAMES[worst]} is {off_db[worst]:+.2f} dB off its calibration"
    return f"the gain is {float(off_db.mean()):+.2f} dB off its calibration"


def _block_peaks(audio: Float32) -> Float32:
    """Largest magnitude of every block of 64 frames `(blocks, channels)`."""
    frames, channels = audio.shape
    peaks = np.zeros((-(-frames // BLOCK), channels), np.float32)
    for block in range(len(peaks)):
        for channel in range(channels):
            peak = np.float32(0)
            for n in range(block * BLOCK, min(frames, (block + 1) * BLOCK)):
                peak = max(peak, abs(audio[n, channel]))
            peaks[block, channel] = peak
    return peaks


def _full_scale_runs(audio: Float32, level: float, width: float, least_run: int) -> int:
    runs = 0
    for channel in range(audio.shape[1]):
        length, side = 0, 0
        for n in range(len(audio) + 1):
            at = 0
            if n < len(audio) and level <= abs(audio[n, channel]) <= level + width:
                at = 1 if audio[n, channel] > 0 else -1
            if at != side:
                runs += length >= least_run
                length, side = 0, at
            if at != 0:
                length += 1
    return runs


def _flat_tops(
    dry: Float32, song: Float32, peaks: Float32, width: float, dry_width: float, least_run: int
) -> tuple[int, int, int]:
    """Runs near the peak, runs of 2 or more exactly at it, samples in those."""
    near_runs = exact_runs = exact_samples = 0
    for channel in range(song.shape[1]):
        peak = peaks[:, channel].max()
        for exactly in range(2 if peak > 0 else 0):
            least = peak if exactly else np.float32(peak * (1 - width))
            length, low, high = 0, np.float32(0), np.float32(0)
            for block in range(len(peaks)):
                if peaks[block, channel] < least and length == 0:
                    continue
                for n in range(block * BLOCK, min(len(song), (block + 1) * BLOCK)):
                    if abs(song[n, channel]) < least:
                        moved = high - low > dry_width * width * high
                        if exactly and length >= 2 and moved:
                            exact_runs += 1
                            exact_samples += length
                        elif not exactly and length >= least_run and moved:
                            near_runs += 1
                        length = 0
                        continue
                    value = abs(dry[n, channel])
                    low, high = (value, value) if length == 0 else (min(low, value), max(high, value))
                    length += 1
    return near_runs, exact_runs, exact_samples


_compiled_peaks = numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz", "nnan"})(_block_peaks)  # at first call
_compiled_runs = numba.njit(cache=True)(_full_scale_runs)
_compiled_tops = numba.njit(cache=True)(_flat_tops)

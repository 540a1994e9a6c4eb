"""The fingerprint: 4.3 s of tones that make every control of a compressor show itself.

    quiet | bursts (attack) | staircase (threshold, ratio) | release | 50 Hz (side-chain filter) | release

Everything is one carrier of about 4.4 kHz, whose half period is 0.11 ms: fine enough to tell an attack of 0.1 ms from
one of 0.3 ms. It plays at the level of the send (no boost), in the place of a song, the same on every channel. Its
loudest parts reach -1 dBFS, because a threshold of 0 dB shows itself only there; its quiet parts stay under every
threshold. In each part the gain of the return over the send is measured in windows that begin narrow, at the change
of level, and widen from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..manifests.levels import from_db
from ..manifests.pcm import Float32

Places = npt.NDArray[np.intp]

CARRIER_HZ = 4410.0  # nearest frequency with an even number of samples per period
LOW_HZ = 50.0
QUIET_DBFS = -46.0  # under the lowest threshold (-40 dB) less half a 6 dB knee; as loud as the probe
LOUD_DBFS = -1.0
MIDDLE_DBFS = -13.0
BURST_S, GAP_S = 0.025, 0.055
STAIRS_DBFS = tuple(float(level) for level in range(-41, 0, 4))  # 4 dB a step, as the dots of the threshold
STAIR_S = 0.09
FINE = (0, 1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128)  # half periods
STEADY = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
COARSE = (0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
HALVES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)  # of the low tone


@dataclass(frozen=True)
class Window:
    """Where one gain is measured."""

    name: str  # part of the signal, and how long after its begin: burst_3@0.23ms
    start: int  # first frame
    stop: int  # frame after the last
    baseline: int  # number of the window that reads the same frequency under every threshold


@dataclass(frozen=True, eq=False)
class FingerprintSignal:
    """What is played, and where its gain is measured."""

    sample_rate: int  # Hz
    wave: Float32  # (frames,): of one channel
    windows: tuple[Window, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(window.name for window in self.windows)

    @cached_property
    def baselines(self) -> Places:
        """(windows,): for each window the number of its baseline."""
        return np.array([window.baseline for window in self.windows], np.intp)

    @cached_property
    def low(self) -> slice:
        """The frames of the loud low tone."""
        parts = [window for window in self.windows if window.name.startswith("low@")]
        return slice(parts[0].start, parts[-1].stop)

    @cached_property
    def of_low(self) -> npt.NDArray[np.bool_]:
        """(windows,): those that hear what the low tone did."""
        return np.array([window.name.split("@")[0] in ("low", "last") for window in self.windows])

    @cached_property
    def energies(self) -> npt.NDArray[np.float64]:
        """(windows,): sum of squares of the signal."""
        wave = np.asarray(self.wave, np.float64)
        return self._sums(wave * wave)

    def project(self, returned: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Gain per window (least squares of `returned` (frames,) over the signal), as an amplitude ratio."""
        return self._sums(np.asarray(self.wave * np.asarray(returned, np.float64), np.float64)) / self.energies

    def _sums(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sum over each window. The windows lie side by side from the first frame to the last."""
        return np.asarray(np.add.reduceat(values, self._starts), np.float64)

    @cached_property
    def _starts(self) -> Places:
        return np.array([window.start for window in self.windows], np.intp)


def fingerprint_signal(sample_rate: int, channels: int = 2) -> Float32:
    """What is played `(frames, channels)`, the same on all channels; peaks at -1 dBFS."""
    return np.repeat(fingerprint_parts(sample_rate).wave[:, None], channels, axis=1)


@lru_cache(maxsize=4)
def fingerprint_parts(sample_rate: int) -> FingerprintSignal:
    """The signal of one channel with its windows."""
    half = max(2, round(sample_rate / CARRIER_HZ / 2))  # samples
    low_half = half * round(sample_rate / LOW_HZ / 2 / half)
    pieces: list[npt.NDArray[np.float64]] = []
    windows: list[Window] = []
    frames = 0

    def tone(name: str, level_dbfs: float, seconds: float, edges: tuple[int, ...], step: int = half) -> None:
        nonlocal frames
        steps = 2 * round(seconds * sample_rate / step / 2)  # whole periods, so that every part begins at a zero
        wave = np.sin(np.pi / step * np.arange(steps * step))
        pieces.append(from_db(level_dbfs) * wave)
        inner = [edge for edge in edges if edge < steps] + [steps]
        if len(inner) > 2 and inner[-1] - inner[-2] < (inner[-2] - inner[-3]) / 2:
            del inner[-2]  # a short rest belongs to the window before
        baseline = 0 if step == half else next((n for n, w in enumerate(windows) if w.name == "low_quiet@0ms"), -1)
        for first, last in pairwise(inner):
            windows.append(
                Window(
                    f"{name}@{first * step / sample_rate * 1000:.4g}ms",
                    frames + first * step,
                    frames + last * step,
                    len(windows) if baseline < 0 else baseline,
                )
            )
        frames += steps * step

    tone("quiet", QUIET_DBFS, 0.1, (0,))
    tone("low_quiet", QUIET_DBFS, 0.16, (0,), low_half)
    for burst in range(6):
        tone(f"burst_{burst}", (LOUD_DBFS, MIDDLE_DBFS)[burst % 2], BURST_S, FINE)
        tone(f"gap_{burst}", QUIET_DBFS, GAP_S, COARSE)
    for level_dbfs in STAIRS_DBFS:
        tone(f"stair{level_dbfs:.0f}", level_dbfs, STAIR_S, STEADY)
    tone("release", QUIET_DBFS, 1.2, COARSE)
    tone("low", LOUD_DBFS, 0.4, HALVES, low_half)
    tone("last", QUIET_DBFS, 1.0, COARSE)
    return FingerprintSignal(sample_rate, np.asarray(np.concatenate(pieces), np.float32), tuple(windows))

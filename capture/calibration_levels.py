"""Which levels digital full scale stands for: a tone, a meter at the unit's input, and what comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..manifests.errors import DeviceError
from ..manifests.levels import peak_dbfs
from ..manifests.pcm import Float32
from .calibration import MeasuredReturn
from .calibration_signal import tone, tone_peak_dbfs
from .device import DeviceProfile
from .interface import Interface
from .probe import PROBE_PEAK_DBFS
from .ways import LOOPBACK, ways_of

CLIPPED_DBFS = -0.1
COMPRESSED_DB = 0.1


@dataclass(frozen=True)
class Tones:
    """A 1 kHz tone at two levels."""

    tone_dbfs: float  # peak at the send
    return_dbfs: tuple[float, ...]  # its peak at each way
    gain_db: tuple[float, ...]  # of each way for a quiet tone
    clipped: bool

    @property
    def compressed_db(self) -> float:
        """By how much the loud tone gets less gain than the quiet one, at the way with the most of it."""
        return max(gain - (level - self.tone_dbfs) for gain, level in zip(self.gain_db, self.return_dbfs, strict=True))


@contextmanager
def steady_tone(interface: Interface, profile: DeviceProfile, tone_dbfs: float) -> Iterator[list[Float32]]:
    """1 kHz on every output for as long as the block lasts, at least two seconds; afterwards the list holds the last
    second that came back. A device that dies meanwhile is raised at the end of the block."""
    send = np.repeat(tone(profile.sample_rate, tone_dbfs)[:, None], len(profile.wiring.outputs), axis=1)
    over = threading.Event()
    last: list[Float32] = []

    def play_on() -> None:
        interface.play(send)
        while True:
            ends = over.is_set()
            interface.play(send)
            interface.record()
            if ends:
                last.append(interface.record().audio)
                return

    with ThreadPoolExecutor(1, "tone") as pool:
        playing = pool.submit(play_on)
        try:
            yield last
        finally:
            over.set()
        playing.result()


def measure_tones(
    interface: Interface, profile: DeviceProfile, tone_dbfs: float, while_it_sounds: Callable[[], None]
) -> Tones:
    """Play the tone quietly, then at `tone_dbfs` until `while_it_sounds` returns."""
    columns = [way.input for way in ways_of(profile)]
    with steady_tone(interface, profile, PROBE_PEAK_DBFS) as quiet:
        pass
    with steady_tone(interface, profile, tone_dbfs) as loud:
        while_it_sounds()
    rate = profile.sample_rate
    return Tones(
        tone_dbfs=tone_dbfs,
        return_dbfs=tuple(tone_peak_dbfs(loud[0][:, columns], rate).tolist()),
        gain_db=tuple((tone_peak_dbfs(quiet[0][:, columns], rate) - PROBE_PEAK_DBFS).tolist()),
        clipped=peak_dbfs(loud[0][:, columns]) > CLIPPED_DBFS,
    )


def level_at_returns(
    ways: Sequence[MeasuredReturn], tones: Tones, dbu_at_0dbfs_out: float, return_meter_dbu: float | None
) -> tuple[float, str]:
    """dBu at 0 dBFS of the returns, and what that rests on. By the best way there is: a meter at the return, the
    loopback pair, or a unit that is taken to pass a quiet tone with a gain of 0 dB."""
    if tones.clipped:
        raise DeviceError("the tone clips at a return", mend="turn the return's input gain down, or use --tone-dbfs")
    at_unit = [index for index, way in enumerate(ways) if way.serial == ways[0].serial]
    if return_meter_dbu is not None:
        at_return_dbfs = float(np.mean([tones.return_dbfs[index] for index in at_unit]))
        return return_meter_dbu - at_return_dbfs, "a meter was read at the return"
    if ways[-1].serial == LOOPBACK:
        return dbu_at_0dbfs_out - tones.gain_db[-1], "the loopback pair has the levels of the sends and the returns"
    gain_db = float(np.mean([tones.gain_db[index] for index in at_unit]))
    return dbu_at_0dbfs_out - gain_db, "the unit passes a quiet tone with a gain of 0 dB"


def remarks_about_tones(tones: Tones) -> list[str]:
    """What a person should know about the way the tones went."""
    if tones.compressed_db <= COMPRESSED_DB:
        return []
    return [f"the unit turned the tone down by {tones.compressed_db:.1f} dB, so a quiet one counted; is it bypassed?"]

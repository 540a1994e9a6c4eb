"""What the meters show: levels, gain reduction and position of what sounds now, a few times a second.

A thread of the capture looks at the memory that is filled anyway (`Watchable.sounding`) and writes one small JSON file.
It takes no part in playing or recording: the audio callback lives in another process and knows nothing of it.

Measured gain reduction is that of the last 0.1 s, re the static gain of the setting's fingerprint. What is expected is
what a steady tone as loud as that would lose, as the same fingerprint measured it; while the level moves, attack and
release lie between the two.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ..manifests.dataset import Dataset
from ..manifests.levels import db
from ..manifests.pcm import Float32
from ..manifests.storage import TEMPORARY_SUFFIX
from .daemon import Daemon
from .event_log import plain
from .fingerprint_signal import STAIRS_DBFS
from .interface import Sounding, Watchable
from .knob_check import SINE_CREST_DB, Probed, steady_reduction_db
from .playlist import Play
from .rack import RackUnit, columns_of
from .stream import Stream

LIVE = ".live.json"
EVERY_S = 0.25
WINDOW_S = 0.1  # of a meter's RMS
SILENT_DBFS = -60.0  # a send under it says nothing about gain
LEAST_DBFS = -120.0
Row = dict[str, Any]


@dataclass
class Live:
    """The meters of one session; `running` lets them run."""

    dataset: Dataset
    stream: Stream
    rack: Sequence[RackUnit]
    heard: Mapping[str, Probed]  # by unit_id: the fingerprint of the setting that stands there now
    daemon: Daemon
    _peaks: dict[str, float] = field(default_factory=dict)  # of this play so far
    _of: Play | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write the file every 0.25 s as long as the block lasts."""
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,), name="meters", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=2)
            (self.dataset.root / LIVE).unlink(missing_ok=True)

    def look(self) -> Row:
        """What sounds now; only the time where nothing does."""
        row: Row = {"time": datetime.now(UTC)}
        interface = self.stream.interface
        rate = interface.sample_rate
        if not isinstance(interface, Watchable):
            return row
        latest = max((probed.latency_samples or 0.0 for probed in tuple(self.heard.values())), default=0.0)
        sounding = interface.sounding(round((WINDOW_S + EVERY_S) * rate) + round(latest))
        plays = tuple(self.stream.playing)
        if sounding is None or sounding.ended >= len(plays) or not len(sounding.sent):
            return row
        play = plays[sounding.ended]
        if play is not self._of:
            self._of, self._peaks = play, {}
        layout = play.layout
        row |= {
            "occasion": play.occasion,
            "song_id": play.song_id,
            "take_ids": [take["take_id"] for take in play.takes],
            "position_s": sounding.frame / rate,
            "length_s": sounding.frames / rate,
            "song_position_s": (sounding.frame - layout.song_start) / rate,
            "song_length_s": layout.song_frames / rate,
            "units": [self._unit(number, place, sounding, rate) for number, place in enumerate(self.rack)],
        }
        return row

    def _unit(self, number: int, place: RackUnit, sounding: Sounding, rate: int) -> Row:
        """The meters of one unit."""
        window = round(WINDOW_S * rate)
        sent = columns_of(sounding.sent, self.stream.wiring.sends[number])
        returned = columns_of(sounding.returned, place.returns)
        row: Row = {"unit_id": place.unit_id}
        for name, audio in (("send", sent), ("return", returned)):
            peaks = [level(float(peak)) for peak in np.abs(audio).max(axis=0)]
            most = self._peaks[f"{number} {name}"] = max(self._peaks.get(f"{number} {name}", LEAST_DBFS), *peaks)
            rms = [level(float(value)) for value in np.sqrt(np.mean(np.square(audio[-window:]), axis=0))]
            row |= {f"{name}_rms_dbfs": rms, f"{name}_peak_dbfs": peaks, f"{name}_headroom_db": -most}
        probed = self.heard.get(place.unit_id)
        return row | reduction(sent, returned, window, probed)

    def _run(self, over: threading.Event) -> None:
        path = self.dataset.root / LIVE
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        while not over.wait(EVERY_S):
            try:
                text = json.dumps(plain(self.look()))
            except Exception as error:  # noqa: BLE001  meters may go out; the capture goes on
                self.daemon.event("meters_failed", error=repr(error))
                return
            with suppress(OSError):  # no room for a kilobyte: whoever writes the next take meets that, and says so
                temporary.write_text(text, encoding="utf-8")
                os.replace(temporary, path)


def reduction(sent: Float32, returned: Float32, window: int, probed: Probed | None) -> dict[str, float | None]:
    """Gain reduction in the last `window` frames, dB, positive, and what is expected; None where there is nothing to
    measure, or no fingerprint to compare with."""
    nothing: dict[str, float | None] = {"reduction_db": None, "expected_db": None}
    if probed is None or probed.static_gain_db is None or probed.latency_samples is None:
        return nothing
    latency = round(probed.latency_samples)
    if len(sent) < window + latency:
        return nothing
    before = sent[len(sent) - latency - window : len(sent) - latency]
    sent_dbfs = level(float(np.sqrt(np.mean(np.square(before)))))
    if sent_dbfs < SILENT_DBFS:
        return nothing
    returned_dbfs = level(float(np.sqrt(np.mean(np.square(returned[-window:])))))
    expected_db = None
    if probed.fingerprint is not None:
        stairs_db = [steady_reduction_db(probed.fingerprint, stair_dbfs) for stair_dbfs in STAIRS_DBFS]
        expected_db = float(np.interp(sent_dbfs + SINE_CREST_DB, STAIRS_DBFS, stairs_db))
    return {"reduction_db": sent_dbfs + probed.static_gain_db - returned_dbfs, "expected_db": expected_db}


def level(amplitude: float) -> float:
    """dBFS, not lower than a meter reaches."""
    return max(LEAST_DBFS, db(amplitude)) if amplitude > 0 else LEAST_DBFS


def live_of(dataset: Dataset) -> Row | None:
    """What the meters of `dataset` showed last; None where there are none."""
    try:
        row = json.loads((dataset.root / LIVE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) else None

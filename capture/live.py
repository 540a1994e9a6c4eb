"""What the meters show: levels, gain reduction and position of what sounds now, a few times a second.

A thread of the capture looks at the memory that is filled anyway (`Watchable.sounding`) and writes one small JSON file.
It takes no part in playing or recording: the audio callback lives in another process and knows nothing of it.

Measured gain reduction is that of the last 0.1 s, re the static gain of the setting's fingerprint. What is expected is
what the compressor that was fitted to the unit's fingerprints does to the song at this setting; for a unit that no such
model explains, what a steady tone as loud as the last 0.1 s would lose.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ..manifests.dataset import Dataset
from ..manifests.levels import db
from ..manifests.pcm import Float32
from .daemon import Daemon
from .fingerprint import Features, Fingerprint
from .fingerprint_signal import STAIRS_DBFS
from .interface import Sounding, Watchable
from .knob_check import SINE_CREST_DB, Probed, steady_reduction_db
from .live_file import EXPECTED, LIVE, write_live
from .playlist import Play
from .proof import Proof
from .rack import RackUnit, columns_of
from .stream import Stream

EVERY_S = 0.25
WINDOW_S = 0.1  # of a meter's RMS
HOP_S = 0.02  # from one expected gain to the next
COLUMNS = 400  # of the picture of a take
REMEMBERED = 8  # songs whose expected gain is kept for the picture of a take
SILENT_DBFS = -60.0  # a send under it says nothing about gain
LEAST_DBFS = -120.0
Row = dict[str, Any]


@dataclass
class Live:
    """The meters of one session; `running` lets them run."""

    dataset: Dataset
    stream: Stream
    rack: Sequence[RackUnit]
    proof: Proof
    daemon: Daemon
    _peaks: dict[str, float] = field(default_factory=dict)  # of this play so far
    _of: Play | None = None
    _expected: dict[str, Features] = field(default_factory=dict)  # of this play, by unit_id: gains in dB
    _power: Features = field(default_factory=lambda: np.zeros(0))  # of what is sent in each of these hops
    _hop_s: float = HOP_S
    _kept: list[Row] = field(default_factory=list)  # of the last songs

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
            for name in (LIVE, EXPECTED):
                (self.dataset.root / name).unlink(missing_ok=True)

    def look(self) -> Row:
        """What sounds now; only the time where nothing does."""
        row: Row = {"time": datetime.now(UTC)}
        interface = self.stream.interface
        rate = interface.sample_rate
        if not isinstance(interface, Watchable):
            return row
        latest = max((one.latency_samples or 0.0 for one in tuple(self.proof.heard.values())), default=0.0)
        sounding = interface.sounding(round((WINDOW_S + EVERY_S) * rate) + round(latest))
        plays = tuple(self.stream.playing)
        if sounding is None or sounding.ended >= len(plays) or not len(sounding.sent):
            return row
        play = plays[sounding.ended]
        if play is not self._of:
            self._begin(play)
        layout = play.layout
        row |= {
            "occasion": play.occasion,
            "song_id": play.song_id,
            "take_ids": [take["take_id"] for take in play.takes],
            "position_s": sounding.frame / rate,
            "length_s": sounding.frames / rate,
            "song_position_s": (sounding.frame - layout.song_start) / rate,
            "song_length_s": layout.song_frames / rate,
            "units": [self._unit(number, place, sounding, play) for number, place in enumerate(self.rack)],
        }
        return row

    def _begin(self, play: Play) -> None:
        """Another play sounds: what is expected of it."""
        self._of, self._peaks, self._expected = play, {}, {}
        knobs = self.proof.knobs
        if knobs is None or play.song_id is None:
            return
        sent = self.stream.staging.boost(play.dry)
        hop = max(1, min(round(HOP_S * play.layout.sample_rate), len(sent) // COLUMNS))
        self._hop_s = hop / play.layout.sample_rate
        self._power = np.add.reduceat(np.square(sent).mean(axis=1), np.arange(0, len(sent), hop)) + 1e-12
        for take in play.takes:
            gains_db = knobs.expected_gains_db(take["unit_id"], take["setting_id"], sent, hop)
            if gains_db is not None:
                self._expected[take["unit_id"]] = gains_db
                named = {name: take[name] for name in ("song_id", "setting_id", "unit_id")}
                edges = np.linspace(0, len(gains_db), COLUMNS + 1).astype(int)
                columns = [self._gain_db(gains_db, begin, end) for begin, end in pairwise(edges)]
                self._kept.append(named | {"expected_db": [round(gain, 2) for gain in columns]})
        self._kept = self._kept[-REMEMBERED:]
        write_live(self.dataset, EXPECTED, self._kept)

    def _unit(self, number: int, place: RackUnit, sounding: Sounding, play: Play) -> Row:
        """The meters of one unit."""
        rate = play.layout.sample_rate
        window = round(WINDOW_S * rate)
        sent = columns_of(sounding.sent, self.stream.wiring.sends[number])
        returned = columns_of(sounding.returned, place.returns)
        row: Row = {"unit_id": place.unit_id}
        for name, audio in (("send", sent), ("return", returned)):
            peaks = [level(float(peak)) for peak in np.abs(audio).max(axis=0)]
            most = self._peaks[f"{number} {name}"] = max(self._peaks.get(f"{number} {name}", LEAST_DBFS), *peaks)
            rms = [level(float(value)) for value in np.sqrt(np.mean(np.square(audio[-window:]), axis=0))]
            row |= {f"{name}_rms_dbfs": rms, f"{name}_peak_dbfs": peaks, f"{name}_headroom_db": -most}
        probed = self.proof.heard.get(place.unit_id)
        row |= reduction(sent, returned, window, probed)
        gains_db = self._expected.get(place.unit_id)
        latency_s = (probed.latency_samples or 0.0) / rate if probed is not None else 0.0
        end_s = (sounding.frame - play.layout.song_start) / rate - latency_s
        if gains_db is not None and row["reduction_db"] is not None and WINDOW_S <= end_s < self._hop_s * len(gains_db):
            begin, end = round((end_s - WINDOW_S) / self._hop_s), round(end_s / self._hop_s)
            row["expected_db"] = -self._gain_db(gains_db, begin, max(end, begin + 1))
        return row

    def _gain_db(self, gains_db: Features, begin: int, end: int) -> float:
        """The gain over some hops together, as a meter of energy sees it."""
        power = self._power[begin:end]
        return float(10 * np.log10(np.sum(power * 10 ** (gains_db[begin:end] / 10)) / np.sum(power)))

    def _run(self, over: threading.Event) -> None:
        failed = False
        while not over.wait(EVERY_S):
            try:
                row = self.look()
            except Exception as error:  # noqa: BLE001  meters may fail; the capture goes on, and the log says it once
                if not failed:
                    self.daemon.event("meters_failed", error=repr(error))
                failed = True
                continue
            write_live(self.dataset, LIVE, row)


def reduction(sent: Float32, returned: Float32, window: int, probed: Probed | None) -> dict[str, float | None]:
    """Gain reduction in the last `window` frames, dB, positive, and what a steady tone as loud would lose; None where
    there is nothing to measure, or no fingerprint to compare with."""
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
    stairs_db = static_curve(probed.fingerprint) if probed.fingerprint is not None else None
    expected_db = None if stairs_db is None else float(np.interp(sent_dbfs + SINE_CREST_DB, STAIRS_DBFS, stairs_db))
    return {"reduction_db": sent_dbfs + probed.static_gain_db - returned_dbfs, "expected_db": expected_db}


@lru_cache(maxsize=16)
def static_curve(fingerprint: Fingerprint) -> tuple[float, ...]:
    """What a steady tone at each of the stairs loses, dB."""
    return tuple(steady_reduction_db(fingerprint, stair_dbfs) for stair_dbfs in STAIRS_DBFS)


def level(amplitude: float) -> float:
    """dBFS, not lower than a meter reaches."""
    return max(LEAST_DBFS, db(amplitude)) if amplitude > 0 else LEAST_DBFS

"""One run of the daemon: bring the units to a setting, prove it, play every planned song, keep what is right.

A session carries out visits. At a pass all planned songs are played back to back in one unbroken stream, between two
fingerprints; at the other visits a fingerprint is all there is. What one play returned is examined while the next
one sounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, DeviceError
from ..manifests.journal import Journal
from ..manifests.pcm import Float32, read_audio
from ..manifests.schema import ACCEPTED, PLANNED
from ..manifests.storage import require_space
from ..manifests.unit import Setting
from .attempts import Attempts
from .daemon import Daemon
from .interface import Recording
from .knob_check import Probed
from .layout import TakeLayout
from .orders import Orders, Retake
from .overrides import parse_overrides
from .playlist import Play, Playlist
from .proof import Proof
from .rack import RackUnit
from .reasons import Reason
from .referee import Referee
from .settling import CONTIGUOUS, settle_s
from .stream import Stream
from .take import Expected
from .visits import Visit

MAX_PASSES = 3  # at one setting, when its knobs do not stay where they were
SONGS_IN_MEMORY = 4
Row = dict[str, Any]


@dataclass
class Session:
    """What one run of the daemon works with."""

    dataset: Dataset
    journal: Journal
    rack: Sequence[RackUnit]
    visits: Iterable[Visit]
    songs: Mapping[str, Row]
    settling: str  # policy of `settling.settle_s`
    max_latency_samples: int
    stream: Stream  # given back at the end
    proof: Proof
    attempts: Attempts
    referee: Referee
    daemon: Daemon
    report: Callable[[str], None]  # one line for whoever watches
    step: Callable[[], None] = lambda: None  # called after each play
    orders: Orders | None = None  # what the operator wants between two takes
    operator: str = ""  # in whose name orders are given
    settings: Mapping[str, Setting] = field(default_factory=dict)  # every one that can be visited once more, by id
    _stands: Setting | None = None  # where the units were brought last
    _again: set[str] = field(default_factory=set)  # setting_ids with takes that are to be made again
    _asked: set[str] = field(default_factory=set)  # take_ids to be made again once they are accepted

    def run(self) -> None:
        """Carry out the visits. `Stopped` when asked to stop, `DeviceError` when the device is gone for good, nothing
        comes out right, or knobs do not stand where they should."""
        self.attempts.clear_unfinished()
        self._read_dry: Callable[..., tuple[Float32, int]] = lru_cache(maxsize=SONGS_IN_MEMORY)(read_audio)
        try:
            for visit in self._visits():
                self.stream.pause_or_stop()
                self._make_again()
                self.proof.bring(visit.setting, self._stands)
                self._stands = visit.setting
                if visit.kind == "pass":
                    self._pass(visit.setting)
                    self.dataset.snapshot(self.journal)
                elif visit.kind == "warm_up":
                    self.proof.wait_until_warm(visit.setting)
                else:
                    self.proof.prove(visit.setting, visit.kind)
        finally:
            self.stream.close()

    def _visits(self) -> Iterator[Visit]:
        """The visits, then a pass at every setting with takes that are to be made again."""
        yield from self.visits
        self._make_again()
        while self._again:
            yield Visit(self.settings[self._again.pop()], "pass")
            self._make_again()

    def _make_again(self) -> None:
        """Carry out what was ordered; takes that are to be made again where the units still stand are made now."""
        self._follow_orders()
        if self._stands is not None and self._stands.setting_id in self._again:
            self._again.remove(self._stands.setting_id)
            self._pass(self._stands)
            self.dataset.snapshot(self.journal)

    def _follow_orders(self, setting: Setting | None = None) -> list[Row]:
        """Carry out what was ordered since. Takes at `setting`, whose pass is under way, that are to be made again;
        those at other settings have their turn after all visits."""
        while self.orders is not None and (order := self.orders.next()) is not None:
            if isinstance(order, Retake):
                self._asked.add(order.take_id)
                continue
            self.referee.overrides |= parse_overrides([f"{order.code}={order.why}"], self.operator)
            if self.proof.knobs is not None:
                self.proof.knobs.tolerate(order.code)
            self.daemon.event("override", code=order.code, because=self.referee.overrides[order.code])
            self.report(f"From now on {order.code} is accepted: {order.why}")
        here = []
        for take in [again for take_id in sorted(self._asked) if (again := self._planned_anew(take_id))]:
            if setting is not None and take["setting_id"] == setting.setting_id:
                here.append(take)
            elif take["setting_id"] in self.settings:
                self._again.add(take["setting_id"])
        return here

    def _planned_anew(self, take_id: str) -> Row | None:
        """The next attempt at a take that was asked for; None while it is not accepted yet, or where it never will."""
        try:
            take = self.journal.take(take_id)
        except DatasetError as error:
            take = {"status": str(error)}
        if take["status"] == PLANNED:  # it sounds, or its turn comes
            return None
        self._asked.remove(take_id)
        if take["status"] != ACCEPTED:  # of a rejected one the next attempt is planned anyway
            self.daemon.event("retake_refused", take_id=take_id, status=take["status"])
            return None
        (again,) = self.attempts.supersede([take_id], Reason.RETAKE)
        self.referee.made = [made for made in self.referee.made if made != take_id]
        self.daemon.planned_anew([take_id], Reason.RETAKE)
        self.report(f"{take_id} is made again as {again}")
        return self.journal.take(again)

    def _pass(self, setting: Setting) -> None:
        """All planned songs at `setting`, between two fingerprints that agree."""
        moved: str | None = None
        for attempt in range(MAX_PASSES):
            self.stream.pause_or_stop()
            if attempt:
                self.proof.bring(setting, None)
            proven = self.proof.prove(setting, "begin")
            moved = self._play_songs(setting, proven)
            if moved is None:
                self.report(f"{setting.setting_id}: {len(self.referee.made)} takes accepted")
                return
            again = self.attempts.supersede(self.referee.made, Reason.KNOB_MOVED)
            told = f"a knob moved during the pass at {setting.setting_id} ({moved}): {len(again)} takes are made again"
            self.daemon.planned_anew(again, Reason.KNOB_MOVED)
            self.daemon.alarm("knob_moved", told, setting_id=setting.setting_id)
            self.report(told)
        raise DeviceError(
            f"the knobs do not stay at {setting.setting_id}: {moved}",
            mend="look at the unit, then type the same command again",
        )

    def _play_songs(self, setting: Setting, proven: dict[str, Probed]) -> str | None:
        """Play what is planned at `setting`, then the closing fingerprint. What it says against the takes, or None."""
        self.referee.begin_pass()
        playlist = self.stream.playlist()
        playlist.add(partial(self._load, setting, takes) for takes in self._planned(setting))
        closing = False  # the closing fingerprint is waiting, under way, or done
        moved: str | None = None
        while True:
            if wanted := self._follow_orders(setting):
                closing = False
                playlist.add(partial(self._load, setting, [take]) for take in wanted)
            if not closing and not playlist.waiting and self.stream.may_go_on():
                closing = True
                playlist.add(self.proof.closing(setting))
            try:
                ended = playlist.next()
            except DeviceError as error:
                closing = False
                playlist.add(partial(self._load, setting, [take]) for take in self._lost(playlist, error))
                playlist.interface = self.stream.interface
                if (moved := self.proof.moved_now(setting)) is not None:
                    return moved
                continue
            if ended is None and not playlist.waiting:
                return moved
            if ended is None:  # asked to pause or to stop, and what sounded has ended
                if (moved := self.proof.moved_now(setting)) is not None:
                    return moved
                self.stream.pause_or_stop()
                proven.update(self.proof.prove(setting, "begin"))
                continue
            play, recording = ended
            if play.song_id is None:
                moved = self.proof.moved(setting, play, recording)
                continue
            if retakes := self._decide(play, recording, proven):
                closing = False
                playlist.add([partial(self._load, setting, retakes)])
            self.step()

    def _planned(self, setting: Setting) -> list[list[Row]]:
        """The takes yet to do at `setting`, those of one song together."""
        by_song: dict[str, list[Row]] = {}
        for take in self.journal.planned(setting.setting_id):
            by_song.setdefault(take["song_id"], []).append(take)
        return list(by_song.values())

    def _load(self, setting: Setting, takes: list[Row]) -> Play:
        """The play of a song at `setting`, read from the disk now that its turn has come."""
        song = self.songs[takes[0]["song_id"]]
        dry, sample_rate = self._read_dry(self.dataset.file(song["dry_path"]))
        require_space(self.dataset.root, 4 * dry.size * 4 * len(takes), "a take")
        silence_s = settle_s(self.rack[0].unit, setting.values, self.settling)
        layout = TakeLayout.of(len(dry), sample_rate, silence_s, self.max_latency_samples)
        named = {"take_id": takes[0]["take_id"], "song_id": song["song_id"], "setting_id": setting.setting_id}
        self.daemon.doing("take", lasts_s=2 * layout.frames / sample_rate, **named)
        return Play("song", dry, layout, song["song_id"], takes)

    def _decide(self, play: Play, recording: Recording, proven: Mapping[str, Probed]) -> list[Row]:
        """Judge every take of a play. The attempts to make next."""
        places = {place.unit_id: place for place in self.rack}
        sent_rms_dbfs = self.songs[str(play.song_id)]["rms_dbfs"] + self.stream.staging.send_boost_db
        retakes = []
        for take in play.takes:
            place = places[take["unit_id"]]
            expected = proven[place.unit_id].expected(sent_rms_dbfs) if place.unit_id in proven else Expected()
            expected = replace(expected, noise_floor_dbfs=place.noise_floor_dbfs)
            if self.settling == CONTIGUOUS:  # the chirp sounds while the unit still recovers from the song before
                expected = replace(expected, static_gain_db=None)
            loopback = self.stream.loopback(recording)
            retakes.append(self.referee.decide(take, play, recording, place, loopback, expected))
        return [take for take in retakes if take is not None]

    def _lost(self, playlist: Playlist, error: DeviceError) -> list[Row]:
        """The device died in a play: its takes are rejected, and the device is opened again. What to play again."""
        sounding, behind = playlist.lose()
        again = [self.referee.lost(take, error) for take in sounding.takes] if sounding else []
        again += [take for play in behind for take in play.takes]
        self.stream.open_again(error)
        return [take for take in again if take is not None]

"""The referee: examines what one unit returned, then keeps it as a take or plans the next attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..manifests.errors import DeviceError
from ..manifests.pcm import Float32
from .attempts import Attempts
from .daemon import Daemon
from .interface import Recording
from .playlist import Play
from .rack import RackUnit, columns_of
from .reasons import OVERRIDABLE, Reason
from .staging import Staging
from .take import Examined, Expected, examine

MAX_ATTEMPTS = 3  # at one take in one pass, before going on to the next
MAX_GIVEN_UP = 3  # takes given up in a row: then something is wrong at the rack, not with a take
Row = dict[str, Any]


@dataclass
class Referee:
    """Decides over the takes of one session."""

    attempts: Attempts
    session_id: str
    staging: Staging
    block_size: int  # of the driver
    daemon: Daemon
    report: Callable[[str], None]
    overrides: dict[str, str] = field(default_factory=dict)  # reason code: who accepts it, and why
    made: list[str] = field(default_factory=list)  # take_ids accepted in this pass
    _tries: dict[str, int] = field(default_factory=dict)  # unit and song: rejections in this pass
    _given_up_in_a_row: int = 0

    def begin_pass(self) -> None:
        """Count anew."""
        self._tries.clear()
        self.made = []

    def decide(
        self,
        take: Row,
        play: Play,
        recording: Recording,
        place: RackUnit,
        loopback: Float32 | None,
        expected: Expected,
    ) -> Row | None:
        """Keep or reject what `place` returned for `take`. None when it is accepted or given up, else the next attempt.
        `DeviceError` when takes are given up one after the other."""
        rate = play.layout.sample_rate
        returned = Recording(columns_of(recording.audio, place.returns), recording.xrun_frames)
        self.attempts.keep_recording(take["take_id"], returned.audio, rate)
        cv = columns_of(recording.audio, place.cv) if place.cv else None
        examined = examine(
            play.dry,
            play.layout,
            returned,
            self.staging,
            self.block_size,
            loopback=loopback,
            cv=cv,
            expected=expected,
        )
        row: Row = {
            "session_id": self.session_id,
            "started_at": recording.started_at,
            "elapsed_s": recording.elapsed_s,
            "stream_frame": recording.stream_frame + play.layout.song_start,
            "settle_s": play.layout.head_start / rate,
            "previous_take_id": play.after.get(place.unit_id),
            **examined.measured,
            "reasons": list(examined.reasons),
        }
        because = self._overridden(examined)
        if examined.wet_pcm is not None and (not examined.reasons or because):
            self.attempts.accept(take, row | {"override_reason": because}, examined, rate, place.folder)
            self.made.append(take["take_id"])
            self._given_up_in_a_row = 0
            self.daemon.finished(take["take_id"], "accepted", examined.reasons)
            return None
        return self.reject(take, row, "; ".join(examined.details.get(code, code) for code in examined.reasons))

    def reject(self, take: Row, row: Row, told: str) -> Row | None:
        """Note a rejected attempt. The next one, or None when this take has been tried often enough."""
        following = self.attempts.reject(take, row, told)
        self.daemon.finished(take["take_id"], "rejected", row["reasons"], told=told)
        self.report(f"{take['take_id']} rejected: {told}")
        key = f"{take['unit_id']} {take['song_id']}"
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] < MAX_ATTEMPTS:
            return {**take, "take_id": following, "attempt": take["attempt"] + 1}
        self._given_up_in_a_row += 1
        self.daemon.alarm("given_up", f"{take['take_id']} was rejected {MAX_ATTEMPTS} times, the last for {told}")
        if self._given_up_in_a_row >= MAX_GIVEN_UP:
            raise DeviceError(
                f"{MAX_GIVEN_UP} takes in a row were rejected {MAX_ATTEMPTS} times each, the last for "
                + ", ".join(row["reasons"]),
                mend="look at the rack and the cables, then type the same command again",
            )
        return None

    def lost(self, take: Row, error: DeviceError) -> Row | None:
        """The device died during `take`. The next attempt, or None when it has been tried often enough."""
        row = {"session_id": self.session_id, "reasons": [Reason.DEVICE_LOST.value]}
        return self.reject(take, row, str(error))

    def _overridden(self, examined: Examined) -> str | None:
        """Who accepts every alarm of this take, and why; None where an alarm is nobody's."""
        codes = examined.reasons
        if not codes or any(code not in self.overrides or code not in OVERRIDABLE for code in codes):
            return None
        return "; ".join(f"{code}: {self.overrides[code]}" for code in codes)

"""What a session tells the world while it runs: state for `buscomp status`, a log, alarms, and the service manager."""

from __future__ import annotations

import math
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from ..manifests.dataset import Dataset
from .alarm import REPEAT_S, Alarm
from .daemon_state import DaemonState
from .event_log import EventLog
from .systemd import Notifier

REMEMBERED = 100  # takes whose mean duration gives the time of the end
GRACE_S = 60.0  # beyond what a step should take, before the service manager may call it hanging
LOGS = "logs"


class Daemon:
    """The voice of one session. Nothing here can fail the capture: a full disk is met by the capture itself.

    `doing` says what begins now, `finished` that a take has ended, `event` is for the log alone, `alarm` calls a
    person, and `waiting` calls one again and again. Use it as a context manager (`opened`)."""

    def __init__(
        self, dataset: Dataset, session_id: str, takes_left: int, alarm: Alarm, log: EventLog, attended: bool = False
    ):
        self._dataset, self._log, self._alarm = dataset, log, alarm
        self._state = DaemonState(dataset, session_id, attended)
        self._notifier = Notifier()
        self._left, self._done, self._rejected = takes_left, 0, 0
        self._durations_s: deque[float] = deque(maxlen=REMEMBERED)
        self._step: dict[str, object] = {}  # what `doing` told last
        self._finished_at: float | None = None  # on the monotonic clock; None where the time since tells nothing

    @classmethod
    @contextmanager
    def opened(
        cls,
        dataset: Dataset,
        session_id: str,
        takes_left: int,
        alarm_command: Sequence[str] = (),
        repeat_s: float = REPEAT_S,
        attended: bool = False,
    ) -> Iterator[Daemon]:
        """A daemon that is known to `buscomp status` as long as the block lasts. `attended`: a person turns knobs.
        `UsageError` for an alarm command that cannot be meant."""
        with EventLog(dataset.root / LOGS / f"{session_id}.jsonl") as log:
            where = str(dataset.root.resolve())
            alarm = Alarm(alarm_command, log, dataset=where, session_id=session_id, repeat_s=repeat_s)
            daemon = cls(dataset, session_id, takes_left, alarm, log, attended)
            log.emit("session_begins", session_id=session_id, takes_left=takes_left)
            daemon.doing("starting")
            daemon._notifier.ready(f"{takes_left} takes to do")
            try:
                yield daemon
            except KeyboardInterrupt:
                log.emit("interrupted")
                raise
            except Exception as error:
                log.emit("session_fails", error=type(error).__name__)
                alarm.sound("session_failed", str(error))
                raise
            finally:
                daemon._notifier.stopping()
                log.emit("session_ends", done=daemon._done, rejected=daemon._rejected, takes_left=daemon._left)
                alarm.close()
                daemon._notifier.close()
                daemon._state.end()

    def doing(self, what: str, *, lasts_s: float = math.inf, **fields: object) -> None:
        """`what` begins: starting, settling, fingerprint, take, paused, ...

        `lasts_s` is how long it should take at most, for a service manager's watchdog; nobody knows that of a
        person or a pause.
        Fields such as `take_id`, `song_id` and `setting_id` are told as they are; those of before are forgotten."""
        self._notifier.expect(lasts_s + GRACE_S)
        if math.isinf(lasts_s):  # how long a pause lasts says nothing about takes
            self._finished_at = None
        step = {"doing": what, "doing_since": datetime.now(UTC), "lasts_s": lasts_s, **fields}
        self._tell(**(dict.fromkeys(self._step) | step))
        self._step = step
        self._log.emit("doing", doing=what, lasts_s=lasts_s, **fields)
        song = " at ".join(str(fields[name]) for name in ("song_id", "setting_id") if fields.get(name))
        self._notifier.status(f"{what}{': ' + song if song else ''}; {self._done} takes done, {self._left} left")

    def finished(self, take_id: str, status: str, reasons: Sequence[str] = (), **fields: object) -> None:
        """A take has ended: `accepted`, or `rejected` for `reasons`."""
        now = time.monotonic()
        if self._finished_at is not None:
            self._durations_s.append(now - self._finished_at)
        self._finished_at = now
        self._done += 1
        self._rejected += status == "rejected"
        self._left -= status == "accepted"
        self._log.emit("take", take_id=take_id, status=status, reasons=list(reasons), **fields)
        self._tell()

    def planned_anew(self, take_ids: Sequence[str], reason: str) -> None:
        """Accepted takes count for nothing any more, and are to be made again."""
        self._left += len(take_ids)
        self._log.emit("planned_anew", take_ids=list(take_ids), reason=reason)
        self._tell()

    def event(self, event: str, **fields: object) -> None:
        """A line in the log."""
        self._log.emit(event, **fields)

    def alarm(self, event: str, told: str, **fields: object) -> None:
        """Something needs a person, and the capture goes on."""
        self._alarm.sound(event, told, **fields)
        self._tell()

    @contextmanager
    def waiting(self, what: str, told: str, **fields: object) -> Iterator[None]:
        """A person is waited for: `what` is what the daemon is doing, `told` the alarm, which is
        sounded now and every `repeat_s`."""
        self.doing(what, lasts_s=math.inf, **fields)
        with self._alarm.repeated(what.replace(" ", "_"), told, **fields):
            self._tell()
            yield
        self._log.emit("waiting_is_over", doing=what, **fields)

    def _tell(self, **fields: object) -> None:
        take_s = sum(self._durations_s) / len(self._durations_s) if self._durations_s else None
        eta = None if take_s is None else datetime.now(UTC) + timedelta(seconds=take_s * max(self._left, 0))
        counted: dict[str, Any] = {
            "takes_done": self._done,
            "takes_rejected": self._rejected,
            "takes_left": self._left,
            "seconds_per_take": take_s,
            "eta": eta,
            "free_bytes": shutil.disk_usage(self._dataset.root).free,
            "last_alarm": self._alarm.last,
        }
        with suppress(OSError):  # no room for a kilobyte: whoever writes the next take meets that, and says so
            self._state.tell(**counted, **fields)

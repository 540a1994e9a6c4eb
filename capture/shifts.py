"""When somebody is at the rack, and when a capture is finished therefore.

    shifts:
      start: 2026-12-01
      operator:
        - {days: [mon, tue, wed, thu, fri], visits: ["09:00", "18:00"]}   # comes, does what waits, and goes
        - {days: [sat], from: "10:00", until: "14:00"}                    # is there, and comes when the rack asks
      days_off: [2026-12-24, 2026-12-25]
      partial_passes: true

Knobs are turned while somebody is there. A pass goes on alone, overnight too; when it ends, the rack waits. With
`partial_passes` the person who leaves breaks off a pass that would end long before anybody comes back, and starts one
that lasts longer; the rest of it is made up when somebody is there anyway. Times are those of the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from ..manifests.yaml_file import Strict

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
Span = tuple[datetime, datetime]  # somebody is there from, until; the same moment twice for a short visit


def _read_time(value: Any) -> Any:
    """YAML reads 18:00 without quotes as 18 x 60 + 0."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)
    if isinstance(value, str):
        with suppress(ValueError):
            return datetime.strptime(value, "%H:%M").time()
    raise ValueError("a time of day is written as 09:00")


TimeOfDay = Annotated[time, BeforeValidator(_read_time)]


class Presence(Strict):
    """On which days somebody comes, and when: short visits, or a span of hours."""

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    visits: tuple[TimeOfDay, ...] = Field(default=(), min_length=1)
    begin: TimeOfDay | None = Field(default=None, alias="from")
    until: TimeOfDay | None = None  # before `from`: on the next day

    @model_validator(mode="after")
    def _check(self) -> Presence:
        if self.model_fields_set - {"days"} not in ({"visits"}, {"begin", "until"}):
            raise ValueError("somebody is there either at visits, or from one time until another")
        if self.begin is not None and self.begin == self.until:
            raise ValueError("from and until are the same time")
        return self

    def spans(self, day: date) -> list[Span]:
        """When somebody is there, beginning on `day`."""
        if DAYS[day.weekday()] not in self.days:
            return []
        if self.begin is None or self.until is None:
            return [(datetime.combine(day, at), datetime.combine(day, at)) for at in self.visits]
        end = datetime.combine(day, self.until)
        return [(datetime.combine(day, self.begin), end if self.until > self.begin else end + DAY)]


class Shifts(Strict):
    """`shifts:` of a grid file."""

    start: date
    operator: tuple[Presence, ...] = Field(min_length=1)
    days_off: tuple[date, ...] = ()
    partial_passes: bool = True

    def spans(self, since: datetime) -> Iterator[Span]:
        """When somebody is there at or after `since`, for ever, in order; what overlaps is one span, of a week at most
        where somebody is always there."""
        held: Span | None = None
        for days in count(-1):
            day = since.date() + days * DAY
            if day in self.days_off:
                continue
            for begin, end in sorted(span for presence in self.operator for span in presence.spans(day)):
                if held is not None and begin <= held[1] < held[0] + WEEK:
                    held = (held[0], max(held[1], end))
                    continue
                if held is not None and held[1] >= since:
                    yield held
                held = (begin, end)

    def alone_s(self, now: datetime) -> float | None:
        """Seconds from `now` until somebody comes, if the person who is there now leaves; None for one who stays: who
        is there in a span of hours that is not over."""
        for begin, end in self.spans(now):
            if begin > now:
                return (begin - now).total_seconds()
            if end > now:
                return None
        raise AssertionError("spans never end")


@dataclass
class Pass:
    """What one pass needs."""

    attended_s: float  # with somebody there: turning, and the fingerprints that prove it
    full_s: float  # alone
    left_s: float = -1.0  # of that; all of it where nothing is said

    def __post_init__(self) -> None:
        self.left_s = self.full_s if self.left_s < 0 else self.left_s

    @property
    def begun(self) -> bool:
        return self.left_s < self.full_s


@dataclass(frozen=True)
class Campaign:
    """How a capture goes by a calendar."""

    start: datetime
    finish: datetime
    working_s: float  # the unit plays
    visits: int  # how often somebody had something to do; a span of hours counts once

    @property
    def days(self) -> float:
        return (self.finish - self.start) / DAY

    @property
    def duty(self) -> float:
        """The share of the time in which the unit plays."""
        lasts_s = (self.finish - self.start).total_seconds()
        return self.working_s / lasts_s if lasts_s else 0.0

    @property
    def waiting_s(self) -> float:
        """The rest."""
        return (self.finish - self.start).total_seconds() - self.working_s


def best_pass(passes: Sequence[Pass], alone_s: float | None) -> int:
    """Which pass to go on with, or to start, for the next `alone_s` seconds with nobody there; None: somebody stays.

    Whoever stays finishes what is begun. Whoever leaves takes what keeps the rack busy longest: a pass that is begun,
    or a new one that will be finished; a new one that will not be only where there is nothing else. (One that is
    broken off costs a visit more, so a short absence is for remainders.) Of equals, the first."""
    begun = [number for number, one in enumerate(passes) if one.begun]
    if alone_s is None:
        return begun[0] if begun else 0
    busy_s = {number: min(passes[number].left_s, alone_s) for number in begun}
    for number, one in enumerate(passes):
        if not one.begun and one.attended_s + one.full_s <= alone_s:
            busy_s[number] = one.full_s
            break
    return max(busy_s, key=lambda number: busy_s[number]) if busy_s else 0


def simulate(passes: Sequence[Pass], shifts: Shifts | None, start: datetime) -> Campaign:
    """Carry out `passes` by a calendar; without one, everything turns itself. Nothing fails, nothing is made twice, and
    a pass can be broken off at any moment."""
    working_s = sum(one.left_s for one in passes)
    if shifts is None:
        lasts_s = working_s + sum(one.attended_s for one in passes)
        return Campaign(start, start + timedelta(seconds=lasts_s), working_s, 0)
    waiting = [Pass(one.attended_s, one.full_s, one.left_s) for one in passes]
    free_at = start  # when the pass under way ends
    visits = 0
    spans = shifts.spans(start)
    (begin, end), following = next(spans), next(spans)
    began_at = max(begin, start)
    under_way: Pass | None = None
    while waiting:
        worked = False
        while waiting and (now := max(free_at, begin)) <= end:
            alone_s = (following[0] - now).total_seconds() if now >= end else None
            under_way = waiting.pop(best_pass(waiting, alone_s) if shifts.partial_passes else 0)
            free_at = now + timedelta(seconds=under_way.attended_s + under_way.left_s)
            worked = True
        leaving = max(begin, end)
        if shifts.partial_passes and waiting and under_way is not None and free_at > leaving:
            left_s = (free_at - leaving).total_seconds()
            if left_s <= under_way.full_s:  # it plays already
                rest = Pass(under_way.attended_s, under_way.full_s, left_s)
                alone_s = (following[0] - leaving).total_seconds()
                chosen = best_pass([rest, *waiting], alone_s)
                if chosen:
                    under_way = waiting.pop(chosen - 1)
                    waiting.insert(0, rest)
                    free_at = leaving + timedelta(seconds=under_way.attended_s + under_way.left_s)
                    worked = True
        visits += worked
        (begin, end), following = following, next(spans)
    return Campaign(began_at, free_at, working_s, visits)

"""`capture.shifts`: what an operator's calendar makes of a capture, to the days of the table in
docs/reference/planning.md."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from buscomp.capture.shifts import Pass, Presence, Shifts, best_pass, simulate
from buscomp.manifests.errors import UsageError
from buscomp.manifests.yaml_file import load_yaml

HOUR_S = 3600.0
PASS_S = 2528.53 / 220 * HOUR_S  # 11.49 h: all 175 songs of the published dataset at one setting
START = datetime(2026, 12, 1)  # a Tuesday
WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]


def shifts(*operator: dict[str, Any], **others: Any) -> Shifts:
    return Shifts.model_validate({"start": START.date(), "operator": operator} | others)


def visits(*times: str, **others: Any) -> Shifts:
    return shifts({"visits": times}, **others)


def between(begin: str, until: str, **others: Any) -> Shifts:
    return shifts({"from": begin, "until": until}, **others)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("calendar", "days", "duty"),
    [
        (visits("09:00", partial_passes=False), 220, 0.479),
        (visits("09:00"), 220, 0.479),
        (visits("09:00", "18:00", partial_passes=False), 220, 0.479),
        (between("09:00", "18:00"), 123, 0.854),
        (between("08:00", "18:00"), 118, 0.895),
        (visits("08:00", "20:00", partial_passes=False), 110, 0.958),
        # The two figures in the middle need somebody who comes when the rack asks. With short visits alone the rest of
        # a pass that was broken off occupies the rack until the next visit:
        (visits("09:00", "18:00"), 147, 0.718),
        (visits("08:00", "13:00", "18:00"), 132, 0.798),
    ],
)
def test_220_passes_of_11_49_hours_take_the_days_of_the_table(calendar: Shifts, days: float, duty: float) -> None:
    campaign = simulate([Pass(0.0, PASS_S)] * 220, calendar, START)
    assert campaign.days == pytest.approx(days, abs=0.6)
    assert campaign.duty == pytest.approx(duty, abs=0.0025)
    assert campaign.working_s == pytest.approx(2528.53 * HOUR_S)
    assert campaign.waiting_s == pytest.approx(campaign.days * 24 * HOUR_S - campaign.working_s)


def test_147_days_are_the_fewest_that_two_short_visits_a_day_allow() -> None:
    """Each stretch between two visits holds one setting. Of 2 stretches a day one, the night, holds a whole pass; a
    pass by day needs two of the other. So 3 passes in 2 days."""
    campaign = simulate([Pass(0.0, PASS_S)] * 220, visits("09:00", "18:00"), START)
    assert campaign.days == pytest.approx(220 * 2 / 3, abs=1)


def test_a_panel_that_turns_itself_waits_for_nobody() -> None:
    campaign = simulate([Pass(30.0, PASS_S)] * 220, None, START)
    assert campaign.days == pytest.approx((2528.53 + 220 * 30 / 3600) / 24)
    assert campaign.duty > 0.999
    assert campaign.visits == 0


def test_turning_is_done_with_somebody_there_and_lengthens_the_campaign() -> None:
    campaign = simulate([Pass(1800.0, 2 * HOUR_S)] * 3, visits("09:00"), START)
    assert campaign.finish == at("2026-12-03 11:30")
    assert (campaign.visits, campaign.working_s) == (3, 6 * HOUR_S)


def test_a_pass_that_lasts_over_the_weekend_goes_on_and_the_rack_waits_for_monday() -> None:
    workdays = shifts({"days": WORKDAYS, "visits": ["09:00", "18:00"]}, partial_passes=False)
    campaign = simulate([Pass(0.0, 60 * HOUR_S)] * 3, workdays, at("2026-12-04"))
    # Friday 9:00 to Sunday 21:00, Monday 9:00 to Wednesday 21:00, Thursday 9:00 to Saturday 21:00
    assert campaign.finish == at("2026-12-12 21:00")
    assert campaign.waiting_s == 24 * HOUR_S


def test_whoever_is_there_for_hours_starts_the_next_pass_as_soon_as_one_ends() -> None:
    campaign = simulate([Pass(0.0, 2 * HOUR_S)] * 6, between("09:00", "14:00", partial_passes=False), START)
    assert campaign.finish == at("2026-12-02 15:00")  # 3 passes a day: the third runs on alone


def test_who_leaves_breaks_off_a_short_rest_for_a_pass_that_fills_the_night() -> None:
    two = [Pass(0.0, 10 * HOUR_S)] * 2
    campaign = simulate(two, between("09:00", "18:00"), START)  # 9 h, then 10 h overnight, then the rest of 1 h
    assert campaign.finish == at("2026-12-02 10:00")
    assert simulate(two, between("09:00", "18:00", partial_passes=False), START).finish == at("2026-12-02 19:00")


def test_a_pass_longer_than_any_night_is_left_running() -> None:
    campaign = simulate([Pass(60.0, 100 * HOUR_S)] * 2, visits("09:00", "18:00"), START)
    assert campaign.finish == at("2026-12-05 18:00") + timedelta(seconds=60 + 100 * HOUR_S)


def test_days_off_are_off_and_a_night_shift_ends_on_the_next_day() -> None:
    calendar = shifts({"from": "22:00", "until": "06:00"}, days_off=[date(2026, 12, 2)])
    spans = calendar.spans(at("2026-12-02 01:00"))
    assert next(spans) == (at("2026-12-01 22:00"), at("2026-12-02 06:00"))
    assert next(spans) == (at("2026-12-03 22:00"), at("2026-12-04 06:00"))


def test_overlapping_presence_is_one_span() -> None:
    calendar = shifts({"from": "09:00", "until": "13:00"}, {"from": "12:00", "until": "17:00"}, {"visits": ["10:00"]})
    spans = calendar.spans(START)
    assert next(spans) == (at("2026-12-01 09:00"), at("2026-12-01 17:00"))
    assert next(spans) == (at("2026-12-02 09:00"), at("2026-12-02 17:00"))


def test_somebody_who_is_always_there_lets_nothing_wait() -> None:
    always = shifts({"from": "08:00", "until": "20:00"}, {"from": "19:00", "until": "09:00"})
    campaign = simulate([Pass(60.0, 5 * HOUR_S)] * 100, always, at("2026-12-01 08:00"))
    assert campaign.days * 24 == pytest.approx(100 * (5 + 1 / 60))


def test_how_long_the_rack_will_be_alone() -> None:
    assert visits("09:00", "18:00").alone_s(at("2026-12-01 09:00")) == 9 * HOUR_S
    assert visits("09:00", "18:00").alone_s(at("2026-12-01 18:00")) == 15 * HOUR_S
    assert visits("09:00", "18:00").alone_s(at("2026-12-01 18:20")) == pytest.approx(14 * HOUR_S + 2400)
    assert between("09:00", "18:00").alone_s(at("2026-12-01 12:00")) is None
    assert between("09:00", "18:00").alone_s(at("2026-12-01 18:00")) == 15 * HOUR_S


def test_which_pass_suits() -> None:
    new, rest = Pass(60.0, 11 * HOUR_S), Pass(60.0, 11 * HOUR_S, 2 * HOUR_S)
    assert best_pass([new, rest], None) == 1  # who stays finishes what is begun
    assert best_pass([new, rest], 15 * HOUR_S) == 0  # the night is for a whole pass
    assert best_pass([new, rest], 9 * HOUR_S) == 1  # a new one would be broken off again
    assert best_pass([new, new], 9 * HOUR_S) == 0
    assert best_pass([rest, Pass(60.0, 11 * HOUR_S, 8 * HOUR_S)], 9 * HOUR_S) == 1


SPANS = st.one_of(
    st.lists(st.integers(0, 23), min_size=1, max_size=3, unique=True).map(
        lambda hours: {"visits": [f"{hour:02}:00" for hour in hours]}
    ),
    st.tuples(st.integers(0, 23), st.integers(1, 23)).map(
        lambda pair: {"from": f"{pair[0]:02}:00", "until": f"{sum(pair) % 24:02}:00"}
    ),
)


@settings(deadline=None, max_examples=60)
@given(
    operator=st.lists(SPANS, min_size=1, max_size=2),
    hours=st.lists(st.floats(0.1, 40), min_size=1, max_size=20),
    partial=st.booleans(),
)
def test_no_calendar_is_faster_than_the_clock_and_none_loses_work(
    operator: list[dict[str, Any]], hours: list[float], partial: bool
) -> None:
    passes = [Pass(120.0, hour * HOUR_S) for hour in hours]
    campaign = simulate(passes, shifts(*operator, partial_passes=partial), START)
    nonstop = simulate(passes, None, START)
    assert campaign.working_s == pytest.approx(sum(hours) * HOUR_S)
    assert campaign.finish - campaign.start >= nonstop.finish - nonstop.start - timedelta(milliseconds=1)
    assert campaign.visits >= 1
    assert [one.left_s for one in passes] == [hour * HOUR_S for hour in hours]  # what was given is not changed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{days: [mon, tuesday], visits: [09:00]}", ":4: operator.0.days.1: Input should be 'mon', 'tue'"),
        ("{days: [mon], visits: [25:00]}", ":4: operator.0.visits.0: a time of day is written as 09:00"),
        ("{days: [mon], visits: [9am]}", ":4: operator.0.visits.0: a time of day is written as 09:00, got '9am'"),
        ("{days: [mon]}", ":4: operator.0: somebody is there either at visits, or from one time until another"),
        ("{from: 09:00, visits: [10:00]}", ":4: operator.0: somebody is there either at visits"),
        ("{from: 09:00, until: 09:00}", ":4: operator.0: from and until are the same time"),
        ("{visits: []}", ":4: operator.0.visits: Tuple should have at least 1 item"),
        ("{visits: [true]}", ":4: operator.0.visits.0: a time of day is written as 09:00"),
    ],
)
def test_a_mistake_in_the_calendar_is_one_line_with_its_number(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "shifts.yaml"
    path.write_text(f"start: 2026-12-01\npartial_passes: true\noperator:\n  - {text}\n")
    with pytest.raises(UsageError) as raised:
        load_yaml(path, Shifts)
    assert str(raised.value).startswith(f"shifts.yaml{message}")


def test_times_without_quotes_are_read_as_they_are_meant_though_yaml_makes_numbers_of_them(tmp_path: Path) -> None:
    path = tmp_path / "shifts.yaml"
    path.write_text(
        "start: 2026-12-01\noperator: [{visits: [09:00, 18:00, '13:30', 0:05]}, {from: 9:30, until: 17:00}]\n"
    )
    read = load_yaml(path, Shifts)
    assert read.operator[0].visits == (time(9), time(18), time(13, 30), time(0, 5))
    assert (read.operator[1].begin, read.operator[1].until) == (time(9, 30), time(17))


def test_a_calendar_in_which_nobody_comes_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        shifts()
    with pytest.raises(ValidationError, match="at least 1 item"):
        Presence.model_validate({"days": [], "visits": ["09:00"]})

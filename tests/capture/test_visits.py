"""`capture.visits`: anchors and calibrations between the passes, and what is left of them when a capture goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.grid import Grid, load_grid
from buscomp.capture.plan import Plan, make_plan
from buscomp.capture.profiles import find_profile
from buscomp.capture.visits import Visit, calibration_settings, remaining_visits, visits
from buscomp.manifests.journal import Journal
from buscomp.manifests.unit import load_unit

NOWHERE = Path("/nonexistent")
SSL = load_unit(find_profile("ssl-500-bus", NOWHERE, "unit"))
LA2A = load_unit(find_profile("la-2a", NOWHERE, "unit"))
SHIPPED = load_grid(find_profile("grid", NOWHERE, "grid"))
GRID = {
    "unit": "la-2a",
    "factors": {"peak_reduction": [10, 20, 30, 40, 50], "mode": ["compress", "limit"]},
    "expect": 10,
    "anchor": {"every": 3},
    "calibrate": ["peak_reduction"],
}
SONGS = [
    {"song_id": name, "status": "accepted", "dry_sha256": name * 64, "sample_rate": 100, "frames": 1000, "channels": 2}
    for name in "ab"
]


@cache
def plan_as(changes: str) -> Plan:
    return make_plan(SONGS, Grid.model_validate(GRID | json.loads(changes)), LA2A)


def plan_of(**changes: Any) -> Plan:
    return plan_as(json.dumps(changes))


def fingerprint(visit: Visit, occasion: str | None = None, unit_id: str | None = None, **others: Any) -> dict[str, Any]:
    row = {"setting_id": visit.setting.setting_id, "occasion": occasion or visit.kind, "verdict": "match"}
    return row | {"unit_id": unit_id or LA2A.unit_id, "override_reason": None} | others


def kinds(found: Iterable[Visit]) -> str:
    return "".join(visit.kind[0] for visit in found)


def after(plan: Plan, done: Iterable[Visit]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """What a journal holds after some visits: seconds of songs left by setting, and the fingerprints."""
    left = {setting.setting_id: plan.songs_s(setting) for setting in plan.settings}
    rows = []
    for visit in done:
        if visit.kind == "pass":
            del left[visit.setting.setting_id]
            rows += [fingerprint(visit, "begin"), fingerprint(visit, "end")]
        else:
            rows.append(fingerprint(visit))
    return left, rows


def test_calibrations_come_first_and_an_anchor_before_every_third_pass_and_at_the_end() -> None:
    plan = plan_of()
    assert kinds(plan.visits) == "c" * 10 + "appp" * 3 + "ap" + "a"
    assert [visit.setting for visit in plan.visits if visit.kind == "anchor"] == [plan.anchor] * 5
    assert [visit.setting for visit in plan.visits if visit.kind == "pass"] == list(plan.settings)


def test_without_anchor_and_calibration_there_are_passes_alone() -> None:
    assert kinds(plan_of(anchor=None, calibrate=[]).visits) == "p" * 10


def test_a_session_warms_up_at_the_setting_that_it_visits_first() -> None:
    plan = plan_of(warm_up={})
    assert kinds(plan.visits)[:3] == "wcc"
    assert plan.visits[0].setting == plan.visits[1].setting
    left, rows = after(plan, plan.visits[:-2])
    assert kinds(visits(plan, left, rows)) == "wpa"  # a warm-up is done again, for who knows how long the rack was off


def test_when_everything_is_done_nothing_is_left_to_warm_up_for() -> None:
    plan = plan_of(warm_up={})
    assert visits(plan, *after(plan, plan.visits)) == ()


def test_the_anchor_is_in_the_middle_of_the_grid_or_where_the_file_says() -> None:
    anchor = plan_of().anchor
    assert anchor is not None
    assert (anchor.values["peak_reduction"], anchor.values["mode"], anchor.origin) == (30, "compress", "grid")
    elsewhere = plan_of(anchor={"setting": {"peak_reduction": 55, "mode": "limit"}}).anchor
    assert elsewhere is not None
    assert elsewhere.setting_id == "pea55_modlimit"


@pytest.mark.parametrize("done", range(24))
def test_whatever_was_done_is_not_done_again_and_the_rest_is_done_in_the_same_order(done: int) -> None:
    plan = plan_of()
    left, rows = after(plan, plan.visits[:done])
    assert visits(plan, left, rows) == plan.visits[done:]


def test_a_pass_that_was_broken_off_goes_on_without_another_anchor() -> None:
    plan = plan_of()
    left, rows = after(plan, plan.visits[:14])
    assert kinds(plan.visits[:14]) == "c" * 10 + "appp"
    rows += [fingerprint(plan.visits[14]), fingerprint(plan.visits[15], "begin")]  # the anchor, and the pass begins
    assert visits(plan, left, rows) == plan.visits[15:]


def test_an_anchor_that_is_asked_for_in_the_middle_of_a_capture_comes_once_and_not_once_a_session() -> None:
    without = plan_of(anchor=None)
    left, rows = after(without, without.visits[:15])
    plan = plan_of()
    found = visits(plan, left, rows)
    assert kinds(found) == "appp" + "appa"
    _, more = after(plan, found[:2])
    del left[found[1].setting.setting_id]
    assert kinds(visits(plan, left, rows + more)) == "pp" + "appa"


def test_a_fingerprint_that_did_not_match_does_not_count_unless_somebody_took_it_as_it_is() -> None:
    plan = plan_of()
    left, rows = after(plan, plan.visits[:10])
    wrong = [*rows[:-1], rows[-1] | {"verdict": "mismatch"}]
    assert kinds(visits(plan, left, wrong)) == "c" + kinds(plan.visits[10:])
    taken = [*rows[:-1], rows[-1] | {"verdict": "mismatch", "override_reason": "Ann: the knob is loose"}]
    assert visits(plan, left, taken) == plan.visits[10:]


def test_with_two_units_a_calibration_is_done_when_both_have_it() -> None:
    plan = make_plan(SONGS, Grid.model_validate(GRID), LA2A, ("one", "two"))
    first, second = plan.visits[:2]
    both = [fingerprint(first, unit_id="one"), fingerprint(first, unit_id="two"), fingerprint(second, unit_id="one")]
    assert visits(plan, after(plan, ())[0], both) == plan.visits[1:]


def test_calibration_visits_every_position_of_attack_that_is_planned_twice_and_never_twice_in_succession() -> None:
    planned = SHIPPED.settings(SSL)
    found = calibration_settings(SSL, planned, ["attack_ms"])
    assert Counter(setting.values["attack_ms"] for setting in found) == dict.fromkeys((0.1, 0.3, 1, 3, 10, 30), 2)
    assert all(before != after for before, after in pairwise(found))
    assert all(any(setting is one for one in planned) for setting in found)
    for setting in found:  # deep compression
        assert float(setting.values["threshold_db"]) <= -24
        assert float(setting.values["ratio"]) >= 4


def test_eleven_settings_touch_every_position_of_the_four_knobs_for_threshold_has_eleven_dots() -> None:
    found = calibration_settings(SSL, SHIPPED.settings(SSL), ["threshold_db", "attack_ms", "release_s", "ratio"])
    assert len(found) == 2 * 11
    for name, control in SSL.controls.items():
        if control.held is None:
            assert {setting.values[name] for setting in found} == set(control.positions)


def test_a_control_that_stays_where_it_is_has_nothing_to_calibrate() -> None:
    assert calibration_settings(SSL, SHIPPED.settings(SSL), ["makeup_db"]) == ()


def test_in_the_evening_a_whole_pass_comes_first_and_by_day_the_rest_of_the_one_that_was_broken_off() -> None:
    calendar = {"start": "2026-12-01", "operator": [{"visits": ["09:00", "18:00"]}]}
    songs = [SONGS[0] | {"frames": 100 * 3600 * 11}]  # 11 h, more than a day of 9 h, less than a night of 15 h
    plan = make_plan(songs, Grid.model_validate(GRID | {"shifts": calendar, "anchor": None, "calibrate": []}), LA2A)
    left = {setting.setting_id: plan.songs_s(setting) for setting in plan.settings}
    left[plan.settings[0].setting_id] = 2 * 3600.0
    evening = visits(plan, left, (), datetime(2026, 12, 1, 18, 5))
    assert evening[:2] == (plan.visits[1], plan.visits[0])
    assert visits(plan, left, (), datetime(2026, 12, 2, 9, 5)) == plan.visits
    assert sorted(map(repr, evening)) == sorted(map(repr, plan.visits))


@pytest.mark.parametrize("shifts", [None, {"start": "2026-12-01", "operator": [{"visits": ["09:00"]}]}])
def test_the_journal_says_what_is_left(tmp_path: Path, shifts: dict[str, Any] | None) -> None:
    plan = plan_of(**({"shifts": shifts} if shifts else {}))
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.plan(plan.takes_rows, {})
        assert remaining_visits(plan, journal) == plan.visits
        for take in journal.planned(plan.settings[0].setting_id):
            journal.accept(take["take_id"], {})
        for number, visit in enumerate(plan.visits[:12]):
            occasion = "begin" if visit.kind == "pass" else None
            journal.add_fingerprint(fingerprint(visit, occasion, fingerprint_id=f"f{number:06d}", session_id="s"))
        assert remaining_visits(plan, journal) == plan.visits[12:]


@settings(deadline=None, max_examples=40)
@given(every=st.integers(1, 12), stops=st.lists(st.integers(1, 8), min_size=1, max_size=8))
def test_in_however_many_sessions_every_pass_is_carried_out_once_and_no_more_than_every_passes_lie_between_anchors(
    every: int, stops: list[int]
) -> None:
    plan = plan_of(anchor={"every": every})
    done: list[Visit] = []
    for stop in [*stops, 1000]:
        done += visits(plan, *after(plan, done))[:stop]
    assert done == list(plan.visits)
    between = kinds(visit for visit in done if visit.kind != "calibration").split("a")
    assert between[0] == between[-1] == ""
    assert {len(run) for run in between[1:-2]} <= {every}
    assert len(between[-2]) <= every

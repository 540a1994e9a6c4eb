"""`capture.warm_up`: the gate opens when the gain stands still, not when noise makes it seem so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.warm_up import WarmUp, WarmUpRule

RULE = WarmUpRule()
EVERY_S = 7.0  # one fingerprint after the other, at a setting that settles fast


def opened_s(gain_db: np.ndarray, rule: WarmUpRule = RULE, every_s: float = EVERY_S) -> tuple[str, float]:
    """What the gate answers to gains that are measured every so many seconds, and when it stops waiting."""
    gate = WarmUp(rule)
    for number, gain in enumerate(gain_db):
        answer = gate.add(100.0 + number * every_s, float(gain))
        if answer != "wait":
            return answer, number * every_s
    return "wait", len(gain_db) * every_s


def clock(minutes: float, every_s: float = EVERY_S) -> np.ndarray:
    return np.arange(0, minutes * 60, every_s)


def noise(size: int, std_db: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, std_db, size)


@pytest.mark.parametrize("std_db", [0.0, 0.001, 0.003])
def test_a_warm_unit_is_known_after_three_minutes_where_fingerprints_repeat_within_3_thousandths(std_db: float) -> None:
    for seed in range(20):
        answer, at_s = opened_s(noise(600, std_db, seed))
        assert (answer, at_s <= 300) == ("warm", True)
        assert at_s >= 180


def test_a_warm_unit_whose_fingerprints_scatter_by_a_hundredth_is_known_within_fifteen_minutes() -> None:
    assert max(opened_s(noise(600, 0.01, seed))[1] for seed in range(20)) < 900
    assert {opened_s(noise(600, 0.01, seed))[0] for seed in range(20)} == {"warm"}


@pytest.mark.parametrize("drift_db_per_10_min", [0.03, -0.03, 0.1])
def test_a_unit_that_drifts_half_as_much_again_as_the_limit_is_late_after_an_hour(drift_db_per_10_min: float) -> None:
    at_s = clock(70)
    for seed in range(10):
        answer, stopped_s = opened_s(drift_db_per_10_min * at_s / 600 + noise(len(at_s), 0.003, seed))
        assert answer == "late"
        assert stopped_s == pytest.approx(3600, abs=EVERY_S)


def test_a_unit_that_warms_up_exponentially_is_let_in_when_its_slope_is_under_the_limit_and_not_before() -> None:
    at_s, time_constant_s = clock(120), 900.0
    gain_db = 0.33 * np.exp(-at_s / time_constant_s)  # 10 dB of gain reduction, 10 degrees
    flat_s = time_constant_s * math.log(0.33 / time_constant_s * 600 / RULE.drift_db_per_10_min)
    for seed in range(10):
        answer, at = opened_s(gain_db + noise(len(at_s), 0.002, seed), WarmUpRule(minutes_most=120))
        assert answer == "warm"
        assert flat_s - 60 < at < flat_s + 600
        left_db_per_10_min = 0.33 * (math.exp(-at / time_constant_s) - math.exp(-(at + 600) / time_constant_s))
        assert left_db_per_10_min < RULE.drift_db_per_10_min


def test_a_knob_that_is_bumped_keeps_the_gate_shut_until_it_is_ten_minutes_ago() -> None:
    gain_db = noise(600, 0.001, 0)
    gain_db[20:] += 0.5  # after 140 s
    answer, at_s = opened_s(gain_db)
    assert answer == "warm"
    assert at_s == pytest.approx(140 + 600, abs=2 * EVERY_S)


def test_one_fingerprint_that_went_wrong_delays_and_does_not_open() -> None:
    gain_db = noise(600, 0.001, 0)
    gain_db[10] = 1.0
    answer, at_s = opened_s(gain_db)
    assert answer == "warm"
    assert 600 <= at_s <= 700


def test_the_slope_is_told_for_the_message() -> None:
    gate = WarmUp(RULE)
    assert math.isnan(gate.drift_db_per_10_min)
    for at_s in clock(5):
        gate.add(float(at_s), 0.05 * at_s / 600)
    assert gate.drift_db_per_10_min == pytest.approx(0.05)


def test_fingerprints_at_auto_come_every_half_minute_and_open_the_gate_too() -> None:
    answer, at_s = opened_s(noise(120, 0.001, 0), every_s=30.0)
    assert (answer, at_s < 420) == ("warm", True)


@settings(deadline=None, max_examples=50)
@given(
    level_db=st.floats(-60, 60),
    std_db=st.floats(0, 0.05),
    seed=st.integers(0, 10**6),
    every_s=st.floats(3, 60),
)
def test_the_answer_does_not_depend_on_the_level_and_never_comes_before_three_minutes(
    level_db: float, std_db: float, seed: int, every_s: float
) -> None:
    gain_db = noise(300, std_db, seed)
    answer, at_s = opened_s(gain_db, every_s=every_s)
    again, then_s = opened_s(gain_db + level_db, every_s=every_s)
    assert at_s >= 180
    assert abs(then_s - at_s) <= every_s or std_db < 1e-9  # rounding may shift a close call by one
    assert answer in ("warm", "late", "wait")
    assert again in ("warm", "late", "wait")


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="gain_db must be a number, got nan"):
        WarmUp(RULE).add(0.0, math.nan)

"""`capture.settling`: how long the unit rests before a take."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from buscomp.capture.profiles import find_profile
from buscomp.capture.settling import settle_s
from buscomp.manifests.unit import Control, Position, Unit, load_unit

SSL = load_unit(find_profile("ssl-500-bus", Path("/nonexistent"), "unit"))
LA2A = load_unit(find_profile("la-2a", Path("/nonexistent"), "unit"))


@pytest.mark.parametrize(
    ("release_s", "expected_s"), [(0.1, 0.5), (0.2, 0.92), (0.8, 3.68), (1.6, 7.37), ("auto", 23.49)]
)
def test_a_take_waits_4_6_release_times_and_half_a_second_at_least(release_s: Position, expected_s: float) -> None:
    values = SSL.setting({"threshold_db": -20, "attack_ms": 1, "release_s": release_s, "ratio": 4}, "grid").values
    assert settle_s(SSL, values) == pytest.approx(expected_s, abs=0.005)


@pytest.mark.parametrize("release_s", [0.1, 1.6, "auto"])
def test_a_contiguous_stream_waits_half_a_second_whatever_the_release(release_s: Position) -> None:
    values = SSL.setting({"threshold_db": -20, "attack_ms": 1, "release_s": release_s, "ratio": 4}, "grid").values
    assert settle_s(SSL, values, "contiguous") == 0.5
    assert settle_s(SSL, values, "silence") == settle_s(SSL, values) >= 0.5


def test_after_settling_ten_db_of_gain_reduction_are_a_tenth() -> None:
    values = SSL.setting({"threshold_db": -20, "attack_ms": 1, "release_s": 0.8, "ratio": 4}, "grid").values
    assert 10 * math.exp(-settle_s(SSL, values) / 0.8) == pytest.approx(0.1)


def test_a_unit_without_a_release_control_waits_for_its_slow_recovery() -> None:
    values = LA2A.setting({"peak_reduction": 50, "mode": "limit"}, "grid").values
    assert settle_s(LA2A, values) == pytest.approx(23.03, abs=0.005)


def test_a_release_in_milliseconds_is_a_release() -> None:
    release = Control(label="RELEASE", kind="pot", positions=(50, 1000), short="rel", meaning="release time")
    unit = Unit(make="M", model="N", controls={"release_ms": release}, slow_release_s=9)
    assert settle_s(unit, {"release_ms": 1000.0}) == pytest.approx(4.605, abs=0.001)

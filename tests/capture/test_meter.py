"""Readings of a meter as levels: what is understood, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.capture.meter import dbu_at_0dbfs, parse_reading, volts_to_dbu
from buscomp.manifests.errors import UsageError


@pytest.mark.parametrize(
    ("text", "dbu"),
    [
        ("0.7746V", 0.0),
        ("1.2277 V rms", 4.0),
        ("775mV", 0.004),
        ("+4dBu", 4.0),
        ("-2.2 dBV", 0.018),
        (".5v", -3.802),
        ("1.V", 2.218),
    ],
)
def test_a_reading_is_a_level_in_dbu(text: str, dbu: float):
    assert parse_reading(text) == pytest.approx(dbu, abs=1e-3)


@pytest.mark.parametrize("text", ["", "1.23", "V", "1,23V", "-1V", "0V", "1e3V", "nanV", "4 dB", "1.23V 4dBu"])
def test_what_is_no_reading_is_refused(text: str):
    with pytest.raises(UsageError, match=r"no reading|above zero"):
        parse_reading(text)


@given(st.floats(0.001, 30), st.floats(-46, -1))
def test_full_scale_is_the_reading_raised_by_as_much_as_the_tone_is_below_it(volts: float, tone_dbfs: float):
    level = volts_to_dbu(volts) - tone_dbfs
    if -20 <= level <= 40:
        assert dbu_at_0dbfs(volts_to_dbu(volts), tone_dbfs) == level
    else:
        with pytest.raises(UsageError, match="no interface has such a level"):
            dbu_at_0dbfs(volts_to_dbu(volts), tone_dbfs)


def test_a_meter_that_shows_346_mv_for_minus_20_dbfs_means_13_dbu_at_full_scale():
    assert dbu_at_0dbfs(parse_reading("0.346V"), -20) == pytest.approx(13.0, abs=0.01)  # RME at +4 dBu

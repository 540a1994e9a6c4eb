"""Reason codes, and the page that explains them."""

from __future__ import annotations

import re
from pathlib import Path

from buscomp.capture import return_level, song_check, time_check
from buscomp.capture.reasons import OVERRIDABLE, Reason

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checks.md"


def test_every_reason_is_a_plain_code_with_a_meaning():
    assert Reason.XRUN.value == "xrun"
    for reason in Reason:
        assert reason == reason.value == reason.name.lower()
        assert len(reason.meaning) > 20


def test_nobody_can_overrule_a_take_without_aligned_audio():
    without_audio = {"frames", "not_finite", "device_lost", "silent_return", "probe_not_found"}
    assert set(Reason) - OVERRIDABLE == without_audio | {"retake"}


def test_the_page_has_one_row_for_every_code_with_its_meaning():
    rows = dict(re.findall(r"^\| `(\w+)`\*? \| (.*?) \|", PAGE.read_text(), re.MULTILINE))
    assert list(rows) == [reason.value for reason in Reason]
    for reason in Reason:
        assert rows[reason.value] == reason.meaning


def test_meanings_tell_the_thresholds_that_the_checks_use():
    for reason, told in (
        (Reason.STATIC_GAIN, f"{return_level.STATIC_GAIN_LIMIT_DB} dB"),
        (Reason.STATIC_GAIN, f"{return_level.IMBALANCE_LIMIT_DB:g} dB"),
        (Reason.MISSING_RETURN, f"{return_level.SILENT_BELOW_PREDICTED_DB:g} dB"),
        (Reason.SILENT_RETURN, f"{return_level.SILENT_BELOW_PREDICTED_DB:g} dB"),
        (Reason.CLOCK_DRIFT, f"{time_check.CLOCK_DRIFT_SAMPLES} sample"),
        (Reason.LATENCY_JUMP, f"{time_check.LATENCY_JUMP_SAMPLES} sample"),
        (Reason.XRUN, f"{song_check.PROVEN_SAMPLES} sample"),
    ):
        assert told in reason.meaning

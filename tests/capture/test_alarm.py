"""Alarms run a command of the user's, beside the capture and never in its way."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buscomp.capture.alarm import WAITING, Alarm, check_command
from buscomp.capture.event_log import EventLog
from buscomp.manifests.errors import UsageError


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "never"
        time.sleep(0.01)


def make(tmp_path: Path, *command: str, **options: float) -> Alarm:
    log = EventLog(tmp_path / "log.jsonl")
    return Alarm(command, log, dataset="/data/mine", session_id="s1", **options)


def logged(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]


KEEP = "import sys; open(sys.argv[1], 'a').write(' '.join(sys.argv[2:]) + '|' + sys.stdin.read() + '\\n')"


def test_the_command_gets_the_words_it_asks_for_and_the_whole_alarm_on_its_standard_input(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    alarm = make(tmp_path, sys.executable, "-c", KEEP.replace("{", "{{"), str(heard), "{event}: {told} in {dataset}")
    alarm.sound("knob", "threshold looks like -20, $(touch no-shell)", setting_id="s-20")
    alarm.close(wait_s=20)
    words, _, document = heard.read_text().partition("|")
    assert words == "knob: threshold looks like -20, $(touch no-shell) in /data/mine"
    told = json.loads(document)
    assert (told["event"], told["setting_id"], told["session_id"]) == ("knob", "s-20", "s1")
    assert [row["event"] for row in logged(tmp_path)] == ["alarm"]


def test_without_a_command_an_alarm_is_logged_all_the_same(tmp_path: Path) -> None:
    alarm = make(tmp_path)
    alarm.sound("disk", "3 hours are left")
    alarm.close()
    assert [(row["event"], row["alarm"], row["told"]) for row in logged(tmp_path)] == [
        ("alarm", "disk", "3 hours are left")
    ]
    assert (alarm.last or {}).get("event") == "disk"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("/nowhere/at-all", "{told}"), "No such file"),
        ((sys.executable, "-c", "print('no network'); raise SystemExit(3)"), "exit status 3: no network"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "timed out after 0.3 seconds"),
    ],
)
def test_a_command_that_fails_or_hangs_is_logged_with_its_reason(
    tmp_path: Path, command: tuple[str, ...], why: str
) -> None:
    alarm = make(tmp_path, *command, timeout_s=0.3 if "sleep" in command[-1] else 20.0)
    began = time.monotonic()
    alarm.sound("disk", "full")
    assert time.monotonic() - began < 0.2, "an alarm holds nobody up"
    until(lambda: len(logged(tmp_path)) == 2)
    failed = logged(tmp_path)[1]
    assert failed["event"] == "alarm_failed"
    assert why in failed["why"]
    alarm.close()


def test_a_person_who_does_not_come_is_called_again_and_again_until_the_wait_is_over(tmp_path: Path) -> None:
    alarm = make(tmp_path, repeat_s=0.02)
    with alarm.repeated("operator", "turn the knobs", setting_id="s-20"):
        until(lambda: len(logged(tmp_path)) >= 4)
    time.sleep(0.05)
    calls = len(logged(tmp_path))
    time.sleep(0.1)
    assert len(logged(tmp_path)) == calls
    assert logged(tmp_path)[0]["told"] == "turn the knobs"
    assert logged(tmp_path)[3]["told"] == "turn the knobs (for 0 min)"
    assert {row["setting_id"] for row in logged(tmp_path)} == {"s-20"}


def test_alarms_behind_a_slow_command_are_dropped_into_the_log_and_closing_does_not_wait_for_them(
    tmp_path: Path,
) -> None:
    alarm = make(tmp_path, sys.executable, "-c", "import time; time.sleep(60)", timeout_s=2.0)
    for number in range(2 * WAITING):
        alarm.sound("disk", f"call {number}")
    began = time.monotonic()
    alarm.close(wait_s=0.1)
    assert time.monotonic() - began < 1.0
    dropped = [row for row in logged(tmp_path) if row["event"] == "alarm_dropped"]
    assert WAITING - 1 <= len(dropped) <= WAITING


@pytest.mark.parametrize("word", ["{nonsense}", "{told", "{}", "{told.__class__}"])
def test_a_brace_that_means_nothing_is_refused_before_the_capture(word: str) -> None:
    with pytest.raises(UsageError, match="alarm command"):
        check_command(["notify-send", word])

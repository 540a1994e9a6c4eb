"""Which panel a profile means, and what the operator in the terminal is told and may answer."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from buscomp.capture.big_letters import GLYPHS, HEIGHT, WIDTH, big
from buscomp.capture.command_panel import CommandPanel, order
from buscomp.capture.device import DeviceProfile
from buscomp.capture.operator_panel import OperatorPanel
from buscomp.capture.panel import AGAIN, Answer, OperatorStopped, PanelChoice, open_panel
from buscomp.manifests.errors import UsageError
from buscomp.manifests.unit import Setting, Unit, load_unit
from buscomp.manifests.yaml_file import load_yaml
from buscomp.tests.small_dataset import UNIT_PATH

SSL = load_unit(UNIT_PATH)
HELD = "   stays there for the whole dataset"


def setting(**changes: Any) -> Setting:
    return SSL.setting({"threshold_db": -28, "attack_ms": 0.1, "release_s": "auto", "ratio": 4} | changes, "grid")


def bring(
    typed: str, to: Setting, before: Setting | None, capsys: pytest.CaptureFixture[str], serial: str | None = None
) -> str:
    OperatorPanel(SSL, io.StringIO(typed), serial).bring(to, before)
    return capsys.readouterr().out


def test_the_first_visit_names_every_control_as_the_panel_prints_it_and_the_held_ones_as_held(capsys):
    told = bring("\n", setting(), None, capsys)
    assert "==> Set the unit to thr-28_att0p1_relauto_rat4\n" in told
    assert [line.removesuffix(HELD).split() for line in re.findall(r"^ {6}(\S.*)$", told, re.M)] == [
        ["THRESHOLD", "-8", "dB"],  # -28 in the dataset: the panel reads 20 dB more
        ["ATTACK", "0.1", "ms"],
        ["RELEASE", "AUTO"],
        ["RATIO", "4"],
        ["MAKE", "UP", "0", "dB"],
        ["HPF", "OFF"],
        ["IN", "ON"],
    ]
    assert told.count(HELD) == 3


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ratio": 10}, "RATIO        10   (from 4: 2 detents clockwise)"),
        ({"ratio": 3}, "RATIO        3   (from 4: 1 detent anticlockwise)"),
        ({"threshold_db": -20}, "THRESHOLD    0 dB   (from -8 dB: 2 marks clockwise)"),
        ({"release_s": 1.6}, "RELEASE      1.6 s   (from AUTO: 1 detent anticlockwise)"),
        ({"engaged": False}, "IN           OFF   (from ON)"),  # a button has no direction, and is not where it is held
    ],
)
def test_a_move_is_told_with_where_from_how_many_detents_and_which_way(changes, line, capsys):
    told = bring("\n", setting(**changes), setting(), capsys)
    assert re.findall(r"^ {6}(\S.*)$", told, re.M) == [line]


def test_with_several_units_the_operator_hears_which_one(capsys):
    assert "rat4   (unit B-17)" in bring("\n", setting(), None, capsys, serial="B-17")


def test_r_says_it_again_and_only_enter_goes_on(capsys):
    told = bring("r\nwhat\n \nnever read\n", setting(ratio=2), setting(), capsys)
    assert told.count("==> Set the unit to") == 2
    assert told.count("Press Enter") == 3


def test_q_is_an_orderly_stop_and_nobody_there_is_a_usage_error(capsys):
    with pytest.raises(OperatorStopped) as stopped:
        bring("q\n", setting(), None, capsys)
    assert isinstance(stopped.value, KeyboardInterrupt)
    with pytest.raises(UsageError, match="nobody answered"):
        bring("", setting(), None, capsys)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("\n", AGAIN),
        ("r\n\n", AGAIN),
        ("a\na  the meter agrees \n", Answer("accept", "the meter agrees")),
        ("q\n", Answer("stop")),
    ],
)
def test_a_mismatch_is_measured_again_or_taken_with_a_reason_or_ends_the_session(typed, answer, capsys):
    panel = OperatorPanel(SSL, io.StringIO(typed))
    assert panel.correct(setting(), "looks like release 0.8, plan says 0.4") == answer
    told = capsys.readouterr().out
    assert "The audio says: looks like release 0.8, plan says 0.4" in told
    assert "RELEASE      AUTO" in told
    assert "Set the unit to" not in told  # nothing new is asked for


TYPED_TOO_EARLY = """
import io, sys, time
from pathlib import Path
from buscomp.capture.operator_panel import OperatorPanel
from buscomp.manifests.unit import load_unit
unit = load_unit(Path(sys.argv[1]))
values = {"threshold_db": -28, "attack_ms": 0.1, "release_s": "auto", "ratio": 4}
one, two = (unit.setting(values | {"ratio": ratio}, "grid") for ratio in (4, 10))
print("BUSY", flush=True)
sys.stdin.readline()
time.sleep(0.3)
OperatorPanel(unit).bring(two, one)
print("STANDS", flush=True)
"""


def test_on_a_terminal_an_enter_of_before_does_not_answer_and_the_move_is_five_lines_high():
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", TYPED_TOO_EARLY, str(UNIT_PATH)]
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        told = read_until(ours, "BUSY")
        os.write(ours, b"\n\n")  # the second Enter is nobody's answer
        told = read_until(ours, "Press Enter")
        time.sleep(0.3)
        assert process.poll() is None
        os.write(ours, b"\n")
        read_until(ours, "STANDS")
        process.wait(10)
    os.close(ours)
    assert "\x1b[1m" in told
    rows = [line for line in re.sub(r"\x1b\[[\d;]*m", "", told).splitlines() if "█" in line]
    assert [row.strip() for row in rows] == [row.strip() for row in big("RATIO 10", 72)]
    assert "RATIO        10   (from 4: 2 detents clockwise)" in told


def read_until(descriptor: int, word: str) -> str:
    """What a terminal shows up to `word`."""
    shown, end = "", time.monotonic() + 20
    while word not in shown and time.monotonic() < end:
        shown += os.read(descriptor, 4096).decode()
    assert word in shown
    return shown


@given(st.text("ABZ059 -.", min_size=1, max_size=20), st.integers(1, 100))
def test_big_letters_fit_the_columns_or_are_not_shown(text: str, columns: int):
    rows = big(text, columns)
    if len(text) * (WIDTH + 1) <= columns:
        assert [len(row) for row in rows] == [len(text) * (WIDTH + 1) - 1] * HEIGHT
    else:
        assert rows == []


def test_no_two_big_letters_look_alike_and_an_unknown_one_is_not_guessed():
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    assert all(len(shape) == HEIGHT * (WIDTH + 1) - 1 for shape in GLYPHS.values())
    assert big("µ", 80) == []


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"kind": "midi"}, "needs port"),
        ({"kind": "midi", "port": " "}, "needs port"),
        ({"kind": "command"}, "needs command"),
        ({"kind": "operator", "port": "x"}, "port is for kind: midi"),
        ({"kind": "command", "command": ["x"], "channel": 2}, "channel is for kind: midi"),
        ({"kind": "robot"}, "'operator', 'midi' or 'command'"),
        ({"command": ["x"]}, "command is for kind: command"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(choice, message):
    with pytest.raises(ValueError, match=message):
        PanelChoice.model_validate(choice)


def test_a_choice_opens_its_panel_and_only_an_operator_needs_hands():
    operator = open_panel(PanelChoice(), SSL, "B-17")
    assert isinstance(operator, OperatorPanel)
    assert not operator.hands_free
    command = open_panel(PanelChoice(kind="command", command=(sys.executable, "-c", "")), SSL)
    assert isinstance(command, CommandPanel)
    assert command.hands_free


def examples(language: str) -> list[str]:
    """The blocks of the page about panels."""
    page = (UNIT_PATH.parents[1] / "docs" / "reference" / "panels.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


def test_the_examples_of_the_page_are_what_they_say(tmp_path):
    profile, unit, command = examples("yaml")
    (tmp_path / "rack.yaml").write_text(profile)
    first, second = load_yaml(tmp_path / "rack.yaml", DeviceProfile).places
    assert (first.panel, second.panel) == (None, PanelChoice(kind="midi", port="usb midi", channel=2))
    choice = PanelChoice.model_validate(yaml.safe_load(command)["panel"])
    assert (choice.kind, choice.command[0], choice.timeout_s) == ("command", "python3", 120)
    described = yaml.safe_load(unit)
    for name, control in described["controls"].items():
        short = name.split("_", maxsplit=1)[0]
        control |= {"label": short.upper(), "kind": "switch", "short": short, "meaning": name}
    controls = Unit.model_validate({"make": "M", "model": "X"} | described).controls
    assert controls["threshold_db"].midi_values == (0, 32, 64, 95, 127)
    assert controls["attack_ms"].midi_values == (0, 8192, 16383)
    assert controls["release_s"].midi_values == (0, 4000, 9000, 16383)


def test_the_order_of_the_page_has_the_keys_of_a_real_one():
    (text,) = examples("json")
    shown, real = json.loads(text), order(SSL, setting(ratio=10), setting())
    assert shown["setting_id"] == real["setting_id"]
    assert shown.keys() == real.keys()
    assert shown["controls"].items() <= real["controls"].items()

"""A question to the operator lies open for whoever may answer it; the first answer wins, and names its question."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from buscomp.capture import typed_lines
from buscomp.capture.operator_panel import OperatorPanel
from buscomp.capture.panel import AGAIN, Answer, Suspect
from buscomp.capture.question import ANSWER, LONGEST_REASON, QUESTION, Desk, answer_question, open_question
from buscomp.capture.typed_lines import GONE, TypedLines
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import UsageError
from buscomp.manifests.unit import Setting, load_unit
from buscomp.tests.small_dataset import UNIT_PATH

SSL = load_unit(UNIT_PATH)


def setting(**changes: Any) -> Setting:
    return SSL.setting({"threshold_db": -28, "attack_ms": 0.1, "release_s": "auto", "ratio": 4} | changes, "grid")


@pytest.fixture
def folder(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


class Silent:
    """A terminal at which nobody types, as a pair of pipes."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.lines = os.fdopen(self.reader, "r")

    def type(self, text: bytes) -> None:
        os.write(self.writer, text)

    def hang_up(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
        self.writer = -1


@pytest.fixture
def terminal():
    silent = Silent()
    yield silent
    silent.hang_up()
    silent.lines.close()


def asked(dataset: Dataset, after: str | None = None) -> dict[str, Any]:
    """The question that lies open, once it is another than `after`."""
    end = time.monotonic() + 20
    while (row := open_question(dataset)) is None or row["question_id"] == after:
        assert time.monotonic() < end, "nothing is asked"
        time.sleep(0.01)
    return row


def in_thread(carry_out) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(carry_out()))
    thread.start()
    return thread, found


def test_a_question_says_where_every_control_was_and_goes_and_an_answer_elsewhere_ends_it(folder, terminal, capsys):
    panel = OperatorPanel(SSL, terminal.lines, "B-17", Desk(folder))
    thread, _ = in_thread(lambda: panel.bring(setting(ratio=10), setting()))
    row = asked(folder)
    assert (row["kind"], row["setting_id"], row["serial"]) == ("bring", "thr-28_att0p1_relauto_rat10", "B-17")
    assert (row["before"]["ratio"], row["values"]["ratio"], row["values"]["release_s"]) == (4, 10, "auto")
    answer_question(folder, row["question_id"], AGAIN)
    thread.join(10)
    assert not thread.is_alive()
    assert "Answered on the page." in capsys.readouterr().out
    assert open_question(folder) is None
    assert not (folder.root / ANSWER).exists()


def test_the_terminal_answers_beside_the_page_and_the_page_is_then_told_that_it_is_too_late(folder, terminal):
    panel = OperatorPanel(SSL, terminal.lines, desk=Desk(folder))
    thread, _ = in_thread(lambda: panel.bring(setting(ratio=10), setting()))
    row = asked(folder)
    terminal.type(b"\n")
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(UsageError, match="not open any more"):
        answer_question(folder, row["question_id"], AGAIN)


def test_an_answer_to_the_question_before_answers_nothing(folder, terminal):
    desk = Desk(folder)
    panel = OperatorPanel(SSL, terminal.lines, desk=desk)
    thread, _ = in_thread(lambda: panel.bring(setting(ratio=10), setting()))
    first = asked(folder)["question_id"]
    answer_question(folder, first, AGAIN)
    thread.join(10)
    thread, _ = in_thread(lambda: panel.bring(setting(ratio=2), setting()))
    second = asked(folder, after=first)["question_id"]
    with pytest.raises(UsageError):
        answer_question(folder, first, AGAIN)
    (folder.root / ANSWER).write_text(f'{{"question_id": "{first}", "kind": "again"}}')  # written a moment too late
    time.sleep(0.3)
    assert thread.is_alive()
    answer_question(folder, second, AGAIN)
    thread.join(10)
    assert not thread.is_alive()


def test_a_mismatch_names_the_likely_knob_and_is_taken_with_a_reason_only(folder, terminal):
    panel = OperatorPanel(SSL, terminal.lines, desk=Desk(folder))
    thread, found = in_thread(lambda: panel.correct(setting(), "looks like ratio 5, plan says 4", Suspect("ratio", 5)))
    row = asked(folder)
    assert (row["kind"], row["suspect"], row["suspect_at"]) == ("correct", "ratio", 5)
    with pytest.raises(UsageError, match="only with a reason"):
        answer_question(folder, row["question_id"], Answer("accept", "  \n "))
    answer_question(folder, row["question_id"], Answer("accept", "worn\n pot " + "x" * 1000))
    thread.join(10)
    assert found[0].kind == "accept"
    assert found[0].reason.startswith("worn pot xxx")
    assert len(found[0].reason) == LONGEST_REASON


def test_what_is_asked_for_the_first_time_cannot_be_taken_as_it_is(folder, terminal):
    panel = OperatorPanel(SSL, terminal.lines, desk=Desk(folder))
    thread, _ = in_thread(lambda: panel.bring(setting(), None))
    row = asked(folder)
    with pytest.raises(UsageError):
        answer_question(folder, row["question_id"], Answer("accept", "why not"))
    answer_question(folder, row["question_id"], AGAIN)
    thread.join(10)


def test_without_a_terminal_the_page_alone_is_waited_for_and_without_both_it_is_an_error(folder):
    with pytest.raises(UsageError, match=r"nobody answered the operator panel; run .* in a terminal, or with --panel"):
        OperatorPanel(SSL, io.StringIO(""), desk=Desk(folder, page=False)).bring(setting(), None)
    panel = OperatorPanel(SSL, io.StringIO(""), desk=Desk(folder, page=True))
    thread, _ = in_thread(lambda: panel.bring(setting(), None))
    row = asked(folder)
    time.sleep(0.25)
    assert thread.is_alive()
    answer_question(folder, row["question_id"], AGAIN)
    thread.join(10)
    assert not thread.is_alive()


def test_what_a_killed_daemon_left_open_is_cleared_by_the_next_and_nonsense_is_no_question(folder):
    (folder.root / QUESTION).write_text('{"question_id": "a", "kind": "bring", "values": {}}')
    assert open_question(folder) is not None
    Desk(folder)
    assert open_question(folder) is None
    for nonsense in ("", "[]", '"a"', "\x00", '{"question_id": "a"}'):
        (folder.root / QUESTION).write_text(nonsense)
        assert open_question(folder) is None


@pytest.mark.parametrize("can_wait", [True, False], ids=["by select", "by a thread"])
def test_typed_lines_come_one_by_one_and_nobody_is_waited_for(terminal, monkeypatch, can_wait):
    monkeypatch.setattr(typed_lines, "CAN_WAIT", can_wait)
    typed = TypedLines(terminal.lines)
    assert typed.line(0.01) is None
    terminal.type(b"a rea")
    assert typed.line(0.2) is None
    terminal.type(b"son\nq\n")
    assert (typed.line(5.0), typed.line(5.0), typed.line(0.01)) == ("a reason\n", "q\n", None)
    terminal.hang_up()
    assert (typed.line(5.0), typed.line(5.0)) == (GONE, GONE)
    assert TypedLines(io.StringIO("")).line(0.01) == GONE


BACKGROUND = """
import os, sys, time
from buscomp.capture.typed_lines import TypedLines
os.setpgid(0, 0)  # a job in the background of this terminal
typed = TypedLines(sys.stdin)
typed.forget()
print("LINE", typed.line(0.2), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no jobs")
def test_a_capture_in_the_background_of_a_terminal_is_not_stopped_by_its_own_question():
    import pty

    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-c", f"import subprocess, sys; "
                                  f"sys.exit(subprocess.call([sys.executable, '-c', {BACKGROUND!r}]))"])  # fmt: skip
    os.write(terminal, b"make test\n")  # typed for the shell
    told, end = "", time.monotonic() + 30
    while "LINE None" not in told and time.monotonic() < end:
        told += os.read(terminal, 4096).decode()
    assert "LINE None" in told
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(terminal)


def test_ctrl_c_ends_the_waiting_for_a_page(tmp_path):
    script = (
        "import io; from pathlib import Path; from buscomp.capture.operator_panel import OperatorPanel\n"
        "from buscomp.capture.question import Desk; from buscomp.manifests.dataset import Dataset\n"
        "from buscomp.manifests.unit import load_unit\n"
        f"unit = load_unit(Path({str(UNIT_PATH)!r}))\n"
        "setting = unit.setting({'threshold_db': -28, 'attack_ms': 0.1, 'release_s': 'auto', 'ratio': 4}, 'grid')\n"
        f"OperatorPanel(unit, io.StringIO(''), desk=Desk(Dataset({str(tmp_path)!r}), page=True)).bring(setting, None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        asked(Dataset(tmp_path))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in said
    assert open_question(Dataset(tmp_path)) is None

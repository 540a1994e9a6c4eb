"""The command panel: what a user's program is told, and what its end means."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from buscomp.capture.command_panel import CommandPanel, run_program
from buscomp.capture.panel import AGAIN
from buscomp.manifests.errors import DeviceError, UsageError
from buscomp.manifests.unit import Setting, load_unit
from buscomp.tests.small_dataset import UNIT_PATH

SSL = load_unit(UNIT_PATH)
KEEP_ORDER = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2] + chr(10) + sys.stdin.read())"


def setting(**changes: Any) -> Setting:
    return SSL.setting({"threshold_db": -28, "attack_ms": 0.1, "release_s": "auto", "ratio": 4} | changes, "grid")


def python(code: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *words)


def test_the_program_reads_the_setting_as_its_last_argument_and_as_json(tmp_path: Path):
    panel = CommandPanel(SSL, python(KEEP_ORDER, str(tmp_path / "order")))
    panel.bring(setting(ratio=10), setting())
    setting_id, _, text = (tmp_path / "order").read_text().partition("\n")
    order = json.loads(text)
    assert setting_id == order["setting_id"] == "thr-28_att0p1_relauto_rat10"
    assert order["unit_id"] == SSL.unit_id
    assert order["told"] is None
    controls = order["controls"]
    assert controls["ratio"] == {"position": 10, "index": 5, "before": 4, "moves": True}
    assert controls["release_s"] == {"position": "auto", "index": 5, "before": "auto", "moves": False}
    assert controls["engaged"] == {"position": True, "index": 1, "before": True, "moves": False}
    assert panel.correct(setting(), "looks like ratio 5, plan says 4") == AGAIN
    order = json.loads((tmp_path / "order").read_text().partition("\n")[2])
    assert order["told"] == "looks like ratio 5, plan says 4"
    assert all(control["moves"] and control["before"] is None for control in order["controls"].values())


def test_a_failed_program_is_a_device_error_with_its_last_line():
    code = "import sys; print('motor 3 is stuck', file=sys.stderr); print(file=sys.stderr); sys.exit(7)"
    with pytest.raises(DeviceError, match=r"thr-28_att0p1_relauto_rat4: motor 3 is stuck, got exit status 7"):
        CommandPanel(SSL, python(code)).bring(setting(), None)


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"had not ended after 1.5 s and was killed"):
        CommandPanel(SSL, python(code), timeout_s=1.5).bring(setting(), None)
    assert time.monotonic() - began < 5
    child = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 5
    while runs(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not runs(child)


def runs(pid: int) -> bool:
    """Whether a process does anything yet (a zombie does not)."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_child_that_the_program_leaves_behind_is_not_waited_for():
    code = "import subprocess; print(subprocess.Popen(['sleep', '20']).pid)"
    began = time.monotonic()
    ended = run_program(python(code), "", timeout_s=10)
    assert time.monotonic() - began < 5
    os.kill(int(ended.output), 9)


def test_a_megabyte_of_output_does_not_stop_a_program_and_no_shell_looks_at_its_words():
    ended = run_program(python("import sys; print(sys.argv[1] * 100_000)", "$HOME; ls *"), "", timeout_s=20)
    assert ended.exit_status == 0
    assert ended.output == "$HOME; ls *" * 100_000 + "\n"


def test_a_program_that_is_not_there_is_a_usage_error_before_anything_begins():
    with pytest.raises(UsageError, match=r"no such program for the panel, got turn-my-knobs"):
        CommandPanel(SSL, ("turn-my-knobs",))


def test_after_the_program_the_unit_gets_the_time_it_needs():
    began = time.monotonic()
    CommandPanel(SSL, python(""), wait_s=0.5).bring(setting(), None)
    assert time.monotonic() - began >= 0.5

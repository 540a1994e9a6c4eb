"""A whole `buscomp capture` in a process of its own: asked to pause and to stop, by verbs and by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from buscomp.manifests.dataset import Dataset
from buscomp.tests.capture_songs import put_songs

GRID = """\
unit: ssl-500-bus
factors:
  threshold_db: [-28, -24, -20, -16]
  attack_ms: [0.3, 1, 3]
  release_s: [0.1]
  ratio: [2, 3, 4, 5, 10]
expect: 60
fingerprint: false
"""
LOADED = max(3.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # how much slower a busy machine may be
LINE = [sys.executable, "-m", "buscomp"]


def buscomp(root: Path, verb: str) -> dict[str, Any]:
    done = subprocess.run([*LINE, verb, "--json"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def until(true: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "never"
        assert process.poll() is None, "the capture has ended"
        time.sleep(0.01)


@contextmanager
def capturing(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A capture that has made its first take and has a hundred to go."""
    put_songs(root, songs=2, seconds=2.0, grid=GRID)
    subprocess.run([*LINE, "catalog", "songs"], cwd=root, check=True, capture_output=True)
    line = [*LINE, "capture", "--device", "virtual", "--grid", "grid.yaml"]
    with subprocess.Popen(line, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            until(lambda: len(list(root.glob("wet/*/*.flac"))) > 1, process)  # the row of the first is written, too
            yield process
        finally:
            process.kill()


def statuses(root: Path) -> list[str]:
    with Dataset(root).journal() as journal:
        assert journal.sessions()[-1]["ended_at"] is not None, "an orderly end is noted"
        return [take["status"] for take in journal.takes()]


@pytest.mark.parametrize(("number", "times"), [(signal.SIGTERM, 1), (signal.SIGHUP, 1), (signal.SIGINT, 2)])
def test_a_capture_that_is_told_to_end_now_has_ended_in_order_within_5_s(
    tmp_path: Path, number: signal.Signals, times: int
) -> None:
    with capturing(tmp_path / "d") as process:
        began = time.monotonic()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.2)
        _, said = process.communicate(timeout=60)
        assert time.monotonic() - began < 5 * LOADED
    late = -signal.SIGINT if times == 2 else 130  # a second press that comes when the first has ended it already
    assert process.returncode in (130, late), said
    assert "Traceback" not in said
    found = statuses(tmp_path / "d")
    assert (len(found), set(found)) == (120, {"accepted", "planned"})
    assert not (tmp_path / "d" / ".daemon.json").exists()


def test_a_capture_is_paused_and_resumed_and_stopped_from_another_process(tmp_path: Path) -> None:
    root = tmp_path / "d"
    with capturing(root) as process:
        assert buscomp(root, "pause")["daemon"]["pid"] == process.pid
        until(lambda: json.loads((root / ".daemon.json").read_text())["doing"] == "paused", process)
        files = len(list(root.glob("wet/*/*.flac")))
        found = buscomp(root, "status")
        assert (found["daemon"]["doing"], found["daemon"]["requested"]) == ("paused", "pause")
        assert len(list(root.glob("wet/*/*.flac"))) == files, "nothing is made while it is paused"
        buscomp(root, "resume")
        until(lambda: len(list(root.glob("wet/*/*.flac"))) > files, process)
        buscomp(root, "stop")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    found_statuses = statuses(root)
    assert files < found_statuses.count("accepted") < 120
    assert set(found_statuses) == {"accepted", "planned"}
    assert not list(root.glob("attempts/*")), "what had begun is finished"
    assert not (root / ".request").exists()


def test_ctrl_c_once_ends_a_capture_after_the_take_in_progress(tmp_path: Path) -> None:
    with capturing(tmp_path / "d") as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Stopping after the take in progress" in said
    assert not list((tmp_path / "d").glob("attempts/*"))
    assert set(statuses(tmp_path / "d")) == {"accepted", "planned"}


def test_a_second_capture_of_the_same_dataset_is_refused_with_the_first_named(tmp_path: Path) -> None:
    with capturing(tmp_path / "d") as process:
        second = subprocess.run(
            [*LINE, "capture", "--device", "virtual", "--grid", "grid.yaml"],
            cwd=tmp_path / "d",
            capture_output=True,
            text=True,
        )
        assert second.returncode == 2
        assert f"in use by process {process.pid} on {os.uname().nodename}" in second.stderr

"""`buscomp status --watch`, and when a capture that has begun will be finished."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from buscomp.capture import panel_commands
from buscomp.capture.daemon import Daemon
from buscomp.capture.finish import finish
from buscomp.capture.live_file import LIVE, write_live
from buscomp.capture.panel_state import PanelState
from buscomp.capture.question import Desk, Question
from buscomp.capture.watch import watched
from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.unit import Position
from buscomp.tests.capture_songs import GRID, put_songs

NOW = datetime(2026, 3, 2, 12, 0)  # a Monday
SHIFTS = """\
shifts:
  start: 2026-03-01
  operator:
    - {days: [wed], visits: ["09:00"]}
"""


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A capture of two songs at four settings that was stopped when two passes were done."""
    root = put_songs(tmp_path_factory.mktemp("half") / "d", songs=2, seconds=1.0, grid=GRID)
    line = ["capture", "--device", "virtual", "--grid", "grid.yaml", "--dataset", str(root)]
    told = CliRunner().invoke(main, [*line, "--fault", "die#5"])
    assert told.exit_code in (0, 1)
    dataset = Dataset(root)
    with dataset.journal() as journal:
        made = [take["take_id"] for take in journal.takes() if take["status"] == "accepted"]
        journal.supersede_all(made[4:], "retake")
    return Dataset(root)


LIVE_ROW = {
    "song_id": "song-0", "position_s": 3.2, "length_s": 9.0,
    "units": [{"unit_id": "u", "send_rms_dbfs": [-20.04, -22.0], "return_rms_dbfs": [-30.0, -31.0],
               "reduction_db": 8.04, "expected_db": 8.1}],
}  # fmt: skip


def test_the_lines_tell_counts_rack_meters_and_the_open_question(half: Dataset) -> None:
    values: dict[str, Position] = {
        "threshold_db": -28.0, "attack_ms": 0.3, "release_s": 0.1, "ratio": 10.0, "makeup_db": 0.0,
        "sidechain_hpf_hz": "off", "engaged": True,
    }  # fmt: skip
    question = Question("bring", "u", None, "thr-28_att0p3_rel0p1_rat10", values, {**values, "ratio": 4.0})
    with half.lock(), Daemon.opened(half, "s1", 4, attended=True), Desk(half).open(question):
        write_live(half, LIVE, LIVE_ROW)
        state = PanelState(half)
        lines = watched({**state.read(), "live": state.meters()})
        (half.root / LIVE).unlink()
    told = "\n".join(lines)
    assert lines[0].startswith("Takes: 4 accepted, 4 planned")
    assert "Sounds: song 0, 3 of 9 s." in told
    assert "u: send -20.0, return -30.0 dBFS RMS; gain reduction 8.0 dB, expected 8.1 dB." in told
    assert lines[-2:] == [
        "ASKED: set the unit to thr-28_att0p3_rel0p1_rat10",
        "       RATIO        10   (from 4: 2 detents clockwise)",
    ]


def test_without_a_plan_the_one_line_says_so(tmp_path: Path) -> None:
    assert watched({"trouble": "nothing is planned here yet"}) == ["nothing is planned here yet"]
    assert PanelState(Dataset(tmp_path)).read()["trouble"].startswith("nothing is planned here yet")


def test_it_is_watched_until_ctrl_c_one_document_a_line(half: Dataset) -> None:
    line = [sys.executable, "-m", "buscomp", "status", "--watch", "--json", "--dataset", str(half.root)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert first["counts"]["takes"]["accepted"] == second["counts"]["takes"]["accepted"] == 4
    assert "front" not in first


def test_a_capture_that_turns_itself_is_finished_after_its_work_and_one_with_shifts_when_somebody_comes(
    half: Dataset, tmp_path: Path
) -> None:
    alone = finish(half, hands_free=True, now=NOW)
    assert alone is not None
    assert alone["calendar"] is False
    assert timedelta(seconds=4) < alone["at"] - NOW < timedelta(minutes=5)
    dataset = Dataset(shutil.copytree(half.root, tmp_path / "d"))
    dataset.grid_path.write_text(GRID + SHIFTS)
    by_shifts = finish(dataset, hands_free=False, now=NOW)
    assert by_shifts is not None
    assert by_shifts["calendar"] is True
    assert by_shifts["at"] >= datetime(2026, 3, 4, 9, 0)  # Wednesday
    assert finish(dataset, hands_free=True, now=NOW) == alone
    dataset.grid_path.write_text("unit: ssl-500-bus\nfactors: nonsense\n")
    assert finish(dataset, hands_free=True, now=NOW) is None


def test_a_page_that_cannot_be_served_is_told_before_anything_is_captured(
    half: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel_commands, "find_spec", lambda name: None if name == "uvicorn" else name)
    line = ["capture", "--device", "virtual", "--panel", "--dataset", str(half.root)]
    told = CliRunner().invoke(main, line)
    assert told.exit_code == 2
    assert "uvicorn is not installed; type: pip install 'buscomp[panel]'" in told.output

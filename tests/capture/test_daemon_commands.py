"""The verbs that ask a daemon, and the daemon that answers."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import filelock
import pytest
from click.testing import CliRunner, Result

from buscomp.capture.control import Control
from buscomp.capture.daemon import Daemon
from buscomp.capture.daemon_commands import pause, resume, status, stop
from buscomp.capture.daemon_state import STATE, daemon_of
from buscomp.capture.event_log import EventLog
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DeviceError, DiskFullError

VERBS = {"pause": pause, "resume": resume, "stop": stop, "status": status}


def ask(dataset: Dataset, verb: str, *options: str) -> Result:
    return CliRunner().invoke(VERBS[verb], ["--dataset", str(dataset.root), *options])


def state(dataset: Dataset) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((dataset.root / STATE).read_text())
    return said


def events(dataset: Dataset) -> list[dict[str, Any]]:
    (log,) = (dataset.root / "logs").glob("*.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_pause_resume_and_stop_reach_a_running_daemon(dataset: Dataset) -> None:
    control = Control(dataset)
    with dataset.lock(), control.signals(), Daemon.opened(dataset, "s1", 5):
        heard = []
        for verb in ("pause", "resume", "stop"):
            told = ask(dataset, verb, "--json")
            assert told.exit_code == 0, told.output
            assert json.loads(told.stdout)["daemon"]["pid"] == os.getpid()
            heard.append(control.wanted())
        assert heard == ["pause", "go", "stop"]
        assert f"process {os.getpid()}" in ask(dataset, "pause").output
        assert "will pause after this take" in ask(dataset, "status").output
    assert control.wanted() == "go"


@pytest.mark.parametrize("verb", ["pause", "resume", "stop"])
def test_asking_where_no_daemon_runs_is_an_error_that_leaves_no_trace(dataset: Dataset, verb: str) -> None:
    before = sorted(path.name for path in dataset.root.iterdir())
    refused = ask(dataset, verb).exception
    assert str(refused).startswith("no capture is running in this dataset; `buscomp capture` starts one")
    assert sorted(path.name for path in dataset.root.iterdir() if path.name != ".lock") == before


def test_what_a_crashed_daemon_left_counts_for_nothing_not_even_while_something_else_holds_the_dataset(
    dataset: Dataset,
) -> None:
    left = {"pid": 2**22 + 1, "host": "studio", "doing": "take"}
    (dataset.root / STATE).write_text(json.dumps(left))
    assert daemon_of(dataset) is None
    with dataset.lock():
        assert daemon_of(dataset) is None
        assert "it is in use by process" in str(ask(dataset, "stop").exception)
    for spoiled in ("", "[]", '{"pid": 1}', "\x00"):
        (dataset.root / STATE).write_text(spoiled)
        assert daemon_of(dataset) is None


def test_status_of_a_finished_dataset_is_one_line_and_counts_for_machines(dataset: Dataset) -> None:
    assert ask(dataset, "status").output == "Takes: 12 accepted. Everything is captured.\n"
    found = json.loads(ask(dataset, "status", "--json").stdout)
    assert found["takes"] == {"accepted": 12}
    assert found["next"] is None
    assert found["passes"] == {"done": 4, "all": 4}
    assert found["hours_left"] == 0
    assert found["reasons"] == {}
    assert found["daemon"] is None
    assert found["hours_of_disk_left"] > 0


def test_status_counts_rejections_by_reason_and_the_hours_that_are_left(dataset: Dataset) -> None:
    with dataset.journal() as journal:
        again = journal.supersede("t000004-1", "missing_file")
        for reasons in (["xrun", "lost_block"], ["xrun"], ["hum"]):
            again = journal.reject(again, {"reasons": reasons})
    found = json.loads(ask(dataset, "status", "--json").stdout)
    assert found["reasons"] == {"xrun": 2, "lost_block": 1, "hum": 1}
    assert found["passes"] == {"done": 3, "all": 4}
    takes = dataset.takes[dataset.takes["status"] == "accepted"]
    stretch = takes["elapsed_s"].sum() / 12.0  # twelve songs of 1 s have been played
    assert found["hours_left"] == pytest.approx(stretch / 3600)
    told = ask(dataset, "status").output
    assert "Next: song-1 at" in told
    assert "Passes: 3 of 4 done." in told
    assert "Rejected: 2 xrun, 1 hum, 1 lost_block." in told


def test_status_beside_a_daemon_says_what_it_does_and_changes_no_file(dataset: Dataset) -> None:
    with dataset.lock(), Daemon.opened(dataset, "s1", 5) as daemon:
        daemon.doing("take", lasts_s=240.0, take_id="t000007-1", song_id="song-1", setting_id="s-20")
        daemon.alarm("disk", "3 hours of disk are left")
        before = {path: path.read_bytes() for path in dataset.root.rglob("*") if path.is_file()}
        found = json.loads(ask(dataset, "status", "--json").stdout)["daemon"]
        told = ask(dataset, "status").output
        assert {path: path.read_bytes() for path in dataset.root.rglob("*") if path.is_file()} == before
    assert (found["pid"], found["session_id"], found["doing"], found["take_id"]) == (
        os.getpid(),
        "s1",
        "take",
        "t000007-1",
    )
    assert found["last_alarm"]["told"] == "3 hours of disk are left"
    assert f"Daemon: process {os.getpid()} on " in told
    assert "take (song-1 at s-20)" in told
    assert "Alarm: 3 hours of disk are left" in told


def test_status_works_in_a_dataset_that_may_only_be_read(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    (dataset.root / STATE).write_text(json.dumps({"pid": 7, "host": "studio", "doing": "take", "since": "today"}))
    (dataset.root / ".lock-holder").write_text("process 7 on studio since today\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(filelock, "FileLock", refuse)
    assert json.loads(ask(dataset, "status", "--json").stdout)["daemon"]["pid"] == 7


def test_status_of_a_damaged_journal_is_one_line(dataset: Dataset) -> None:
    dataset.journal_path.write_bytes(b"not a database" * 100)
    assert "journal.sqlite cannot be read" in str(ask(dataset, "status").exception)


def test_the_time_of_the_end_is_the_mean_duration_of_takes_and_a_pause_is_not_in_it(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Daemon.opened(dataset, "s1", 10) as daemon:
        for seconds, outcome in ((10, "accepted"), (10, "accepted"), (20, "rejected")):
            clock[0] += seconds
            daemon.finished("t", outcome, ["hum"] if outcome == "rejected" else [])
        daemon.doing("paused")
        clock[0] += 1000
        daemon.finished("t", "accepted")
        said = state(dataset)
    assert said["seconds_per_take"] == 15
    assert (said["takes_done"], said["takes_rejected"], said["takes_left"]) == (4, 1, 7)
    assert [row["status"] for row in events(dataset) if row["event"] == "take"] == ["accepted"] * 2 + [
        "rejected",
        "accepted",
    ]


def test_what_belongs_to_the_step_before_is_forgotten(dataset: Dataset) -> None:
    with Daemon.opened(dataset, "s1", 10) as daemon:
        daemon.doing("take", lasts_s=1.0, take_id="t000001-1", song_id="song-1", unit_id="u")
        daemon.doing("paused")
        said = state(dataset)
    assert [said[name] for name in ("doing", "take_id", "song_id", "unit_id", "lasts_s")] == ["paused", *[None] * 4]


def test_waiting_for_a_person_is_an_alarm_that_repeats(dataset: Dataset) -> None:
    with Daemon.opened(dataset, "s1", 10, repeat_s=0.02) as daemon:
        with daemon.waiting("waiting for the operator", "set the unit to s-20", setting_id="s-20"):
            deadline = time.monotonic() + 20
            while sum(row["event"] == "alarm" for row in events(dataset)) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert state(dataset)["doing"] == "waiting for the operator"
        assert sum(row["event"] == "alarm" for row in events(dataset)) >= 3


def test_a_session_that_fails_sounds_an_alarm_and_leaves_no_state(dataset: Dataset) -> None:
    with pytest.raises(DeviceError), Daemon.opened(dataset, "s1", 10):
        raise DeviceError("the device is gone")
    told = [(row["event"], row.get("told")) for row in events(dataset)]
    assert ("alarm", "the device is gone") in told
    assert told[-1][0] == "session_ends"
    assert not (dataset.root / STATE).exists()


def test_ctrl_c_is_no_alarm(dataset: Dataset) -> None:
    with pytest.raises(KeyboardInterrupt), Daemon.opened(dataset, "s1", 10):
        raise KeyboardInterrupt
    assert {row["event"] for row in events(dataset)} == {"session_begins", "doing", "interrupted", "session_ends"}


def test_a_disk_too_full_for_the_state_does_not_stop_the_daemon(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Daemon.opened(dataset, "s1", 10) as daemon:
        daemon.doing("take", lasts_s=1.0, take_id="t000001-1")

        def refuse(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", refuse)
        daemon.doing("paused")
        monkeypatch.undo()
        assert state(dataset)["doing"] == "take", "as it was"
        assert not list(dataset.root.glob(f"{STATE}?*"))


def test_the_daemon_may_speak_from_several_threads(dataset: Dataset) -> None:
    with Daemon.opened(dataset, "s1", 1000) as daemon:

        def speak() -> None:
            for _ in range(50):
                daemon.alarm("hum", "hum")

        threads = [threading.Thread(target=speak) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state(dataset)["last_alarm"]["told"] == "hum"
    assert sum(row["event"] == "alarm" for row in events(dataset)) == 200


def test_errors_that_are_no_accident_keep_their_kind(dataset: Dataset) -> None:
    with pytest.raises(DiskFullError), Daemon.opened(dataset, "s1", 1):
        raise DiskFullError("no room")
    with EventLog(dataset.root / "logs" / "s1.jsonl") as log:
        log.emit("later")
    assert events(dataset)[-1]["event"] == "later"

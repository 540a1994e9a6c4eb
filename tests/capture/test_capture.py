"""The verb `capture`: what it leaves behind when all goes well, when it is stopped, and when it is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import buscomp
from buscomp.capture import capture as capture_module
from buscomp.capture.interface import Recording
from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DeviceError
from buscomp.tests.capture_songs import GRID, contents, put_songs

CAPTURE = ("capture", "--device", "virtual", "--grid", "grid.yaml")


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--dataset", str(root)])


def statuses(root: Path) -> list[tuple[str, str]]:
    with Dataset(root).journal() as journal:
        return [(take["take_id"], take["status"]) for take in journal.takes()]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two songs and a grid of four settings; the current folder, too."""
    root = put_songs(tmp_path / "dataset")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch):
    """`spoil({call: event})`: from now on the given calls of `record` raise an exception, or return what a function
    makes of the recording. Calls are counted over all interfaces that are opened."""

    def install(events):
        calls = iter(range(10_000))
        original = capture_module.open_interface

        def open_spoiled(*arguments):
            interface = original(*arguments)
            record = interface.record

            def record_spoiled():
                event = events.get(next(calls))
                if isinstance(event, BaseException):
                    raise event
                recording = record()
                return event(recording) if event else recording

            interface.record = record_spoiled  # type: ignore[method-assign]
            return interface

        monkeypatch.setattr(capture_module, "open_interface", open_spoiled)

    return install


def silent(recording: Recording) -> Recording:
    return Recording(np.zeros_like(recording.audio))


def test_a_capture_makes_the_catalog_then_every_take_of_two_songs_at_four_settings(root: Path):
    result = run(root, *CAPTURE)
    assert result.exit_code == 0, result.output
    dataset = buscomp.open_dataset(root)
    assert list(dataset.takes["status"]) == ["accepted"] * 8
    assert sorted(path.relative_to(root).as_posix() for path in root.glob("wet/*/*.flac")) == sorted(
        dataset.takes["wet_path"]
    )
    for dry, wet, setting in dataset.pairs():
        assert wet.shape == dry.shape
        assert setting["threshold_db"] in (-28, -20)
    assert run(root, "verify").exit_code == 0


def test_the_latency_of_the_virtual_device_is_137_37_samples_in_every_take(root: Path):
    run(root, *CAPTURE)
    takes = buscomp.open_dataset(root).takes
    assert np.abs(takes["latency_samples"] - 137.37).max() < 0.01
    assert set(takes["integer_shift_samples"]) == {137}
    assert takes["drift_samples"].abs().max() < 0.01


def test_takes_of_a_pass_name_the_take_before_them_and_follow_each_other_without_a_pause(root: Path):
    run(root, *CAPTURE)
    takes = Dataset(root).rows("takes")
    before = [take["previous_take_id"] for take in takes]
    assert before == [None, "t000000-1", None, "t000002-1", None, "t000004-1", None, "t000006-1"]
    ends = [take["stream_frame"] + take["frames"] for take in takes]
    gaps = [takes[n + 1]["stream_frame"] - ends[n] for n in range(7)]
    assert min(gaps) > 0
    assert len(set(gaps)) == 1, "silence and probes, and not a frame more"


def test_a_second_capture_finds_everything_there_and_changes_no_file(root: Path):
    run(root, *CAPTURE)
    before = contents(root)
    result = run(root, *CAPTURE)
    assert result.exit_code == 0, result.output
    assert "8 accepted" in result.output
    after = contents(root)
    assert {name for name in before if name.startswith(("wet/", "dry/"))} <= set(after)
    assert all(after[name] == sha256 for name, sha256 in before.items() if name.startswith(("wet/", "dry/")))
    assert len(Dataset(root).rows("sessions")) == 1


def test_what_a_kill_in_the_very_last_fingerprint_left_is_cleared_by_the_same_command(root: Path):
    run(root, *CAPTURE)
    half = root / "fingerprints" / "f000009.flac.partial"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"half")
    assert run(root, *CAPTURE).exit_code == 0
    assert not half.exists()


def test_after_ctrl_c_in_the_fourth_take_the_same_command_makes_the_other_five_and_repeats_nothing(root: Path, spoil):
    spoil({3: KeyboardInterrupt()})
    stopped = run(root, *CAPTURE)
    assert stopped.exit_code == 130
    assert "3 of 8" in stopped.output
    assert [status for _, status in statuses(root)] == ["accepted"] * 3 + ["planned"] * 5
    kept = {name: sha256 for name, sha256 in contents(root).items() if name.startswith("wet/")}
    result = run(root, *CAPTURE)
    assert result.exit_code == 0, result.output
    assert [status for _, status in statuses(root)] == ["accepted"] * 8
    assert kept.items() <= contents(root).items()
    first, second = Dataset(root).rows("sessions")
    takes = Dataset(root).rows("takes")
    assert [take["session_id"] for take in takes] == [first["session_id"]] * 3 + [second["session_id"]] * 5
    assert first["ended_at"] >= first["started_at"]


def test_after_sigkill_the_same_command_finishes_the_rest_and_repeats_nothing(root: Path):
    command = [sys.executable, "-m", "buscomp", *CAPTURE]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(list(root.glob("wet/*/*.flac"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    with Dataset(root).journal() as journal:
        accepted = {take["take_id"]: take for take in journal.takes() if take["status"] == "accepted"}
    assert 1 <= len(accepted) < 8
    (root / "attempts" / "t000007-1").mkdir(parents=True)  # what a killed attempt may leave
    assert run(root, *CAPTURE).exit_code == 0
    takes = {take["take_id"]: take for take in Dataset(root).rows("takes")}
    assert [take["status"] for take in takes.values()] == ["accepted"] * 8
    assert all(takes[take_id]["started_at"] == take["started_at"] for take_id, take in accepted.items())
    assert run(root, "verify").exit_code == 0


def test_a_device_that_dies_in_a_take_is_opened_again_and_the_take_repeated(root: Path, spoil):
    spoil({2: DeviceError("the device stopped answering")})
    assert run(root, *CAPTURE).exit_code == 0
    takes = Dataset(root).rows("takes")
    assert [(take["take_id"], take["status"]) for take in takes[2:4]] == [
        ("t000002-1", "rejected"),
        ("t000002-2", "accepted"),
    ]
    assert takes[2]["reasons"] == ["device_lost"]
    assert takes[3]["previous_take_id"] is None, "a new stream knows no take before"


def test_a_silent_return_is_rejected_kept_with_its_reason_and_taken_again(root: Path, spoil):
    spoil({1: silent})
    result = run(root, *CAPTURE)
    assert result.exit_code == 0, result.output
    rejected = [take for take in Dataset(root).rows("takes") if take["status"] == "rejected"]
    assert [take["take_id"] for take in rejected] == ["t000001-1"]
    assert rejected[0]["reasons"] == ["silent_return"]
    kept = json.loads((root / "attempts" / "t000001-1" / "reasons.json").read_text())
    assert kept["reasons"] == rejected[0]["reasons"]
    assert (root / "attempts" / "t000001-1" / "return.wav").exists()
    assert run(root, "verify").exit_code == 0


def test_three_takes_in_a_row_that_fail_three_times_stop_the_session_with_status_1(root: Path, spoil):
    spoil(dict.fromkeys(range(100), silent))
    result = run(root, *CAPTURE)
    assert result.exit_code == 1
    assert "3 takes in a row" in result.output
    assert result.output.count("Traceback") == 0
    counted = [status for _, status in statuses(root)]
    assert counted.count("rejected") == 11, "three attempts at four takes, and the last one was not made"
    assert counted.count("planned") == 8


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("capture", "--device", "no such thing", "--grid", "grid.yaml"), "no such thing"),
        (("capture", "--device", "virtual", "--grid", "nowhere.yaml"), "nowhere"),
        (("capture", "--device", "virtual", "--grid", "la-2a.yaml"), "la-2a"),
    ],
)
def test_a_capture_that_cannot_be_meant_is_one_line_and_leaves_no_trace(root: Path, words: tuple[str, ...], told: str):
    run(root, "catalog", str(root / "songs"))
    before = contents(root)
    result = run(root, *words)
    assert result.exit_code in (1, 2)
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1, result.output
    assert contents(root) == before


def test_a_grid_with_a_wrong_count_is_refused_with_both_counts_before_anything_is_written(root: Path):
    run(root, "catalog", str(root / "songs"))
    (root / "grid.yaml").write_text(GRID.replace("expect: 4", "expect: 5"))
    before = contents(root)
    result = run(root, *CAPTURE)
    assert result.exit_code == 2
    assert "4" in result.output
    assert "5" in result.output
    assert contents(root) == before


def test_a_song_that_the_boost_would_clip_is_named_before_anything_is_written(root: Path):
    run(root, "catalog", str(root / "songs"), "--target-db", "-4")
    before = contents(root)
    result = run(root, *CAPTURE)
    assert result.exit_code == 2
    assert "song-0 (+1." in result.output, "-4 dBFS and +5 dB, by the true peak"
    assert contents(root) == before


def test_another_device_another_unit_or_a_changed_song_is_refused_on_resume(root: Path, spoil):
    spoil({3: KeyboardInterrupt()})
    run(root, *CAPTURE)
    before = contents(root)
    (root / "mine.yaml").write_text("kind: virtual\n")
    other = run(root, "capture", "--device", "mine", "--grid", "grid.yaml")
    assert other.exit_code == 2
    assert "another device" in other.output
    (root / "mine.yaml").unlink()
    unit = (root / "unit.yaml").read_text()
    (root / "unit.yaml").write_text(unit.replace("serial: unknown", "serial: '17'"))
    assert "another unit" in run(root, *CAPTURE).output
    (root / "unit.yaml").write_text(unit)
    assert contents(root) == before


def test_a_grown_grid_needs_extend_and_then_only_the_new_takes_are_made(root: Path):
    run(root, *CAPTURE)
    grown = GRID.replace("ratio: [4, 10]", "ratio: [2, 4, 10]").replace("expect: 4", "expect: 6")
    (root / "grid.yaml").write_text(grown)
    refused = run(root, *CAPTURE)
    assert refused.exit_code == 2
    assert "--extend" in refused.output
    before = {name: sha256 for name, sha256 in contents(root).items() if name.startswith("wet/")}
    result = run(root, *CAPTURE, "--extend")
    assert result.exit_code == 0, result.output
    assert [status for _, status in statuses(root)] == ["accepted"] * 12
    assert before.items() <= contents(root).items()


def test_a_planned_song_that_vanishes_from_the_songs_is_named(root: Path, spoil):
    spoil({3: KeyboardInterrupt()})
    run(root, *CAPTURE)
    songs = Dataset(root).rows("songs")
    from buscomp.manifests.tables import write_table

    write_table(Dataset(root).table_path("songs"), "songs", songs[1:])
    result = run(root, *CAPTURE)
    assert result.exit_code == 2
    assert songs[0]["song_id"] in result.output


def test_a_lost_take_goes_back_into_the_plan_with_retake(root: Path):
    run(root, *CAPTURE)
    lost = sorted(root.glob("wet/*/*.flac"))[3]
    lost.unlink()
    found = run(root, "verify", "--retake")
    assert found.exit_code == 1
    assert f"missing    {lost.relative_to(root)}" in found.output
    assert run(root, *CAPTURE).exit_code == 0
    assert lost.exists()
    assert run(root, "verify").exit_code == 0
    assert sorted({status for _, status in statuses(root)}) == ["accepted", "superseded"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_line_and_every_take_before_it_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from buscomp.capture import preflight, session

    monkeypatch.setattr(preflight, "require_space", lambda *_: None)
    monkeypatch.setattr(session, "require_space", lambda *_: None)  # the last guard: the write itself fails
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine allows no tmpfs")
    try:
        root = put_songs(disk / "dataset", seconds=2.0)
        monkeypatch.chdir(root)
        run(root, "catalog", str(root / "songs"))
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 2_200_000))  # room for a few takes
        result = run(root, *CAPTURE)
        assert result.exit_code == 1, result.output
        assert "disk full" in result.output
        assert "Traceback" not in result.output
        assert not list(root.rglob("*.partial"))
        accepted = [take_id for take_id, status in statuses(root) if status == "accepted"]
        assert 1 <= len(accepted) < 8
        (disk / "filler").unlink()
        found = json.loads(run(root, "verify", "--json").output)["findings"]
        assert [finding for finding in found if finding["kind"] != "stale"] == []
        assert run(root, *CAPTURE).exit_code == 0, "with room again the same command goes on"
    finally:
        monkeypatch.chdir(tmp_path)
        subprocess.run(["umount", "-l", str(disk)], check=True)

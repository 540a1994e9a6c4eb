"""A whole session on the simulated rack: knobs proven by ear, faults caught, several units, pauses, overrides."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import read_pcm
from buscomp.tests.capture_songs import GRID, PROVEN, put_songs

ONE = GRID.replace("threshold_db: [-28, -20]", "threshold_db: [-28]").replace("ratio: [4, 10]", "ratio: [4]")
ONE = ONE.replace("expect: 4", "expect: 1")
TWO_UNITS = """\
kind: virtual
specimen_seed: 7
units:
  - {serial: a1, returns: [1, 2], cv_returns: [7]}
  - {serial: b2, returns: [3, 4], cv_returns: [8]}
loopback_send: 5
loopback_return: 6
"""


def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grid: str, songs: int = 2, seconds: float = 2.0) -> Path:
    root = put_songs(tmp_path / "dataset", songs, seconds, grid)
    monkeypatch.chdir(root)
    return root


def capture(*words: str, device: str = "virtual") -> Result:
    return CliRunner().invoke(main, ["capture", "--device", device, "--grid", "grid.yaml", *words])


def rows(root: Path, table: str) -> list[dict[str, Any]]:
    return Dataset(root).rows(table)


def statuses(root: Path) -> dict[str, str]:
    return {take["take_id"]: take["status"] for take in rows(root, "takes")}


def test_every_pass_lies_between_two_fingerprints_whose_audio_is_kept(tmp_path, monkeypatch):
    root = folder(
        tmp_path, monkeypatch, PROVEN.replace("ratio: [4, 10]", "ratio: [4]").replace("expect: 4", "expect: 2")
    )
    assert capture().exit_code == 0
    probes = rows(root, "fingerprints")
    assert [probe["occasion"] for probe in probes] == ["begin", "end", "begin", "end"]
    assert {probe["verdict"] for probe in probes} <= {"match", "unknown"}
    assert [probe["verdict"] for probe in probes if probe["occasion"] == "end"] == ["match", "match"]
    assert all((root / probe["audio_path"]).is_file() for probe in probes)
    assert all(0 <= probe["replicate_esr"] < 1e-4 for probe in probes if probe["occasion"] == "end")
    assert CliRunner().invoke(main, ["verify"]).exit_code == 0


def test_a_knob_one_detent_off_is_named_and_no_song_is_played_before_it_stands_right(tmp_path, monkeypatch):
    root = folder(tmp_path, monkeypatch, ONE.replace("fingerprint: false", "fingerprint: true"))
    result = capture("--fault", "knob:release+1#1")
    assert result.exit_code == 0, result.output
    first, second, last = rows(root, "fingerprints")
    assert (first["verdict"], first["knob"]) == ("mismatch", "release_s")
    assert first["told"] == "looks like release 0.2, plan says 0.1"
    assert second["verdict"] != "mismatch"
    assert last["verdict"] == "match"
    assert first["measured_at"] < second["measured_at"] <= min(take["started_at"] for take in rows(root, "takes"))
    assert set(statuses(root).values()) == {"accepted"}


def test_a_knob_that_moves_during_a_pass_costs_its_takes_and_they_are_made_again(tmp_path, monkeypatch):
    root = folder(tmp_path, monkeypatch, ONE.replace("fingerprint: false", "fingerprint: true"))
    result = capture("--fault", "nudge:threshold+1#2")  # while the first song plays
    assert result.exit_code == 0, result.output
    assert "a knob moved during the pass" in result.output
    takes = rows(root, "takes")
    assert [take["status"] for take in takes] == ["superseded", "accepted"] * 2
    assert {tuple(take["reasons"]) for take in takes if take["status"] == "superseded"} == {("knob_moved",)}
    assert [probe["verdict"] for probe in rows(root, "fingerprints")][1] == "mismatch"
    assert all((root / "attempts" / f"t00000{n}-1" / "wet.flac").exists() for n in (0, 1))
    assert CliRunner().invoke(main, ["verify"]).exit_code == 0


def test_two_units_are_captured_in_one_play_each_with_its_rows_files_and_control_voltage(tmp_path, monkeypatch):
    root = folder(tmp_path, monkeypatch, ONE)
    (root / "two.yaml").write_text(TWO_UNITS)
    result = capture(device="two")
    assert result.exit_code == 0, result.output
    takes = rows(root, "takes")
    assert len(takes) == 4
    assert {take["status"] for take in takes} == {"accepted"}
    by_song: dict[str, list[dict[str, Any]]] = {}
    for take in takes:
        by_song.setdefault(take["song_id"], []).append(take)
        assert take["wet_path"] == f"wet/{take['unit_id']}/{take['setting_id']}/{take['song_id']}.flac"
        assert abs(take["loopback_latency_samples"] - 137.37) < 1e-3
        voltage, _ = read_pcm(root / take["cv_path"])
        assert voltage.shape == (take["frames"], 1)
        assert -40 * float(voltage.min()) / 2**31 > 1, "the unit reduces its gain by more than 1 dB, and says so"
    for one, other in by_song.values():
        assert one["stream_frame"] == other["stream_frame"], "one play"
        assert one["wet_sha256"] != other["wet_sha256"], "two units"
    pairs = list(Dataset(root).pairs())
    assert {pair.unit_id for pair in pairs} == {take["unit_id"] for take in takes}
    assert CliRunner().invoke(main, ["verify"]).exit_code == 0


def test_a_fault_at_one_unit_repeats_the_play_for_that_unit_only(tmp_path, monkeypatch):
    root = folder(tmp_path, monkeypatch, ONE)
    (root / "two.yaml").write_text(TWO_UNITS)
    assert capture("--fault", "2/swap#1", device="two").exit_code == 0
    rejected = [take for take in rows(root, "takes") if take["status"] == "rejected"]
    assert [(take["unit_id"][-2:], take["reasons"]) for take in rejected] == [("b2", ["channel_swap"])]
    assert len(rows(root, "takes")) == 5


def test_an_alarm_is_accepted_only_by_name_and_the_name_is_stored(tmp_path, monkeypatch):
    root = folder(tmp_path, monkeypatch, ONE, songs=1)
    refused = capture("--fault", "hum:-65")
    assert refused.exit_code == 1
    assert set(statuses(root).values()) == {"rejected", "planned"}
    result = capture("--fault", "hum:-65", "--operator", "ada", "--override", "hum=transformer next door",
                     "--override", "noise_floor=the same")  # fmt: skip
    assert result.exit_code == 0, result.output
    (accepted,) = [take for take in rows(root, "takes") if take["status"] == "accepted"]
    assert "hum" in accepted["reasons"]
    assert "hum: ada: transformer next door" in accepted["override_reason"]


def test_the_device_may_die_in_a_take_and_in_a_fingerprint(tmp_path, monkeypatch):
    root = folder(tmp_path, monkeypatch, ONE.replace("fingerprint: false", "fingerprint: true"))
    result = capture("--fault", "die@1#1", "--fault", "die@1.5#3")
    assert result.exit_code == 0, result.output
    rejected = [take["reasons"] for take in rows(root, "takes") if take["status"] == "rejected"]
    assert rejected == [["device_lost"]]
    assert sorted(statuses(root).values()) == ["accepted", "accepted", "rejected"]


def test_a_paused_capture_goes_on_at_resume_and_a_stopped_one_with_the_same_command(tmp_path, monkeypatch):
    root = folder(tmp_path, monkeypatch, GRID, songs=3)
    CliRunner().invoke(main, ["catalog", "songs"])
    told: dict[str, Any] = {}

    def ask(*words: str) -> int:  # a runner beside that of the capture would take its output, and give it its own
        return main.main([*words, "--dataset", str(root)], standalone_mode=False) or 0

    def doing() -> str | None:
        words = [sys.executable, "-m", "buscomp", "status", "--json", "--dataset", str(root)]
        document = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        return (document.get("daemon") or {}).get("doing")

    def operate() -> None:
        while not list(root.glob("wet/*/*.flac")):
            time.sleep(0.02)
        told["pause"] = ask("pause")
        while doing() != "paused":
            time.sleep(0.02)
        made = len(list(root.glob("wet/*/*.flac")))
        time.sleep(0.5)
        told["made_while_paused"] = len(list(root.glob("wet/*/*.flac"))) - made
        told["resume"] = ask("resume")
        while len(list(root.glob("wet/*/*.flac"))) <= made:
            time.sleep(0.02)
        told["stop"] = ask("stop")

    operator = threading.Thread(target=operate)
    operator.start()
    result = capture()
    operator.join(60)
    assert result.exit_code == 130, result.output
    assert (told["pause"], told["resume"], told["stop"], told["made_while_paused"]) == (0, 0, 0, 0)
    assert 2 <= list(statuses(root).values()).count("accepted") < 12
    assert capture().exit_code == 0
    assert list(statuses(root).values()) == ["accepted"] * 12


def test_calibration_visits_and_anchors_are_fingerprints_without_songs_and_are_not_repeated(tmp_path, monkeypatch):
    grid = ONE.replace("fingerprint: false", "calibrate: [attack_ms]\nanchor: {every: 1}")
    grid = grid.replace("attack_ms: [0.3]", "attack_ms: [0.1, 3]").replace("expect: 1", "expect: 2")
    root = folder(tmp_path, monkeypatch, grid, songs=1)
    assert capture().exit_code == 0
    occasions = [probe["occasion"] for probe in rows(root, "fingerprints")]
    assert occasions.count("calibration") == 4, "two positions, twice"
    assert occasions.count("begin") == occasions.count("end") == 2
    assert occasions.count("anchor") >= 2
    assert capture().exit_code == 0
    assert len(rows(root, "fingerprints")) == len(occasions)
    calibrations = [p["setting_id"] for p in rows(root, "fingerprints") if p["occasion"] == "calibration"]
    assert calibrations[:2] == calibrations[2:]
    assert len(set(calibrations)) == 2


def test_no_take_is_made_before_a_unit_that_warms_up_stands_still(tmp_path, monkeypatch):
    grid = ONE.replace("fingerprint: false", "warm_up: {minutes_most: 60, drift_db_per_10_min: 0.2}")
    root = folder(tmp_path, monkeypatch, grid, songs=1)
    (root / "cold.yaml").write_text("kind: virtual\nspecimen_seed: 3\nwarm_up_degc: 10\n")
    result = capture(device="cold")
    assert result.exit_code == 0, result.output
    probes = rows(root, "fingerprints")
    warm_ups = [probe for probe in probes if probe["occasion"] == "warm_up"]
    assert len(warm_ups) > 10
    assert "is warm" in result.output
    assert np.all([probe["audio_path"] is None for probe in warm_ups])
    (take,) = rows(root, "takes")
    assert take["stream_frame"] > 180 * 44_100, "three minutes of stream at least had passed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--fault", "swop"), "no such fault, got swop"),
        (("--override", "swop=x"), "no alarm that can be overridden has this code, got swop"),
        (("--fault", "3/swap"), "a fault is meant for a unit that is not there"),
    ],
)
def test_words_that_cannot_be_meant_are_one_line_and_leave_no_trace(tmp_path, monkeypatch, words, told):
    root = folder(tmp_path, monkeypatch, ONE)
    CliRunner().invoke(main, ["catalog", "songs"])
    result = capture(*words)
    assert result.exit_code == 2, result.output
    assert told in result.output
    assert not Dataset(root).journal_path.exists()

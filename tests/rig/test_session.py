"""What a rack does to a capture: a wrong knob, a dead server, a dead compressor, two units on one interface."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from buscomp.capture.layout import TakeLayout
from buscomp.capture.settling import settle_s
from buscomp.capture.staging import Staging
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import quantise, read_pcm
from buscomp.tests.rig.operator import ONE_SETTING, Running, make_folder, operate, plugin_controls, takes_of
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, Rig, render_offline

pytestmark = [pytest.mark.rig, pytest.mark.slow, pytest.mark.timeout(600)]
PROVEN = ONE_SETTING.replace("fingerprint: false", "fingerprint: true")


def soon(command: Running, seconds: float, act: Callable[[], object]) -> threading.Timer:
    """`act` in the middle of what the command does next."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer


def test_a_wrong_knob_is_heard_named_and_no_song_is_played_before_it_is_right(start_rig, tmp_path: Path):
    root = make_folder(tmp_path / "my-dataset", 4, 2.0, PROVEN)
    rig: Rig = start_rig()

    def stop_after_the_first_take(command: Running, visited: list[str]) -> None:
        while not list(root.glob("wet/*/*.flac")) and command.poll() is None:
            time.sleep(0.05)
        command.send_signal(signal.SIGINT)

    first = operate(rig, root, stop_after_the_first_take)
    assert first.exit_status == 130, first.output
    captured = len(list(root.glob("wet/*/*.flac")))
    assert 1 <= captured < 4, "Ctrl-C once: after the take in progress"
    hands: list[float] = []
    songs_at_enter: list[int] = []

    def miss_once(knob: str, value: float) -> float:
        if knob == "rat":
            hands.append(value)
        return 8.0 if knob == "rat" and len(hands) == 1 else value

    def count(command: Running, visited: list[str]) -> None:
        songs_at_enter.append(len(list(root.glob("wet/*/*.flac"))))

    second = operate(rig, root, count, miss_once)
    assert second.exit_status == 0, second.output
    assert "!!! The audio says: " in second.output
    assert len(hands) == 2, "asked once for the setting, and once more after the audio had contradicted"
    assert songs_at_enter == [captured, captured]
    assert [take["status"] for take in takes_of(root)] == ["accepted"] * 4
    probes = Dataset(root).rows("fingerprints")
    wrong = [probe for probe in probes if probe["verdict"] == "mismatch"]
    assert len(wrong) == 1
    assert [probe["occasion"] for probe in probes] == ["begin", "end", "begin", "begin", "end"]
    for take in takes_of(root):
        compare_with_the_offline_render(root, take, 0.5)


def test_a_server_that_is_killed_in_a_take_costs_that_take_and_the_capture_goes_on_after_its_restart(
    start_rig, tmp_path: Path
):
    root = make_folder(tmp_path / "my-dataset", 2, 3.0, ONE_SETTING)
    rig: Rig = start_rig()

    def kill_and_restart(command: Running, visited: list[str]) -> None:
        time.sleep(3.0)  # the first take is on its way
        rig.server.kill()
        time.sleep(2.0)
        rig.restart()  # not in a thread: what it starts would die with the thread

    run = operate(rig, root, kill_and_restart)
    assert run.exit_status == 0, run.output
    takes = takes_of(root)
    assert [take["status"] for take in takes].count("accepted") == 2
    lost = [take for take in takes if take["status"] == "rejected"]
    assert [take["reasons"] for take in lost] == [["device_lost"]]
    for take in takes:
        if take["status"] == "accepted":
            compare_with_the_offline_render(root, take, 0.5)


def test_a_compressor_that_is_killed_returns_silence_without_any_error_and_its_take_is_rejected(
    start_rig, tmp_path: Path
):
    root = make_folder(tmp_path / "my-dataset", 1, 3.0, ONE_SETTING)
    rig: Rig = start_rig()
    timers: list[threading.Timer] = []

    def kill_the_host(command: Running, visited: list[str]) -> None:
        timers.append(soon(command, 3.5, rig.host.kill))
        timers.append(soon(command, 14.0, lambda: command.send_signal(signal.SIGTERM)))

    run = operate(rig, root, kill_the_host)
    for timer in timers:
        timer.join()
    assert run.exit_status != 0
    rejected = [take for take in takes_of(root) if take["status"] == "rejected"]
    assert rejected, run.output
    assert {*rejected[0]["reasons"]} & {"silent_return", "probe_not_found", "device_lost"}, rejected[0]["reasons"]
    assert not [take for take in takes_of(root) if take["status"] == "accepted"]


def test_two_units_a_loopback_pair_and_control_voltages_are_captured_in_the_same_plays(start_rig, tmp_path: Path):
    root = make_folder(tmp_path / "my-dataset", 2, 2.0, ONE_SETTING)
    rig: Rig = start_rig(units=2, loopback=True, control_voltage=True)
    profile = rig.profile.model_dump(mode="json", exclude_defaults=True)
    (root / "two.yaml").write_text(yaml.safe_dump(profile))
    run = operate(rig, root, device="two")
    assert run.exit_status == 0, run.output
    takes = takes_of(root)
    assert [take["status"] for take in takes] == ["accepted"] * 4
    units = {take["unit_id"] for take in takes}
    assert units == {"zam-zamcompx2-rig-1", "zam-zamcompx2-rig-2"}
    for take in takes:
        assert take["wet_path"].startswith(f"wet/{take['unit_id']}/")
        assert take["integer_shift_samples"] == PERIOD
        assert abs(take["loopback_latency_samples"] - PERIOD) < 1e-3
        compare_with_the_offline_render(root, take, 0.5)
        voltage, _ = read_pcm(Dataset(root).file(take["cv_path"]))
        wet, _ = read_pcm(Dataset(root).file(take["wet_path"]))
        assert voltage.shape == (len(wet), 1)
        reduction_db = voltage[:, 0] / 2.0**31 / 0.01
        assert reduction_db.max() > 3.0, "the unit compresses, and its voltage says so"
    of_song = {take["song_id"]: [t["stream_frame"] for t in takes if t["song_id"] == take["song_id"]] for take in takes}
    assert all(len(set(frames)) == 1 for frames in of_song.values()), "one play for both units"


def compare_with_the_offline_render(root: Path, take: dict[str, Any], settled_s: float) -> None:
    """From `settled_s` on no stored sample differs from what `lv2file` makes of the same send."""
    dataset, staging = Dataset(root), Staging(5, -5)
    pair = next(pair for pair in dataset.pairs() if pair.take_id == take["take_id"])
    values = dataset.unit.from_row(pair.setting)
    layout = TakeLayout.of(len(pair.dry), SAMPLE_RATE, settle_s(dataset.unit, values), 8192)
    rendered = render_offline(layout.send(pair.dry, staging), SAMPLE_RATE, plugin_controls(values))
    oracle = quantise(staging.trim(rendered[layout.song_start :][: len(pair.dry)]))
    wet, _ = read_pcm(dataset.file(take["wet_path"]))
    different = np.flatnonzero((wet != oracle).any(axis=1))
    last_s = (different[-1] + 1) / SAMPLE_RATE if len(different) else 0.0
    assert last_s <= settled_s, f"{take['take_id']} differs {len(different)} times, last at {last_s:.3f} s"

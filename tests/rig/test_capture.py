"""The real command on the rig: three songs at eight settings, killed once, compared with an offline render.

`buscomp capture --device fireface --grid grid.yaml` runs as a user runs it, in a dataset folder that holds songs, a
unit profile and a grid; the test is the operator who reads what to turn, turns it, and presses Enter. Takes pass in
real time, so the whole lasts three to four minutes.
"""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buscomp.capture.device import DeviceProfile
from buscomp.capture.layout import TakeLayout
from buscomp.capture.settling import settle_s
from buscomp.capture.staging import Staging
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import quantise, read_pcm
from buscomp.tests.rig.operator import (
    ONE_SETTING,
    Run,
    Running,
    buscomp,
    make_folder,
    operate,
    plugin_controls,
    takes_of,
)
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, render_offline

pytestmark = [pytest.mark.rig, pytest.mark.slow, pytest.mark.timeout(1200)]

SONGS, SONG_S = 3, 5.0
SETTLED_S = 0.5  # into the song
GRID = """\
unit: unit.yaml
factors:
  threshold_db: [-30, -18]
  ratio: [2, 8]
  attack_ms: [1, 10]
exclude:
  - match: {ratio: 2, attack_ms: 10}
expect: 6
fingerprint: false    # takes alone: 24 of them last long enough
random:
  settings:
    - {threshold_db: -24, ratio: 4, attack_ms: 1}
    - {threshold_db: -36, ratio: 4, attack_ms: 10}
"""


@dataclass
class Captured:
    """Everything that happened to the dataset."""

    root: Path
    killed: Run
    after_kill: list[dict[str, Any]]  # rows of takes then
    resumed: Run
    again: Run

    @property
    def dataset(self) -> Dataset:
        return Dataset(self.root)


@pytest.fixture(scope="module")
def captured(one_rig, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    """The dataset after a first run that was killed in its third setting, a second run, and a third."""
    root = make_folder(tmp_path_factory.mktemp("rig") / "my-dataset", SONGS, SONG_S, GRID)

    def kill_in_the_third_setting(command: Running, visited: list[str]) -> None:
        if len(visited) == 3:
            while not list((root / "wet" / visited[-1]).glob("*.flac")) and command.poll() is None:
                time.sleep(0.05)
            time.sleep(2.0)  # now its second take is on its way
            command.kill()

    with one_rig() as start:
        rig = start()
        killed = operate(rig, root, kill_in_the_third_setting)
        after_kill = takes_of(root)
        resumed = operate(rig, root)
        again = operate(rig, root)
    return Captured(root, killed, after_kill, resumed, again)


def test_the_command_asks_for_each_setting_once_and_accepts_24_takes(captured: Captured):
    assert captured.resumed.exit_status == 0, captured.resumed.output
    takes = takes_of(captured.root)
    accepted = [take for take in takes if take["status"] == "accepted"]
    assert len(accepted) == SONGS * 8
    assert len({(take["song_id"], take["setting_id"]) for take in accepted}) == SONGS * 8
    assert [take["reasons"] for take in takes if take["status"] == "rejected"] == []
    assert len(captured.killed.visited) == 3
    assert len(captured.resumed.visited) == 6  # the third setting again, then five more
    assert captured.resumed.visited[0] == captured.killed.visited[2]
    assert len({*captured.killed.visited, *captured.resumed.visited}) == 8


def test_after_a_sigkill_the_same_command_finishes_the_rest_and_repeats_nothing(captured: Captured):
    assert captured.killed.exit_status == -signal.SIGKILL
    done = {take["take_id"]: take for take in captured.after_kill if take["status"] == "accepted"}
    assert len(done) == 2 * SONGS + 1
    in_the_end = {take["take_id"]: take for take in takes_of(captured.root)}
    assert {take_id: in_the_end[take_id] for take_id in done} == done  # the same rows: hash, time, session
    made_later = [take for take_id, take in in_the_end.items() if take_id not in done]
    assert len(made_later) == SONGS * 8 - len(done)
    (first, second) = captured.dataset.rows("sessions")
    assert {take["session_id"] for take in made_later} == {second["session_id"]}
    assert first["ended_at"] is None
    assert second["ended_at"] is not None


def test_a_further_capture_does_nothing_and_says_so(captured: Captured):
    assert captured.again.exit_status == 0
    assert captured.again.visited == []
    assert "24 of 24 takes are captured" in captured.again.output
    assert len(captured.dataset.rows("sessions")) == 2


def test_every_take_equals_the_offline_render_to_the_last_bit_from_half_a_second_on(captured: Captured):
    """Settled means: from `SETTLED_S` into the song to its end, on both channels, no stored 24-bit sample differs
    from what `lv2file` makes of the same send, trimmed and rounded by the same functions. Before that the plugin may
    still remember the take before or the knob that was turned, which shows as 1e-3 at most."""
    dataset, staging = captured.dataset, Staging(5, -5)
    unit, max_latency_samples = dataset.unit, DeviceProfile(match="fireface").max_latency_samples
    compared, reductions_db, settled = 0, [], []
    for pair in dataset.pairs():
        values = unit.from_row(pair.setting)
        layout = TakeLayout.of(len(pair.dry), SAMPLE_RATE, settle_s(unit, values), max_latency_samples)
        send = layout.send(pair.dry, staging)
        rendered = render_offline(send, SAMPLE_RATE, plugin_controls(values))
        oracle = quantise(staging.trim(rendered[layout.song_start :][: len(pair.dry)]))
        wet, _ = read_pcm(dataset.file(dataset.wet_path(pair.setting_id, pair.song_id)))
        assert wet.shape == oracle.shape
        different = np.flatnonzero((wet != oracle).any(axis=1))
        settled.append((int(different[-1]) + 1) / SAMPLE_RATE if len(different) else 0.0)
        assert settled[-1] <= SETTLED_S, f"{pair.take_id} differs {len(different)} times, last at {settled[-1]:.3f} s"
        assert np.abs((wet - oracle) / 2.0**31).max() < 1e-3
        reductions_db.append(20 * np.log10(pair.dry.std() / pair.wet.std()))
        compared += 1
    assert compared == SONGS * 8
    assert max(reductions_db) > 3  # it was a compressor
    print(f"settled {max(settled):.3f} s into the song at the latest, {sum(s == 0 for s in settled)} from its start")


def test_the_tables_say_1024_samples_of_latency_for_every_take(captured: Captured):
    takes = captured.dataset.takes
    assert set(takes["integer_shift_samples"]) == {PERIOD}
    np.testing.assert_allclose(takes["latency_samples"], PERIOD, atol=0.02)
    np.testing.assert_allclose(takes["drift_samples"], 0, atol=0.02)
    session = captured.dataset.rows("sessions")[-1]
    assert (session["device"], session["sample_rate"], session["block_size"]) == ("fireface", SAMPLE_RATE, PERIOD)
    assert session["host_api"] == "JACK Audio Connection Kit"


def test_the_dataset_goes_on_through_verify_split_train_and_evaluate(captured: Captured):
    verified = buscomp(captured.root, "verify")
    assert verified.returncode == 0, verified.stdout
    assert f"{SONGS + SONGS * 8} audio files decoded and hashed: nothing wrong." in verified.stdout
    for words in (("split",), ("train", "--steps", "4", "--batch", "2"), ("evaluate",)):
        done = buscomp(captured.root, *words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    results = captured.dataset.rows("results")
    tests = [row for row in results if row["song_role"] == "unseen"]
    assert {row["split"]: row["takes"] for row in tests} == {"test_seen": 6, "test_unseen": 2}
    assert len(tests) == 2 * 4, "a model and three baselines on either split"


def test_a_server_that_dies_in_a_take_costs_that_take_and_one_line_and_the_same_command_goes_on(one_rig, tmp_path):
    root = make_folder(tmp_path / "my-dataset", 1, 2.0, ONE_SETTING)
    (root / "fireface.yaml").write_text("kind: portaudio\nmatch: fireface\ndevice_wait_s: 3\n")
    with one_rig() as start:
        rig = start()
        threads: list[threading.Timer] = []

        def kill_the_server_in_the_take(command: Running, visited: list[str]) -> None:
            threads.append(threading.Timer(2.0, rig.server.kill))
            threads[-1].start()

        broken = operate(rig, root, kill_the_server_in_the_take)
        threads[0].join()
    assert broken.exit_status != 0
    assert "stopped answering" in broken.output or "its server or its device is gone" in broken.output
    assert "Waiting for the device, 3 s at most" in broken.output
    assert "did not come back within 3 s" in broken.output
    assert "Traceback" not in broken.output
    assert [(take["status"], take["reasons"]) for take in takes_of(root)] == [
        ("rejected", ["device_lost"]),
        ("planned", None),
    ]
    with one_rig() as start:
        mended = operate(start(), root)
    assert mended.exit_status == 0, mended.output
    assert [take["status"] for take in takes_of(root)] == ["rejected", "accepted"]


def test_ctrl_c_twice_in_a_take_ends_with_130_in_seconds_and_the_same_command_goes_on(one_rig, tmp_path):
    root = make_folder(tmp_path / "my-dataset", 2, 2.0, ONE_SETTING)
    interrupted_at: list[float] = []

    def interrupt_the_second_take(command: Running, visited: list[str]) -> None:
        while not list(root.glob("wet/*/*.flac")) and command.poll() is None:
            time.sleep(0.05)
        time.sleep(1.0)
        interrupted_at.append(time.monotonic())
        command.send_signal(signal.SIGINT)
        time.sleep(0.3)
        command.send_signal(signal.SIGINT)  # twice: now, not after this take

    with one_rig() as start:
        rig = start()
        stopped = operate(rig, root, interrupt_the_second_take)
        assert time.monotonic() - interrupted_at[0] < 10
        assert stopped.exit_status == 130
        assert "Stopped: 1 of 2 takes are captured" in stopped.output
        mended = operate(rig, root)
    assert mended.exit_status == 0, mended.output
    assert [take["status"] for take in takes_of(root)] == ["accepted", "accepted"]
    assert all(row["ended_at"] for row in Dataset(root).rows("sessions"))

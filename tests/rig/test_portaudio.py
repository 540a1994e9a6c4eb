"""PortAudio on the rig: exact samples when all is well, one clear error and a living parent when it is not."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from click.testing import CliRunner

from buscomp.capture import devices
from buscomp.capture.device import DeviceProfile
from buscomp.capture.portaudio import PortAudioInterface
from buscomp.manifests.errors import DeviceError, UsageError
from buscomp.manifests.pcm import Float32
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, Rig, settled_from

pytestmark = pytest.mark.rig
FIREFACE = DeviceProfile(match="fireface")


def plucks(seconds: float) -> Float32:
    """Decaying stereo tones twice a second, -12 dBFS: a compressor's attack and release never rest."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    decay = np.exp(-8 * (time_s % 0.5))
    left = np.sin(2 * np.pi * 220 * time_s) + 0.3 * np.sin(2 * np.pi * 1760 * time_s)
    right = np.sin(2 * np.pi * 330 * time_s)
    return np.asarray(0.25 * decay[:, None] * np.stack([left, right], axis=1) / 1.3, np.float32)


def after_silence(audio: Float32, silence_s: float) -> Float32:
    """`audio` after `silence_s` of silence, with a tail in which the return can end."""
    silence = np.zeros((round(silence_s * SAMPLE_RATE), 2), np.float32)
    return np.concatenate([silence, audio, np.zeros((4 * PERIOD, 2), np.float32)])


@contextmanager
def opened(profile: DeviceProfile = FIREFACE) -> Iterator[PortAudioInterface]:
    interface = PortAudioInterface(profile)
    try:
        yield interface
    finally:
        interface.close()


def in_a_second(action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(1.0, action)
    timer.start()
    return timer


def test_three_takes_on_one_stream_equal_the_offline_render_one_period_later(rig: Rig):
    with opened() as interface:
        assert (interface.name, interface.sample_rate, interface.block_size) == ("fireface", SAMPLE_RATE, PERIOD)
        assert "JACK" in interface.host_api
        for threshold_db, seconds in ((-20, 1.5), (-36, 1.2), (-28, 1.234)):
            rig.knob(thr=threshold_db, rat=4)
            send = after_silence(plucks(seconds), 1.0)
            recording = interface.play_and_record(send)
            assert recording.audio.shape == send.shape
            assert recording.audio.dtype == np.float32
            returned, oracle = recording.audio[PERIOD:], rig.oracle(send)[:-PERIOD]
            settled_s = settled_from(returned, oracle) / SAMPLE_RATE
            assert settled_s <= 1.0 + 0.55  # from the second pluck on at the latest: the knob was just turned
            assert np.abs(returned - send[:-PERIOD]).max() > 0.01  # it does compress
            np.testing.assert_allclose(returned, oracle, atol=0.005)


def test_a_take_after_a_fresh_start_is_exact_from_its_first_sample(start_rig):
    rig = start_rig(thr=-30, rat=8)
    send = after_silence(plucks(1.0), 0.0)
    with opened() as interface:
        recording = interface.play_and_record(send)
    np.testing.assert_array_equal(recording.audio[PERIOD:], rig.oracle(send)[:-PERIOD])
    assert not recording.audio[:PERIOD].any()


def test_sends_and_returns_pick_channels_in_their_order(rig: Rig):
    send = after_silence(plucks(0.5), 0.0)
    with opened(FIREFACE.model_copy(update={"sends": (2, 1), "returns": (2,)})) as interface:
        recording = interface.play_and_record(send)
    assert recording.audio.shape == (len(send), 1)
    np.testing.assert_array_equal(recording.audio[PERIOD:, 0], send[:-PERIOD, 0])  # first send -> output 2 -> return 2


def test_a_server_that_pauses_for_a_second_costs_time_and_no_sample(rig: Rig):
    def pause_server() -> None:
        rig.server.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        rig.server.send_signal(signal.SIGCONT)

    send = after_silence(plucks(2.0), 0.0)
    with opened() as interface:
        pause = in_a_second(pause_server)
        recording = interface.play_and_record(send)
        pause.join()
    np.testing.assert_array_equal(recording.audio[PERIOD:], send[:-PERIOD])
    assert recording.xrun_frames == tuple(frame for frame, _ in interface.xruns)
    assert all(frame % PERIOD == 0 and "flow" in flags for frame, flags in interface.xruns)


def test_a_server_killed_in_a_take_is_a_device_error_within_four_seconds(rig: Rig):
    interface = PortAudioInterface(FIREFACE)
    kill = in_a_second(rig.server.kill)
    began = time.monotonic()
    with pytest.raises(DeviceError, match="stopped answering"):
        interface.play_and_record(after_silence(plucks(20.0), 0.0))
    assert time.monotonic() - began < 1.0 + 4.0
    kill.join()
    with pytest.raises(DeviceError, match="lost"):
        interface.play_and_record(after_silence(plucks(0.1), 0.0))
    began = time.monotonic()
    interface.close()
    interface.close()
    assert time.monotonic() - began < 1.0
    assert not multiprocessing.active_children()


def test_a_server_killed_between_takes_is_a_device_error_at_the_next_take(rig: Rig):
    with opened() as interface:
        rig.server.kill()
        rig.server.wait()
        with pytest.raises(DeviceError, match="stopped answering"):
            interface.play_and_record(after_silence(plucks(0.5), 0.0))


def test_a_unit_that_leaves_in_order_leaves_digital_silence_and_no_error(rig: Rig):
    """JACK tells nobody: only the content of a take shows that the unit is gone."""
    send = after_silence(plucks(2.5), 0.0)
    with opened() as interface:
        leave = in_a_second(rig.host.terminate)
        recording = interface.play_and_record(send)
        leave.join()
    assert recording.audio[: SAMPLE_RATE // 2].any()
    assert not recording.audio[-SAMPLE_RATE:].any()


def test_a_unit_that_is_killed_ends_the_take_with_silence_or_an_error_and_never_hangs(rig: Rig):
    """A synchronous server waits for the dead client, for 0.5 s or for several: the second looks like a dead server."""
    send = after_silence(plucks(2.5), 0.0)
    began = time.monotonic()
    with opened() as interface:
        kill = in_a_second(rig.host.kill)
        recording = None
        with suppress(DeviceError):
            recording = interface.play_and_record(send)
        kill.join()
    assert recording is None or not recording.audio[-SAMPLE_RATE:].any()
    assert time.monotonic() - began < 20


def test_ctrl_c_in_a_take_reaches_the_parent_only_and_the_stream_closes_in_order(rig: Rig):
    """The child gets the terminal's SIGINT too. One that died of it would cost JACK five seconds at the next start."""
    interface = PortAudioInterface(FIREFACE)
    (child,) = multiprocessing.active_children()
    assert child.pid is not None
    child_pid = child.pid

    def ctrl_c_in_the_terminal() -> None:
        os.kill(child_pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    ctrl_c = in_a_second(ctrl_c_in_the_terminal)
    with pytest.raises(KeyboardInterrupt):
        interface.play_and_record(after_silence(plucks(20.0), 0.0))
    ctrl_c.join()
    assert child.is_alive()
    interface.close()
    send = after_silence(plucks(0.2), 0.0)
    with opened() as interface:
        np.testing.assert_array_equal(interface.play_and_record(send).audio[PERIOD:], send[:-PERIOD])


def test_the_audio_process_dies_with_its_parent(rig: Rig, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from buscomp.capture.device import DeviceProfile\n"
        "from buscomp.capture.portaudio import PortAudioInterface\n"
        "if __name__ == '__main__':\n"
        "    interface = PortAudioInterface(DeviceProfile(match='fireface'))\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child_pid = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 5
    while _alive(child_pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(child_pid)


def test_a_device_that_is_not_there_is_wrong_use_and_the_devices_are_named(rig: Rig):
    with pytest.raises(UsageError, match=r"got babyface .*fireface \[JACK.*buscomp devices"):
        PortAudioInterface(DeviceProfile(match="babyface"))
    with pytest.raises(UsageError, match="under ALSA"):
        PortAudioInterface(DeviceProfile(match="fireface", host_api="ALSA"))
    assert not multiprocessing.active_children()


def test_a_return_that_the_device_lacks_is_a_device_error_with_both_counts(rig: Rig):
    with pytest.raises(DeviceError, match=r"too few channels, got 3 out and 2 in \(allowed: at least 2 out and 4 in"):
        PortAudioInterface(DeviceProfile(match="fireface", returns=(3, 4)))


def test_a_server_at_48_khz_is_refused_for_a_profile_at_44_1_khz(start_rig):
    start_rig(sample_rate=48000)
    with pytest.raises(DeviceError, match=r"sample rate, got 48000 Hz \(allowed: 44100 Hz\)"):
        PortAudioInterface(FIREFACE)


def test_audio_that_does_not_fit_the_sends_is_refused_and_the_stream_lives_on(rig: Rig):
    with opened() as interface:
        with pytest.raises(UsageError, match=r"allowed: \(frames, 2\)"):
            interface.play_and_record(np.zeros((100, 3), np.float32))
        assert len(interface.play_and_record(np.zeros((100, 2), np.float32)).audio) == 100


def test_the_verb_devices_lists_fireface_with_its_channels(rig: Rig):
    told = subprocess.run([sys.executable, "-m", "buscomp", "devices"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "Profiles: fireface, virtual" in told.stdout
    assert "fireface  3 out, 2 in, 44100 Hz  [JACK Audio Connection Kit]" in told.stdout
    listed = json.loads(CliRunner().invoke(devices.devices, ["--json"]).output)
    fireface = next(device for device in listed["devices"] if device["name"] == "fireface")
    assert (fireface["sends"], fireface["returns"], fireface["sample_rate"]) == (3, 2, 44100)
    assert listed["missing"] is None


def test_the_verb_devices_does_not_hang_on_a_server_that_stands_still(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "QUERY_LIMIT_S", 3.0)
    rig.server.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    told = CliRunner().invoke(devices.devices)
    assert time.monotonic() - began < 10
    assert told.exit_code == 0, told.output
    assert "Profiles: fireface, virtual" in told.output
    assert "did not answer within 3 s" in told.output


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

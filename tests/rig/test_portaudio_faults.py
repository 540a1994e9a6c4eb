"""PortAudio on the rig when something dies: one clear error, a living parent, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from buscomp.capture import devices, portaudio
from buscomp.capture.interface import play_and_record
from buscomp.capture.portaudio import PortAudioInterface
from buscomp.manifests.errors import DeviceError
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, Rig
from buscomp.tests.rig.streams import FIREFACE, after_silence, in_a_second, opened, paused, plucks

pytestmark = pytest.mark.rig


def test_a_server_that_pauses_for_a_second_costs_time_and_no_sample(rig: Rig):
    send = after_silence(plucks(2.0), 0.0)
    with opened() as interface:
        pause = in_a_second(lambda: paused(rig, 1.0))
        recording = play_and_record(interface, send)
        pause.join()
    np.testing.assert_array_equal(recording.audio[PERIOD:], send[:-PERIOD])
    assert all(frame % PERIOD == 0 for frame in recording.xrun_frames)
    assert recording.elapsed_s > len(send) / SAMPLE_RATE + 0.3


def test_a_server_that_stands_still_for_good_is_a_device_error(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(portaudio, "STALL_S", 1.0)
    with opened() as interface:
        interface.play(plucks(20.0))
        time.sleep(0.1)
        rig.server.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(DeviceError, match=r"stopped answering: fireface moved no sample for 1\.1 s"):
            interface.record()
        assert time.monotonic() - began < 3.0
    assert time.monotonic() - began < 4.0
    assert not multiprocessing.active_children()
    rig.server.kill()  # going on, it would wait five seconds for the client that was killed


def test_a_server_killed_in_a_take_is_a_device_error_within_2_s_and_after_a_restart_all_is_well(rig: Rig):
    interface = PortAudioInterface(FIREFACE)
    kill = in_a_second(rig.server.kill)
    began = time.monotonic()
    interface.play(plucks(20.0))
    interface.play(plucks(0.1))
    with pytest.raises(DeviceError, match="its server or its device is gone"):
        interface.record()
    assert time.monotonic() - began < 1.0 + 2.0
    kill.join()
    with pytest.raises(DeviceError, match="lost"):
        interface.record()
    with pytest.raises(DeviceError, match="lost"):
        interface.play(plucks(0.1))
    began = time.monotonic()
    interface.close()
    interface.close()
    assert time.monotonic() - began < 1.0
    assert not multiprocessing.active_children()
    rig.restart()
    send = after_silence(plucks(0.5), 0.0)
    with opened() as again:
        np.testing.assert_array_equal(play_and_record(again, send).audio[PERIOD:], send[:-PERIOD])


def test_a_server_killed_between_takes_is_a_device_error_at_the_next_take_and_closing_is_quick(rig: Rig):
    interface = PortAudioInterface(FIREFACE)
    rig.server.kill()
    rig.server.wait()
    with pytest.raises(DeviceError, match="its server or its device is gone"):
        play_and_record(interface, plucks(0.5))
    began = time.monotonic()
    interface.close()
    assert time.monotonic() - began < 1.0


def test_an_interface_whose_server_was_killed_closes_within_a_second(rig: Rig):
    interface = PortAudioInterface(FIREFACE)
    interface.play(plucks(5.0))
    rig.server.kill()
    rig.server.wait()
    began = time.monotonic()
    interface.close()
    assert time.monotonic() - began < 1.0
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("leave", [signal.SIGTERM, signal.SIGKILL])
def test_a_unit_that_leaves_in_a_take_leaves_digital_silence_and_no_error(rig: Rig, leave: signal.Signals):
    """JACK tells nobody: only the content of a take shows that the unit is gone. A synchronous server waits for a
    client that was killed, for up to 5 s; that too is no dead server."""
    send = after_silence(plucks(2.5), 0.0)
    with opened() as interface:
        leaves = in_a_second(lambda: rig.host.send_signal(leave))
        recording = play_and_record(interface, send)
        leaves.join()
    assert recording.audio[: SAMPLE_RATE // 2].any()
    assert not recording.audio[-SAMPLE_RATE:].any()


def test_ctrl_c_in_a_take_reaches_the_parent_only_and_the_stream_goes_on_or_closes_at_once(rig: Rig):
    """The child gets the terminal's SIGINT too. One that died of it would cost JACK five seconds at the next start."""
    interface = PortAudioInterface(FIREFACE)
    (child,) = multiprocessing.active_children()
    assert child.pid is not None
    child_pid = child.pid

    def ctrl_c_in_the_terminal() -> None:
        os.kill(child_pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    send = after_silence(plucks(2.0), 0.0)
    interface.play(send)
    interface.play(plucks(20.0))
    ctrl_c = in_a_second(ctrl_c_in_the_terminal)
    with pytest.raises(KeyboardInterrupt):
        interface.record()
    ctrl_c.join()
    assert child.is_alive()
    np.testing.assert_array_equal(interface.record().audio[PERIOD:], send[:-PERIOD])  # the take goes on
    began = time.monotonic()
    interface.close()
    assert time.monotonic() - began < 1.0
    with opened() as interface:
        assert play_and_record(interface, send).audio[PERIOD:].any()


def test_opening_and_closing_leaves_no_descriptor_no_process_and_no_shared_memory(rig: Rig):
    def open_and_close() -> tuple[int, set[str]]:
        with opened(longest_frames=SAMPLE_RATE) as interface:
            assert not _take_buffers(os.getpid())  # nothing to leave behind, however this process ends
            play_and_record(interface, np.zeros((2 * SAMPLE_RATE // 10, 2), np.float32))
        return len(os.listdir("/proc/self/fd")), _take_buffers(os.getpid())

    counts = [open_and_close() for _ in range(4)]
    assert len(set(map(str, counts))) == 1
    assert counts[0][1] == set()
    assert not multiprocessing.active_children()


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
    assert not _take_buffers(parent.pid)


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


def _take_buffers(pid: int) -> set[str]:
    return {path.name for path in Path("/dev/shm").glob(f"buscomp_{pid}_*")}

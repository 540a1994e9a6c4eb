"""PortAudio on the rig when all is well: exact samples, no frame between takes."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from buscomp.capture import devices
from buscomp.capture.device import DeviceProfile
from buscomp.capture.interface import play_and_record
from buscomp.capture.portaudio import PortAudioInterface
from buscomp.manifests.errors import DeviceError, UsageError
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, Rig, settled_from
from buscomp.tests.rig.streams import FIREFACE, after_silence, opened, plucks

pytestmark = pytest.mark.rig


def test_five_takes_back_to_back_have_no_frame_between_them_and_equal_the_offline_render(start_rig):
    """Take n+1 is queued while n plays; their lengths end in the middle of a period. All five are one stream."""
    rig = start_rig(thr=-30, rat=8)
    sends = [plucks(seconds) for seconds in (1.5, 1.2, 1.234, 0.8, 0.01)]
    with opened(longest_frames=max(map(len, sends))) as interface:
        assert (interface.name, interface.sample_rate, interface.block_size) == ("fireface", SAMPLE_RATE, PERIOD)
        assert "JACK" in interface.host_api
        recordings = []
        interface.play(sends[0])
        for following in (*sends[1:], None):
            if following is not None:
                interface.play(following)
            recordings.append(interface.record())
    assert [recording.audio.shape for recording in recordings] == [send.shape for send in sends]
    assert {recording.audio.dtype for recording in recordings} == {np.dtype(np.float32)}
    ends = [recording.stream_frame + len(recording.audio) for recording in recordings]
    assert [recording.stream_frame for recording in recordings[1:]] == ends[:-1]
    returned = np.concatenate([recording.audio for recording in recordings])
    sent = np.concatenate(sends)
    np.testing.assert_array_equal(returned[PERIOD:], rig.oracle(sent)[:-PERIOD])
    assert not returned[:PERIOD].any()
    assert np.abs(returned[PERIOD:] - sent[:-PERIOD]).max() > 0.01  # it does compress


def test_a_take_queued_after_the_one_before_has_come_back_begins_within_50_ms(rig: Rig):
    send = after_silence(plucks(0.5), 0.0)
    with opened(longest_frames=len(send)) as interface:
        recordings = [play_and_record(interface, send) for _ in range(4)]
    gaps_frames = [
        after.stream_frame - before.stream_frame - len(before.audio) for before, after in pairwise(recordings)
    ]
    print(f"software time between takes, one after the other: {1000 * max(gaps_frames) / SAMPLE_RATE:.0f} ms at most")
    assert min(gaps_frames) > 0
    assert max(gaps_frames) / SAMPLE_RATE <= 0.05 + 0.05  # the second half: this machine may be busy
    assert all(abs(recording.elapsed_s - len(send) / SAMPLE_RATE) < 0.5 for recording in recordings)
    for before, after, gap_frames in zip(recordings, recordings[1:], gaps_frames, strict=False):
        assert before.started_at is not None
        assert after.started_at is not None
        apart_s = (after.started_at - before.started_at).total_seconds()
        assert apart_s == pytest.approx((gap_frames + len(send)) / SAMPLE_RATE, abs=0.5)


def test_after_a_turned_knob_a_longer_take_equals_the_offline_render_from_the_second_pluck_on(rig: Rig):
    with opened() as interface:  # with no room made in advance
        for threshold_db, seconds in ((-20, 1.0), (-36, 1.234)):
            rig.knob(thr=threshold_db, rat=4)
            send = after_silence(plucks(seconds), 1.0)
            recording = play_and_record(interface, send)
            returned, oracle = recording.audio[PERIOD:], rig.oracle(send)[:-PERIOD]
            settled_s = settled_from(returned, oracle) / SAMPLE_RATE
            assert settled_s <= 1.0 + 0.55
            np.testing.assert_allclose(returned, oracle, atol=0.005)


def test_two_units_a_loopback_pair_and_control_voltages_come_back_from_one_send(start_rig):
    rig = start_rig(units=2, loopback=True, control_voltage=True, rat=8)
    rig.knob_of(0, thr=-30)
    rig.knob_of(1, thr=-20)
    wiring = rig.profile.wiring
    send = plucks(1.0)
    with opened(rig.profile) as interface:
        audio = play_and_record(interface, wiring.fan_out(send)).audio[PERIOD:]
    assert wiring.loopback_input == 6
    np.testing.assert_array_equal(audio[:, wiring.loopback_input], send[:-PERIOD, 0])
    for unit in range(2):
        returned = audio[:, wiring.returns[unit]]
        np.testing.assert_array_equal(returned, rig.oracle(send, unit)[:-PERIOD])
        reduction_db = audio[:, wiring.cv[unit][0]] * 100
        deepest = int(np.abs(send[:, 0]).argmax()) + 2000  # the attack is over
        measured_db = 20 * np.log10(np.abs(send[deepest:][:441, 1]).max() / np.abs(returned[deepest:][:441, 1]).max())
        assert reduction_db[deepest] == pytest.approx(measured_db, abs=0.5)
    assert np.abs(audio[:, wiring.returns[0]]).max() < 0.9 * np.abs(audio[:, wiring.returns[1]]).max()


def test_sends_and_returns_pick_channels_in_their_order(start_rig):
    start_rig(units=2)
    send = plucks(0.5)
    profile = FIREFACE.model_copy(update={"sends": (4, 1), "returns": (1, 4)})
    with opened(profile) as interface:
        recording = play_and_record(interface, send)
    assert recording.audio.shape == send.shape
    np.testing.assert_array_equal(recording.audio[PERIOD:, 1], send[:-PERIOD, 0])  # first send: output 4, return 4
    np.testing.assert_array_equal(recording.audio[PERIOD:, 0], send[:-PERIOD, 1])


def test_a_send_that_has_not_begun_is_taken_back_and_one_that_has_is_not(rig: Rig):
    with opened() as interface:
        first, second, third = (level * plucks(0.5) for level in (1, 2, 3))
        assert interface.withdraw() is False
        interface.play(first)
        time.sleep(0.2)
        assert interface.withdraw() is False
        interface.play(second)
        with pytest.raises(RuntimeError, match="call record"):
            interface.play(third)
        assert interface.withdraw() is True
        assert interface.withdraw() is False
        interface.play(third)
        recordings = [interface.record(), interface.record()]
        with pytest.raises(RuntimeError, match="nothing was sent"):
            interface.record()
    assert recordings[1].stream_frame == recordings[0].stream_frame + len(first)
    returned = np.concatenate([recording.audio for recording in recordings])
    np.testing.assert_array_equal(returned[PERIOD:], np.concatenate([first, third])[:-PERIOD])


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
            interface.play(np.zeros((100, 3), np.float32))
        assert len(play_and_record(interface, np.zeros((100, 2), np.float32)).audio) == 100


def test_the_verb_devices_lists_fireface_with_its_channels(rig: Rig):
    told = subprocess.run([sys.executable, "-m", "buscomp", "devices"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "Profiles: fireface, virtual" in told.stdout
    assert "fireface  3 out, 2 in, 44100 Hz  [JACK Audio Connection Kit]" in told.stdout
    listed = json.loads(CliRunner().invoke(devices.devices, ["--json"]).output)
    fireface = next(device for device in listed["devices"] if device["name"] == "fireface")
    assert (fireface["sends"], fireface["returns"], fireface["sample_rate"]) == (3, 2, 44100)
    assert listed["missing"] is None


def test_meters_see_the_very_samples_of_the_take_that_sounds_and_of_the_one_that_follows_it(rig: Rig):
    """What `sounding` shows while a take plays is, frame for frame, what `record` gives in the end."""
    sends = [plucks(1.5), plucks(1.3)]
    seen = []
    with opened(longest_frames=max(map(len, sends))) as interface:
        for send in sends:
            interface.play(send)
        ends_s = time.monotonic() + 3.4
        while time.monotonic() < ends_s:  # nothing is fetched meanwhile: what has ended still stands before
            if (now := interface.sounding(4410)) is not None:
                seen.append((time.monotonic(), now))
            time.sleep(0.05)
        recordings = [interface.record() for _ in sends]
        time.sleep(0.3)
        assert interface.sounding(4410) is None
    assert {now.frames for _, now in seen} == {len(send) for send in sends}
    assert len(seen) > 20
    for _, now in seen:
        place = 0 if now.frames == len(sends[0]) else 1
        piece = slice(now.frame - len(now.returned), now.frame)
        np.testing.assert_array_equal(now.returned, recordings[place].audio[piece])
        np.testing.assert_array_equal(now.sent, sends[place][piece])

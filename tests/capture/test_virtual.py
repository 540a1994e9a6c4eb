from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from buscomp.capture.interface import Interface, Recording
from buscomp.capture.panel import Panel
from buscomp.capture.simulator import compress
from buscomp.capture.virtual import VirtualInterface, VirtualPanel
from buscomp.manifests.errors import UsageError
from buscomp.manifests.unit import Setting, load_unit
from buscomp.tests.capture_music import song

KNOBS = {"threshold_db": -28, "ratio": 4, "attack_ms": 1, "release_s": 0.2}
UNIT = load_unit(Path(__file__).parents[2] / "capture" / "ssl-500-bus.yaml")


def test_virtual_interface_and_panel_keep_the_protocols():
    interface: Interface = VirtualInterface()
    assert (interface.name, interface.sample_rate, interface.block_size) == ("virtual", 44_100, 1024)
    assert isinstance(interface, VirtualInterface)
    panel: Panel = VirtualPanel(interface)
    panel.bring(UNIT.setting(KNOBS, "grid"), None)
    interface.close()


@pytest.mark.parametrize("latency_samples", [65, 137, 2000])
def test_whole_latency_returns_the_unit_output_that_much_later_to_24_bits(latency_samples):
    interface = VirtualInterface(latency_samples=latency_samples, noise_dbfs=-200)
    interface.turn(KNOBS)
    send = song(1, 1.0)
    expected, _ = compress(send, 44_100, threshold_db=-28, ratio=4, attack_ms=1, release_s=0.2)
    got = interface.play_and_record(send).audio
    assert got.shape == send.shape
    assert np.abs(got[latency_samples:] - expected[:-latency_samples]).max() < 4 / 2**23
    assert np.abs(got[:latency_samples]).max() < 1 / 2**23


def test_unit_and_cable_remember_across_calls_so_cut_streams_return_the_same():
    send = song(2, 1.0)
    whole, cut = VirtualInterface(noise_dbfs=-200), VirtualInterface(noise_dbfs=-200)
    for interface in (whole, cut):
        interface.turn(KNOBS | {"release_s": "auto"})
    pieces = [cut.play_and_record(piece).audio for piece in np.split(send, [100, 20_000, 20_050])]
    assert np.abs(np.concatenate(pieces) - whole.play_and_record(send).audio).max() < 3 / 2**23


def test_noise_is_minus_100_dbfs_differs_between_calls_and_repeats_with_the_seed():
    silence = np.zeros((44_100, 2), np.float32)
    first, again, other = VirtualInterface(seed=7), VirtualInterface(seed=7), VirtualInterface(seed=8)
    takes = [first.play_and_record(silence).audio for _ in range(2)]
    assert 20 * np.log10(takes[0].std()) == pytest.approx(-100, abs=0.1)
    assert not np.array_equal(takes[0], takes[1])
    assert np.array_equal(takes[0], again.play_and_record(silence).audio)
    assert not np.array_equal(takes[0], other.play_and_record(silence).audio)


def test_bypass_keeps_make_up_in_circuit_and_converters_clip_at_full_scale():
    interface = VirtualInterface(latency_samples=100, noise_dbfs=-200)
    interface.turn(KNOBS | {"engaged": False, "makeup_db": 5})
    send = song(1, 0.5)
    got = interface.play_and_record(send).audio
    assert got[100:] == pytest.approx(send[:-100] * 10 ** (5 / 20), abs=2e-6)
    interface.turn(KNOBS | {"engaged": False, "makeup_db": 15})
    loud = interface.play_and_record(np.array([[0.5], [-0.5]], np.float32).repeat(500, axis=0).repeat(2, axis=1)).audio
    assert loud.max() == np.float32(1 - 2**-23)
    assert loud.min() == -1


def test_a_fault_changes_the_recording_that_is_handed_out():
    interface = VirtualInterface(fault=lambda recording: Recording(recording.audio[::-1], (5,)))
    recording = interface.play_and_record(np.zeros((100, 2), np.float32))
    assert recording.xrun_frames == (5,)


def test_units_that_are_no_bus_compressor_are_refused_with_what_is_missing():
    interface = VirtualInterface()
    with pytest.raises(UsageError, match="no ratio, attack_ms, release_s"):
        interface.turn({"threshold_db": -20, "peak_reduction": 40})
    with pytest.raises(UsageError, match="does not simulate sidechain_hpf_hz, got 60"):
        interface.turn(KNOBS | {"sidechain_hpf_hz": 60})
    with pytest.raises(UsageError, match="too short"):
        VirtualInterface(latency_samples=10)
    with pytest.raises(ValueError, match=r"send must be \(frames, 2\)"):
        interface.play_and_record(np.zeros((100, 1), np.float32))


def test_panel_turns_the_knobs_of_a_setting():
    interface = VirtualInterface(noise_dbfs=-200)
    before: Setting | None = None
    levels = []
    for threshold_db in (-40, 0):
        setting = UNIT.setting(KNOBS | {"threshold_db": threshold_db}, "grid")
        VirtualPanel(interface).bring(setting, before)
        levels.append(np.std(interface.play_and_record(song(1, 1.0)).audio))
        before = setting
    assert levels[1] > 2 * levels[0]

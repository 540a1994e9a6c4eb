from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buscomp.capture.device import resolve_device
from buscomp.capture.faults import Fault, FaultSchedule, parse_fault
from buscomp.capture.interface import Interface, play_and_record
from buscomp.capture.latency import measure_latency
from buscomp.capture.panel import AGAIN, Panel
from buscomp.capture.probe import make_probe
from buscomp.capture.simulator import compress
from buscomp.capture.specimen import IDEAL, Specimen, WarmUp
from buscomp.capture.virtual import CV_DB_AT_FULL_SCALE, VirtualInterface, VirtualPanel
from buscomp.capture.wiring import Wiring
from buscomp.manifests.errors import DeviceError, UsageError
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


def test_units_that_are_no_bus_compressor_are_refused_with_what_is_missing():
    interface = VirtualInterface()
    with pytest.raises(UsageError, match="no ratio, attack_ms, release_s"):
        interface.turn({"threshold_db": -20, "peak_reduction": 40})
    with pytest.raises(UsageError, match="does not simulate mix_percent, got 60"):
        interface.turn(KNOBS | {"mix_percent": 60})
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


def faulty(*specs: str, **more: Any) -> VirtualInterface:
    interface = VirtualInterface(faults=[parse_fault(spec) for spec in specs], **more)
    interface.turn(KNOBS)
    return interface


def played(interface: VirtualInterface, *sends: np.ndarray) -> np.ndarray:
    """What came back for the last of `sends`."""
    return [play_and_record(interface, send).audio for send in sends][-1]


def test_two_sends_may_be_under_way_and_the_last_one_may_be_withdrawn():
    interface = VirtualInterface(noise_dbfs=-200)
    first, second = song(1, 0.5), song(2, 0.4)
    interface.play(first)
    assert not interface.withdraw()  # it sounds
    interface.play(second)
    with pytest.raises(ValueError, match="2 sends are on their way"):
        interface.play(first)
    assert interface.withdraw()
    interface.play(second)
    recordings = [interface.record(), interface.record()]
    assert [recording.stream_frame for recording in recordings] == [0, len(first)]
    assert [recording.elapsed_s for recording in recordings] == [0.5, 0.4]
    whole = played(VirtualInterface(noise_dbfs=-200), np.concatenate([first, second]))
    assert np.array_equal(np.concatenate([recording.audio for recording in recordings]), whole)
    with pytest.raises(ValueError, match="nothing was played"):
        interface.record()
    interface.play(first)
    assert interface.record().stream_frame == len(first) + len(second)


def rack(units: int = 2) -> Wiring:
    """So many stereo units on one pair of sends, each with a control voltage, and a loopback pair."""
    return Wiring.of(
        sends=[(1, 2)] * units,
        returns=[(2 * n + 1, 2 * n + 2) for n in range(units)],
        cv_returns=[(11 + n,) for n in range(units)],
        loopback=(3, 20),
    )


def test_two_units_get_one_send_and_each_has_its_own_knobs_returns_and_voltage():
    wiring, send = rack(), song(1, 1.0)
    interface = VirtualInterface(wiring=wiring, noise_dbfs=-200, latency_samples=137)
    interface.turn(KNOBS, 0)
    interface.turn(KNOBS | {"threshold_db": -12, "ratio": 2}, 1)
    audio = play_and_record(interface, wiring.fan_out(send)).audio
    assert audio.shape == (44_100, 7)
    for unit, (threshold_db, ratio) in enumerate([(-28, 4), (-12, 2)]):
        expected, gain_db = compress(send, 44_100, threshold_db=threshold_db, ratio=ratio, attack_ms=1, release_s=0.2)
        returned = audio[:, list(wiring.returns[unit])]
        assert np.abs(returned[137:] - expected[:-137]).max() < 4 / 2**23
        voltage = audio[:, wiring.cv[unit][0]]
        assert CV_DB_AT_FULL_SCALE * voltage[137:] == pytest.approx(gain_db[:-137], abs=1e-4)
        assert (gain_db.min() < -3) == (unit == 0)
    assert wiring.loopback_input == 6
    assert np.abs(audio[137:, 6] - send[:-137, 0]).max() < 2 / 2**23


def test_the_control_voltage_of_the_hottest_setting_fits_the_converter():
    wiring = rack(1)
    interface = VirtualInterface(wiring=wiring, specimens=[Specimen.of_seed(4)])
    interface.turn({"threshold_db": -40, "ratio": 10, "attack_ms": 0.1, "release_s": 0.1})
    voltage = play_and_record(interface, np.ones((44_100, 3), np.float32)).audio[-1, wiring.cv[0][0]]
    assert -1 < voltage < -0.85


def test_specimens_differ_in_what_they_return_and_the_nominal_one_is_nearly_ideal():
    send = song(3, 1.0)

    def returned(specimen: Specimen) -> np.ndarray:
        interface = VirtualInterface(specimens=[specimen], noise_dbfs=-200)
        interface.turn(KNOBS)
        return played(interface, send)

    ideal = returned(IDEAL)
    error = {
        seed: float(np.sum((returned(Specimen.of_seed(seed)) - ideal) ** 2) / np.sum(ideal**2)) for seed in (None, 1, 2)
    }
    assert error[None] < 2e-3  # harmonics, and the phase of the coupling in the bass
    assert error[1] != error[2]
    with pytest.raises(ValueError, match="1 units need as many specimens, got 2"):
        VirtualInterface(specimens=[IDEAL, IDEAL])
    with pytest.raises(UsageError, match=r"too short to be causal, got 70 samples .allowed: 80 or more"):
        VirtualInterface(specimens=[Specimen.of_seed(None)], latency_samples=70)


def test_a_full_specimen_has_the_latency_it_was_given_within_1e_3_samples_and_exactly_on_its_loopback():
    wiring, probe = rack(1), make_probe(44_100)
    send = wiring.fan_out(np.pad(probe[:, None], ((0, 4000), (0, 0))).repeat(2, axis=1))
    interface = VirtualInterface(wiring=wiring, specimens=[Specimen.of_seed(1)], latency_samples=811.61)
    interface.turn(KNOBS | {"threshold_db": -40})
    audio = play_and_record(interface, send).audio
    for column, tolerance in ((0, 1e-3), (1, 1e-3), (wiring.loopback_input, 1e-4)):
        found = measure_latency(audio[:, column], probe, 3000, 44_100)
        assert found is not None
        assert found.samples == pytest.approx(811.61, abs=tolerance)


def test_a_cold_unit_drifts_by_its_gain_reduction_over_the_stream():
    cold = Specimen(warm_up=WarmUp(rise_degc=15, time_constant_s=5))
    loud = np.where(np.arange(44_100) % 44 < 22, 0.5, -0.5).astype(np.float32)[:, None].repeat(2, axis=1)
    interface = VirtualInterface(specimens=[cold])
    interface.turn(KNOBS)
    levels_db = [20 * np.log10(np.std(played(interface, loud)[-4000:])) for _ in range(20)]
    reduction_db = 20 * np.log10(0.5) - levels_db[-1]
    assert levels_db[0] - levels_db[-1] == pytest.approx(reduction_db * 0.0033 * 15 * np.exp(-1 / 5), rel=0.06)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("swap", lambda audio: audio[:, ::-1]),
        ("polarity:right", lambda audio: audio * np.array([1, -1], np.float32)),
        ("drop:256@0.25", lambda audio: np.concatenate([audio[:11_025], audio[11_281:], audio[:-257:-1]])),
        ("repeat:64@0.25", lambda audio: np.concatenate([audio[:11_025], audio[10_961:11_025], audio[11_089:]])),
        ("dead@0.3", lambda audio: audio * (np.arange(22_050) < 13_230)[:, None]),
        ("xrun@0.3", lambda audio: audio),
    ],
)
def test_a_fault_of_sound_spoils_its_send_only_and_the_stream_goes_on(spec, expected):
    clean, spoiled = faulty(), faulty(f"{spec}#2")
    sends = [song(seed, 0.5) for seed in (1, 2, 3)]
    for number, send in enumerate(sends, 1):
        right, got = play_and_record(clean, send).audio, play_and_record(spoiled, send)
        assert np.array_equal(got.audio, expected(right) if number == 2 else right)
        assert got.xrun_frames == ((13_230,) if "xrun" in spec and number == 2 else ())


def test_what_is_added_to_the_audio_is_24_bits_again():
    for spec in ("gain:30", "hum:-60", "noise:-50", "dc:0.01", "drift:1", "mono", "mute:left"):
        codes = played(faulty(spec), song(1, 0.5)) * 2.0**23
        assert np.array_equal(codes, np.rint(codes)), spec
        assert -(2**23) <= codes.min() < codes.max() < 2**23


def test_faults_of_one_unit_leave_the_others_and_the_loopback_alone_and_those_of_the_stream_do_not():
    wiring, send = rack(), song(1, 0.5)

    def audio(*specs: str) -> np.ndarray:
        interface = VirtualInterface(wiring=wiring, faults=[parse_fault(spec) for spec in specs])
        for unit in (0, 1):
            interface.turn(KNOBS, unit)
        return play_and_record(interface, wiring.fan_out(send)).audio

    right = audio()
    for spec, touched in (("2/polarity:both", {2, 3}), ("gain:1", {0, 1}), ("zero:50@0.4", set(range(7)))):
        wrong = audio(spec)
        assert {column for column in range(7) if not np.array_equal(wrong[:, column], right[:, column])} == touched
    with pytest.raises(UsageError, match=r"a unit that is not there, got 3/swap .allowed: 1 to 2"):
        audio("3/swap")


def test_loopback_is_the_send_bypass_keeps_make_up_and_stale_is_the_send_before():
    first, second = song(1, 0.5), song(2, 0.4)
    late = 137
    wired = played(faulty("loopback", latency_samples=late), first)
    assert np.abs(wired[late:] - first[:-late]).max() < 2e-5 * 3
    bypassed = faulty("bypass", latency_samples=late)
    bypassed.turn(KNOBS | {"makeup_db": 5})
    assert played(bypassed, first)[late:] == pytest.approx(first[:-late] * 10 ** (5 / 20), abs=6e-5)
    stale = played(faulty("stale#2"), first, second)
    assert np.corrcoef(stale[late:, 0], first[: len(second) - late, 0])[0, 1] > 0.9
    assert np.abs(played(faulty("stale"), first)).max() < 1e-4


@pytest.mark.parametrize(
    ("spec", "standing"),
    [
        ("knob:release+1", {"release_s": 0.4}),
        ("knob:release-1", {"release_s": 0.1}),
        ("knob:threshold_db+1", {"threshold_db": -24}),
        ("knob:engaged+1", {"engaged": False}),
        ("pot:threshold_db+0.5", {"threshold_db": -27.5}),
        ("pot:makeup_db-0.5", {"makeup_db": -0.5}),
    ],
)
def test_a_knob_that_stands_wrong_sounds_like_the_setting_it_stands_at(spec, standing):
    send, right = song(3, 1.0), VirtualInterface()
    right.turn(KNOBS | {"makeup_db": 0} | standing)
    wrong = VirtualInterface(faults=[parse_fault(f"{spec}#2")])
    panel = VirtualPanel(wrong)
    setting = UNIT.setting(KNOBS, "grid")
    panel.bring(setting, None)
    panel.bring(setting, setting)
    assert np.array_equal(played(wrong, send), played(right, send))
    assert panel.correct(setting, "looks like another one") == AGAIN  # the third time it is turned truly
    again = VirtualInterface()
    again.turn(KNOBS)
    for interface in (again, wrong):
        interface.play(send)
    assert wrong.record().audio.shape == again.record().audio.shape
    assert wrong._units[0]._knobs == again._units[0]._knobs


def test_a_nudged_knob_is_wrong_from_its_second_on_and_stays_until_it_is_turned():
    send = song(3, 1.0)
    right, nudged = faulty(noise_dbfs=-200), faulty("nudge:ratio+1@0.5#2", noise_dbfs=-200)
    before, first = played(right, send), played(nudged, send)
    assert np.array_equal(before, first)
    before, second = played(right, send), played(nudged, send)
    wrong = np.flatnonzero(np.abs(before - second).max(axis=1) > 1e-6)
    assert 22_050 < wrong[0] < 25_000
    assert np.abs(played(right, send) - played(nudged, send)).max() > 1e-4
    nudged.turn(KNOBS)
    for _ in range(2):
        before, after = played(right, send), played(nudged, send)
    assert np.abs(before - after).max() < 1e-5


def test_a_device_that_dies_stays_dead_and_a_schedule_outlives_it():
    schedule = FaultSchedule([parse_fault("die@0.2#2")])
    interface = VirtualInterface(faults=schedule)
    played(interface, song(1, 0.3))
    interface.play(song(1, 0.3))
    interface.play(song(2, 0.3))
    with pytest.raises(DeviceError, match=r"died 0\.2 s after the beginning of send 2"):
        interface.record()
    for call in (interface.record, lambda: interface.play(song(1, 0.3))):
        with pytest.raises(DeviceError, match="died"):
            call()
    again = VirtualInterface(faults=schedule)
    assert played(again, song(1, 0.3)).shape == (13_230, 2)
    assert play_and_record(again, song(1, 0.3)).stream_frame == 13_230


def test_the_shipped_profile_opens_an_ideal_unit_with_the_block_size_of_the_profile(tmp_path):
    _, profile = resolve_device("virtual", tmp_path)
    profile = profile.model_copy(update={"block_size": 256, "loopback_send": 3, "loopback_return": 3})
    interface = VirtualInterface.of_profile(profile, UNIT, FaultSchedule())
    assert (interface.sample_rate, interface.block_size) == (44_100, 256)
    assert play_and_record(interface, np.zeros((100, 3), np.float32)).audio.shape == (100, 3)
    assert interface._units[0]._specimen == IDEAL
    profile = profile.model_copy(update={"specimen_seed": 5, "warm_up_degc": 15.0})
    interface = VirtualInterface.of_profile(profile, UNIT, FaultSchedule())
    assert interface._units[0]._specimen == Specimen.of_seed(5, WarmUp(15.0))
    la_2a = load_unit(Path(__file__).parents[2] / "capture" / "la-2a.yaml")
    with pytest.raises(UsageError, match="simulates a bus compressor; unit LA-2A has no"):
        VirtualInterface.of_profile(profile, la_2a, FaultSchedule())


def test_the_same_faults_and_seed_give_the_same_audio():
    specs = ("noise:-60", "mute:left", "hum:-70")
    takes = [played(faulty(*specs, seed=3), song(1, 0.3)) for _ in range(2)]
    assert np.array_equal(takes[0], takes[1])
    assert Fault("noise", -60.0).apply(takes[0], 44_100, np.random.default_rng(1)).dtype == np.float32

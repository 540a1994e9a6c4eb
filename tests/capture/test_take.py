"""Virtual takes: right ones raise no alarm, damaged ones raise theirs, and nothing is told that was not measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from buscomp.capture.fingerprint_signal import fingerprint_signal
from buscomp.capture.interface import Recording, play_and_record
from buscomp.capture.layout import TakeLayout
from buscomp.capture.specimen import Specimen
from buscomp.capture.staging import Staging
from buscomp.capture.take import Expected, examine
from buscomp.capture.virtual import VirtualInterface
from buscomp.manifests.levels import peak_dbfs
from buscomp.manifests.pcm import quantise, to_float
from buscomp.manifests.schema import column_names
from buscomp.tests.capture_music import song
from buscomp.tests.capture_takes import SETTINGS, STAGING, VirtualTake, virtual_take

RATE = 44_100
HEAVY, LIGHT = SETTINGS[1], SETTINGS[7]
CALIBRATED = Expected(static_gain_db=0.0, channel_imbalance_db=0.0, noise_floor_dbfs=-100.0, latency_samples=137.37)


@lru_cache(maxsize=16)
def take_of(seed: int, setting: int, loopback: bool = False) -> VirtualTake:
    return virtual_take(song(seed, 4.0), SETTINGS[setting], seed=seed, loopback=loopback)


@pytest.fixture(scope="module")
def heavy() -> VirtualTake:
    return take_of(1, 1)


def gains(left: float, right: float) -> np.ndarray:
    return np.array([left, right], np.float32)


def test_24_clean_takes_over_songs_widths_settings_latencies_and_units_raise_no_alarm():
    random = np.random.default_rng(0)
    for seed in range(24):
        latency_samples = float(random.uniform(300, 8000))
        take = virtual_take(
            song(seed, 4.0, width=(1.0, 0.3, 0.02, 0.0)[seed % 4]),
            SETTINGS[seed % 8],
            latency_samples=latency_samples,
            seed=seed,
            loopback=seed % 3 == 0,
            specimen=Specimen.of_seed(seed),
        )
        flags = [int(block) * 1024 for block in random.integers(0, take.layout.frames // 1024, 5)]
        found = take.examine(flags=flags, expected=Expected(noise_floor_dbfs=-100, latency_samples=latency_samples))
        assert found.reasons == (), (seed, found.details)
        assert found.details == {}
        assert found.measured["xruns"] == 5
        assert found.measured["latency_samples"] == pytest.approx(latency_samples, abs=5e-3)
        assert abs(found.measured["drift_samples"]) < 5e-4
        assert abs(found.measured["drift_ppm"]) < 0.2
        assert abs(found.measured["delay_jump_samples"]) < 0.2


def test_wet_is_the_return_moved_by_whole_samples_trimmed_and_rounded(heavy):
    found = heavy.examine()
    assert found.measured["integer_shift_samples"] == 137
    begin = heavy.layout.song_start + 137
    moved = heavy.recording.audio[begin : begin + len(heavy.dry)]
    assert found.wet_pcm is not None
    assert np.array_equal(found.wet_pcm, quantise(moved * np.float32(10 ** (-5 / 20))))
    assert found.wet_pcm.shape == heavy.dry.shape


def test_measured_columns_are_columns_of_takes_with_the_values_of_the_simulation(heavy):
    measured = heavy.examine().measured
    assert set(measured) <= set(column_names("takes"))
    assert measured["latency_samples"] == pytest.approx(137.37, abs=1e-4)
    assert 5e-6 < measured["latency_std_samples"] < 1e-4
    assert (measured["sample_rate"], measured["frames"], measured["channels"]) == (RATE, 4 * RATE, 2)
    assert measured["noise_floor_dbfs"] == pytest.approx(-100, abs=0.3)
    assert measured["hum_dbfs"] < -115
    assert abs(measured["dc_offset"]) < 1e-6
    assert measured["static_gain_db"] == pytest.approx(0, abs=0.01)
    assert measured["channel_imbalance_db"] == pytest.approx(0, abs=0.02)
    assert measured["clipped_runs"] == 0
    wet_pcm = heavy.examine().wet_pcm
    assert wet_pcm is not None
    assert measured["peak_dbfs"] == pytest.approx(peak_dbfs(to_float(wet_pcm)), abs=1e-3)
    assert 5 < measured["gain_reduction_mean_db"] < measured["gain_reduction_max_db"] < 21
    assert -60 < measured["loudness_lufs"] < -20


def test_with_a_loopback_wet_is_moved_by_the_delay_of_the_converters_alone():
    dry = song(5, 4.0)
    take = virtual_take(dry, HEAVY, latency_samples=400.3, loopback=True)
    late = np.zeros_like(take.recording.audio)  # a digital unit that thinks for 70 samples
    late[70:] = take.recording.audio[:-70]
    found = take.examine(late)
    assert found.reasons == ()
    assert found.measured["loopback_latency_samples"] == pytest.approx(400.3, abs=1e-3)
    assert found.measured["latency_samples"] == pytest.approx(470.3, abs=1e-3)
    assert found.measured["integer_shift_samples"] == 400
    begin = take.layout.song_start + 400
    assert found.wet_pcm is not None
    assert np.array_equal(found.wet_pcm, quantise(STAGING.trim(late[begin : begin + len(dry)])))


def test_a_control_voltage_is_cut_to_the_frames_of_wet_and_keeps_its_dc(heavy):
    assert heavy.examine().cv_pcm is None
    take = virtual_take(song(5, 4.0), HEAVY, cv=True)
    found = take.examine()
    assert take.cv is not None
    assert found.cv_pcm is not None
    begin = take.layout.song_start + 137
    assert np.array_equal(found.cv_pcm, quantise(take.cv[begin : begin + len(take.dry)]))
    assert found.cv_pcm.shape == (len(take.dry), 1)
    assert found.reasons == ()


def test_a_bypassed_unit_with_5_db_make_up_reads_5_db_static_gain_and_no_reduction():
    found = virtual_take(song(2, 4.0), HEAVY | {"engaged": False, "makeup_db": 5}).examine()
    assert found.measured["static_gain_db"] == pytest.approx(5, abs=0.01)
    assert found.measured["gain_reduction_mean_db"] == pytest.approx(0, abs=0.02)
    assert found.reasons == ()  # nobody said how much is expected


def test_half_a_db_less_on_the_right_is_an_imbalance_and_an_alarm_only_against_a_calibration(heavy):
    turned_down = heavy.recording.audio * gains(1, 10 ** (-0.5 / 20))
    found = heavy.examine(turned_down)
    assert found.measured["channel_imbalance_db"] == pytest.approx(0.5, abs=0.02)
    assert found.reasons == ()
    found = heavy.examine(turned_down, expected=CALIBRATED)
    assert found.details == {"static_gain": "right is -0.50 dB off its calibration"}
    assert heavy.examine(turned_down, expected=Expected(-0.25, 0.5)).reasons == ()


FAULTS = [
    ("swap", ("channel_swap",)),
    ("polarity:left", ("polarity_left",)),
    ("polarity:right", ("polarity_right",)),
    ("polarity:both", ("polarity",)),
    ("mono", ("mono_return",)),
    ("mute:left", ("missing_return",)),
    ("mute:right", ("missing_return",)),
    ("mute:both", ("silent_return",)),
    ("dead", ("silent_return",)),
    ("dead@3.1", ("silent_return",)),
    ("dead@5.5", ("silent_return",)),  # after the song
    ("drop:1@3", ("lost_samples",)),
    ("drop:256@3", ("lost_samples",)),
    ("insert:1@3", ("inserted_samples",)),
    ("insert:256@3", ("inserted_samples",)),
    ("repeat:64@3", ("repeated_block",)),
    ("repeat:200@3", ("repeated_block",)),
    ("zero:8@3", ("zeroed_block",)),
    ("zero:256@3", ("zeroed_block",)),
    ("clip:-26", ("clipped_return",)),
    ("dc:0.001", ("dc_offset",)),
    ("hum:-70", ("hum",)),
    ("hum:-75/60", ("hum",)),
    ("noise:-90", ("noise_floor",)),
    ("gain:-0.3", ("static_gain",)),
    ("imbalance:0.5", ("static_gain",)),
    ("drift:2", ("clock_drift",)),
    ("latency:1", ("latency_jump",)),
    ("stale", ("wrong_song",)),
    ("xrun@3", ()),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_every_fault_of_a_signal_gets_its_own_reason_alone(fault, expected):
    for seed, setting in ((3, HEAVY), (4, LIGHT)):
        before = song(seed + 50, 4.0) if fault == "stale" else None
        found = virtual_take(song(seed, 4.0), setting, faults=[fault], before=before).examine(expected=CALIBRATED)
        assert found.reasons == expected, found.details
        assert tuple(found.details) == found.reasons


@pytest.mark.parametrize("fault", ["bypass", "loopback"])
def test_a_unit_that_is_not_there_is_a_bypass_where_reduction_is_expected(fault):
    expected = Expected(0.0, 0.0, -100.0, gain_reduction_db=4.0)
    found = virtual_take(song(3, 4.0), HEAVY, faults=[fault]).examine(expected=expected)
    assert found.reasons == ("bypass",)
    assert virtual_take(song(3, 4.0), HEAVY).examine(expected=expected).reasons == ()


def test_what_was_found_is_told_with_its_place_in_the_song():
    for fault, reason, told in (
        ("drop:16@3.5", "lost_samples", "16 samples lost at"),
        ("zero:64@3.5", "zeroed_block", "64 samples at 2.2"),
        ("dead@3.6", "silent_return", "left is silent 2.4 to 4.0 s"),
    ):
        take = virtual_take(song(3, 4.0), HEAVY, faults=[fault])
        assert take.layout.song_start == pytest.approx(1.206 * RATE, abs=50)
        assert told in take.examine().details[reason]


def test_a_flag_of_the_driver_on_a_damaged_take_is_an_xrun_besides():
    for fault, reason in (("zero:256@3", "zeroed_block"), ("drop:256@3", "lost_samples"), ("drift:2", "clock_drift")):
        take = virtual_take(song(6, 4.0), HEAVY, faults=[fault, "xrun@3"])
        assert take.examine().reasons == tuple(sorted((reason, "xrun")))[:: -1 if reason > "xrun" else 1]


@pytest.mark.parametrize("setting", [1, 7])
def test_a_muted_block_is_spoiled_and_with_a_flag_an_xrun(setting):
    take = take_of(6, setting)
    for where in (0.3, 0.52, 0.8):
        audio, at = take.recording.audio.copy(), take.layout.song_start + int(where * len(take.dry))
        audio[at : at + 256] = 1e-5 * np.random.default_rng(at).standard_normal((256, 2))
        assert take.examine(audio).reasons == ("spoiled_block",)
        assert take.examine(audio, (at // 1024 * 1024,)).reasons == ("spoiled_block", "xrun")


def test_flags_outside_the_song_are_counted_but_no_alarm_when_the_probes_agree(heavy):
    found = heavy.examine(flags=(0, 1024, heavy.layout.frames - 1024))
    assert (found.reasons, found.measured["xruns"]) == ((), 3)


def test_lost_samples_are_counted_with_their_sign():
    for fault, drift in (("drop:16@3", -16), ("insert:256@3", 256), ("drop:256@3", -256)):
        measured = virtual_take(song(1, 4.0), HEAVY, faults=[fault]).examine().measured
        assert measured["drift_samples"] == pytest.approx(drift, abs=1e-3)
        assert measured["delay_jump_samples"] == pytest.approx(drift, abs=0.1)


def test_a_loss_and_an_insertion_that_cancel_are_both_found():
    found = virtual_take(song(1, 4.0), HEAVY, faults=["drop:64@2.6", "insert:64@4"]).examine()
    assert abs(found.measured["drift_samples"]) < 0.01
    assert found.reasons == ("lost_samples", "inserted_samples")


def test_damage_that_the_unit_hides_is_seen_in_the_loopback():
    dry = song(3, 4.0)
    take = virtual_take(dry, HEAVY, loopback=True)
    assert take.loopback is not None
    loopback = take.loopback.copy()
    at = take.layout.song_start + 2 * RATE
    loopback[at + int(np.abs(loopback[at : at + 400]).argmax())] *= 0.8
    assert take.examine().reasons == ()
    assert take.examine(loopback=loopback).reasons == ("spoiled_block",)
    loopback[take.layout.tail_start :] = 0
    assert "no chirp on the loopback" in take.examine(loopback=loopback).details["probe_not_found"]


def test_two_faults_give_two_reasons(heavy):
    swapped = heavy.recording.audio[:, ::-1] * gains(-1, 1)
    assert heavy.examine(swapped).reasons == ("channel_swap", "polarity_left")
    assert heavy.examine(0.9 * swapped + 1e-3, expected=CALIBRATED).reasons == (
        "static_gain",
        "channel_swap",
        "polarity_left",
        "dc_offset",
    )


def with_other_song(take: VirtualTake) -> np.ndarray:
    audio, begin = take.recording.audio.copy(), take.layout.song_start + 137
    audio[begin : begin + len(take.dry)] = song(77, 4.0)
    return audio


def without_head(take: VirtualTake) -> np.ndarray:
    audio = take.recording.audio.copy()
    audio[take.layout.head_start : take.layout.song_start] = 0
    return audio


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (with_other_song, ("wrong_song",)),
        (lambda take: take.recording.audio * gains(1, 10 ** (-30 / 20)), ("static_gain",)),
        (lambda take: take.recording.audio * gains(1, 10 ** (-70 / 20)), ("missing_return",)),
        (without_head, ("probe_not_found",)),
        (lambda take: take.recording.audio[:-1], ("frames",)),
        (lambda take: take.recording.audio[:, :1], ("frames",)),
        (
            lambda take: np.where(np.arange(take.layout.frames)[:, None] == 99_999, np.nan, take.recording.audio),
            ("not_finite",),
        ),
    ],
)
@pytest.mark.parametrize("setting", [0, 7])
def test_other_spoiled_takes_get_their_own_reason(spoil: Callable[[VirtualTake], np.ndarray], expected, setting):
    take = take_of(3, setting)
    assert take.examine(spoil(take)).reasons == expected


def test_a_take_in_which_nothing_could_be_aligned_has_no_audio():
    found = virtual_take(song(3, 4.0), HEAVY, faults=["dead"]).examine()
    assert found.wet_pcm is None
    assert set(found.measured) == {
        "sample_rate",
        "xruns",
        "noise_floor_dbfs",
        "hum_dbfs",
        "dc_offset",
        "clipped_runs",
    }


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_songs_with_silent_channels_short_songs_and_silence_are_examined_too(width):
    left = song(1, 4.0, width=width) * gains(1, 0)
    for dry in (song(1, 0.25)[-2000:], np.zeros((20_000, 2), np.float32), left, left[:, ::-1], song(1, 2.0)[:, :1]):
        found = virtual_take(np.ascontiguousarray(dry), HEAVY).examine()
        assert found.reasons == ()
        assert found.wet_pcm is not None
        assert found.wet_pcm.shape == dry.shape
    assert virtual_take(left, HEAVY, faults=["swap"]).examine().reasons == ("channel_swap",)
    assert virtual_take(left, HEAVY, faults=["mute:left"]).examine().reasons == ("missing_return",)


@pytest.mark.parametrize("setting", [0, 1, 5, 7])
def test_a_fingerprint_is_examined_without_alarms(setting):
    signal = fingerprint_signal(RATE, 2)
    layout = TakeLayout.of(len(signal), RATE, 2.0)
    unboosted = Staging(0.0, 0.0)
    interface = VirtualInterface(latency_samples=433.21, specimens=[Specimen.of_seed(setting)])
    interface.turn(SETTINGS[setting])
    recording = play_and_record(interface, layout.send(signal, unboosted))
    found = examine(signal, layout, Recording(recording.audio), unboosted)
    assert found.reasons == (), found.details

"""Calibration over cables whose truth is known: latency, gain, polarity, crosstalk, response, levels, wrong cables."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal

from buscomp.capture.calibration import Calibration, MeasuredReturn, calibrations, load_calibration, save_calibration
from buscomp.capture.calibration_levels import level_at_returns, measure_tones, remarks_about_tones
from buscomp.capture.calibration_signal import BANDS_HZ, Sweep, tone, tone_peak_dbfs
from buscomp.capture.device import DeviceProfile, UnitPlace
from buscomp.capture.ways import measure_ways, remarks_about, ways_of
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, DeviceError
from buscomp.manifests.levels import from_db
from buscomp.manifests.pcm import Float32
from buscomp.tests.capture.patch_bay import PatchBay

STEREO = DeviceProfile(match="rack", sends=(3, 4), returns=(5, 6), max_latency_samples=1024)
LOOPED = STEREO.model_copy(update={"loopback_send": 8, "loopback_return": 7})
WAY = MeasuredReturn("-", 1, 1, 137.37, 1e-4, 0.0, False, -100.0, -120.0, 50.0, 0.0, -90.0, ((1000.0, 0.0),))
STRAIGHT = {(0, 0): 1.0, (1, 1): 1.0}
LOOPED_STRAIGHT = STRAIGHT | {(2, 2): 1.0}


def measured(profile: DeviceProfile, cables: dict[tuple[int, int], float], **facts: Any) -> list[MeasuredReturn]:
    bay = PatchBay(cables, len(profile.wiring.inputs), **facts)
    return measure_ways(bay, profile, lambda line: None)


def test_the_ways_of_a_straight_rack_have_their_latency_gain_noise_and_channels():
    ways = measured(STEREO, {(0, 0): 1.0, (1, 1): from_db(-0.2)}, latency_samples=100.25, noise_dbfs=-96.0)
    assert [(way.serial, way.send, way.channel) for way in ways] == [("-", 3, 5), ("-", 4, 6)]
    for way, gain_db in zip(ways, (0.0, -0.2), strict=True):
        assert way.latency_samples == pytest.approx(100.25, abs=1e-3)
        assert abs(way.latency_samples - 100.25) < 4 * way.latency_std_samples
        assert way.latency_std_samples < 1e-3
        assert way.gain_db == pytest.approx(gain_db, abs=0.005)
        assert way.noise_dbfs == pytest.approx(-96.0, abs=0.3)
        assert way.crosstalk_db is not None
        assert way.crosstalk_db < -75
        assert not way.inverted
    assert remarks_about(ways) == []


def test_crosstalk_of_minus_60_db_is_measured_within_half_a_db():
    ways = measured(STEREO, STRAIGHT | {(1, 0): from_db(-60)})
    assert ways[0].crosstalk_db == pytest.approx(-60, abs=0.5)
    assert ways[1].crosstalk_db is not None
    assert ways[1].crosstalk_db < -75


def test_the_response_of_a_coupling_high_pass_is_found_in_every_third_of_an_octave():
    poles = signal.butter(1, 10.0, "highpass", fs=44_100)

    def coupled(audio: Float32) -> Float32:
        return np.asarray(signal.lfilter(*poles, audio, axis=0), np.float32)

    way, _ = measured(STEREO, STRAIGHT, unit=coupled)
    hz = np.array([band for band, _ in way.response])
    truth_db = 20 * np.log10(np.abs(signal.freqz(*poles, worN=hz, fs=44_100)[1]))
    assert tuple(hz) == BANDS_HZ
    found_db = np.array([gain_db for _, gain_db in way.response])
    np.testing.assert_allclose(found_db[:-1], truth_db[:-1], atol=0.06)  # a band is wider than its middle
    assert found_db[0] == pytest.approx(-1.0, abs=0.1)  # 20 Hz, an octave above the corner


@pytest.mark.parametrize("sample_rate", [8_000, 48_000, 96_000])
def test_the_response_of_a_wire_is_flat_at_other_rates_up_to_what_they_hold(sample_rate: int):
    sweep = Sweep(sample_rate, 500)
    returned = np.roll(sweep.send(), 123) + 1e-5 * np.random.default_rng(2).standard_normal(len(sweep.send()))
    response = sweep.response(returned.astype(np.float32), 123.0)
    assert response[-1][0] == min(20_000.0, 3150.0 if sample_rate == 8_000 else 20_000.0)
    assert max(abs(gain_db) for _, gain_db in response) < 0.02


@pytest.mark.parametrize(
    ("cables", "told"),
    [
        ({(0, 1): 1.0, (1, 0): 1.0}, "output 3 arrives at return 6, not at 5 alone; output 4 arrives at return 5"),
        ({(0, 0): 1.0}, "nothing of output 4 arrives at the return 6"),
        ({(0, 0): 1.0, (1, 1): -1.0}, "return 6 is inverted"),
        ({(0, 0): 0.5, (0, 1): 0.5, (1, 0): 0.5, (1, 1): 0.5}, "output 3 arrives at return 6, not at 5 alone"),
        ({}, "nothing of output 3 arrives at the return 5; nothing of output 4"),
    ],
)
def test_every_wrong_cable_is_named_and_nothing_else_is_measured(cables: dict[tuple[int, int], float], told: str):
    with pytest.raises(DeviceError, match=told):
        measured(STEREO, cables)


def test_a_loopback_pair_that_is_not_wired_or_wired_to_the_unit_is_found():
    *_, loopback = measured(LOOPED, STRAIGHT | {(2, 2): from_db(-1.5)}, latency_samples=88.5)
    assert (loopback.serial, loopback.send, loopback.channel) == ("loopback", 8, 7)
    assert loopback.gain_db == pytest.approx(-1.5, abs=0.005)
    assert loopback.latency_samples == pytest.approx(88.5, abs=1e-3)
    with pytest.raises(DeviceError, match="nothing of output 8 arrives at the loopback return 7"):
        measured(LOOPED, STRAIGHT)
    with pytest.raises(DeviceError, match="output 3 arrives at return 7, not at 5 alone"):
        measured(LOOPED, LOOPED_STRAIGHT | {(0, 2): 1.0})


def test_two_units_on_one_send_each_have_returns_of_their_own():
    places = (UnitPlace(serial="a", returns=(5, 6)), UnitPlace(serial="b", returns=(1, 2)))
    profile = STEREO.model_copy(update={"units": places})
    ways = measured(profile, {(0, 0): 1.0, (1, 1): 1.0, (0, 2): 0.9, (1, 3): 0.9})
    assert [(way.serial, way.send, way.channel) for way in ways] == [("a", 3, 5), ("a", 4, 6), ("b", 3, 1), ("b", 4, 2)]
    with pytest.raises(DeviceError, match="output 3 arrives at return 2, not at 1 alone"):
        measured(profile, {(0, 0): 1.0, (1, 1): 1.0, (0, 3): 0.9, (1, 2): 0.9})


def test_what_a_person_should_look_at_is_remarked_with_its_figure():
    time_s = np.arange(44_100 * 2)[:, None] / 44_100
    hum = 0.001 * np.sin(2 * np.pi * 50 * time_s)
    cables = {(0, 0): 1.0, (1, 1): 0.8, (0, 1): 0.01}
    bay = PatchBay(cables, 2, noise_dbfs=-65.0)
    quiet = bay.record

    def with_hum_and_dc() -> Any:
        recording = quiet()
        added = 0.002 + (hum if len(recording.audio) == len(hum) else 0.0)
        return replace(recording, audio=(recording.audio + added).astype(np.float32))

    bay.record = with_hum_and_dc  # type: ignore[method-assign]
    told = "\n".join(remarks_about(measure_ways(bay, STEREO, lambda line: None)))
    assert "return 5: noise at -65.0 dBFS" in told
    assert "return 5: hum of 50 Hz at -63.0 dBFS" in told
    assert "return 6: DC of +0.0020" in told
    assert re.search(r"return 6: crosstalk at -3[789]\.. dB", told)  # -38.1 without the noise
    assert "the unit's channels differ by 1.9 dB" in told
    assert "return 5: crosstalk" not in told


def test_a_tone_can_be_repeated_without_a_seam_and_is_measured_through_noise_and_hum():
    one = tone(44_100, -20.0)
    assert one[0] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(np.diff(np.concatenate([one, one]))[44_099], one[1], rtol=1e-3)
    time_s = np.arange(44_100) / 44_100
    dirty = one + 0.01 * np.sin(2 * np.pi * 50 * time_s) + 1e-3 * np.random.default_rng(3).standard_normal(44_100)
    assert tone_peak_dbfs(dirty[:, None].astype(np.float32), 44_100)[0] == pytest.approx(-20.0, abs=0.01)


def levels(
    profile: DeviceProfile, cables: dict[tuple[int, int], float], return_meter_dbu: float | None = None, **facts: Any
) -> tuple[float, str, list[str]]:
    bay = PatchBay(cables, len(profile.wiring.inputs), **facts)
    ways = [replace(WAY, serial=way.serial) for way in ways_of(profile)]
    heard = []
    tones = measure_tones(bay, profile, -20.0, lambda: heard.append("read"))
    assert heard == ["read"]
    return (*level_at_returns(ways, tones, 13.0, return_meter_dbu), remarks_about_tones(tones))


def halved_above_minus_30_dbfs(audio: Float32) -> Float32:
    return np.asarray(audio * (0.5 if np.abs(audio).max() > from_db(-30) else 1.0), np.float32)


def test_the_level_at_the_returns_follows_from_the_best_that_is_there():
    attenuated = {pair: from_db(-6.0) for pair in STRAIGHT}
    level, assumed, _ = levels(STEREO, attenuated)
    assert level == pytest.approx(19.0, abs=0.01)  # 13 dBu at the unit, 6 dB less for the same figure at the return
    assert "gain of 0 dB" in assumed
    level, assumed, _ = levels(LOOPED, attenuated | {(2, 2): from_db(-2.0)})
    assert level == pytest.approx(15.0, abs=0.01)
    assert "loopback" in assumed
    level, assumed, _ = levels(LOOPED, attenuated | {(2, 2): from_db(-2.0)}, return_meter_dbu=-7.0)
    assert level == pytest.approx(-7.0 + 26.0, abs=0.01)
    assert "meter" in assumed


def test_a_unit_that_is_not_bypassed_is_remarked_and_the_quiet_tone_counts():
    level, _, remarks = levels(STEREO, STRAIGHT, unit=halved_above_minus_30_dbfs)
    assert level == pytest.approx(13.0, abs=0.01)
    assert remarks == ["the unit turned the tone down by 6.0 dB, so a quiet one counted; is it bypassed?"]


def test_a_tone_that_clips_and_a_device_that_dies_under_it_are_device_errors():
    with pytest.raises(DeviceError, match="the tone clips at a return"):
        levels(STEREO, {pair: 11.0 for pair in STRAIGHT})
    bay = PatchBay(STRAIGHT, 2, dies_after=3)
    with pytest.raises(DeviceError, match="fell off the rack"):
        measure_tones(bay, STEREO, -20.0, lambda: None)


BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def calibration(**changes: Any) -> Calibration:
    facts: dict[str, Any] = {
        "device": "fireface",
        "host_api": "ALSA",
        "sample_rate": 44_100,
        "block_size": 256,
        "measured_at": BEGIN,
    }
    facts |= {"operator": "me", "buscomp_version": "0.1.0", "returns": (WAY, replace(WAY, serial="b"))}
    return Calibration(**facts | {"dbu_at_0dbfs_out": 13.0} | changes)


def test_the_newest_calibration_of_a_device_is_found_again_and_the_earlier_ones_stay(tmp_path: Path):
    dataset = Dataset(tmp_path)
    assert load_calibration(dataset, "fireface") is None
    for hours, device in ((0, "fireface"), (1, "fireface"), (2, "virtual")):
        save_calibration(dataset, calibration(device=device, measured_at=BEGIN + timedelta(hours=hours)))
    found = load_calibration(dataset, "fireface")
    assert found == calibration(measured_at=BEGIN + timedelta(hours=1))
    assert found.age_s(BEGIN + timedelta(hours=3)) == 7200
    assert [way.serial for way in found.of_unit()] == ["-"]
    assert [way.serial for way in found.of_unit("b")] == ["b"]
    assert json.loads(found.to_json())["dbu_at_0dbfs_out"] == 13.0
    assert len(calibrations(dataset)) == 3
    assert load_calibration(dataset, "other") is None


@pytest.mark.parametrize("text", ["", "{}", '[{"device": 5}]', "[" + calibration().to_json()[:-2]])
def test_a_calibration_file_that_is_not_ours_is_a_dataset_error(tmp_path: Path, text: str):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(DatasetError, match=r"calibration.json is not what buscomp calibrate writes"):
        load_calibration(Dataset(tmp_path), "fireface")

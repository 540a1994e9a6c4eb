from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from buscomp.capture.probe import make_probe
from buscomp.capture.simulator import (
    Dynamics,
    Knobs,
    compress,
    compress_lanes,
    gain_lanes,
    rested_state,
    rested_states,
    static_reduction_db,
)
from buscomp.capture.specimen import AUTO_FAST_S, AUTO_SLOW_S, DETENTS, Specimen, WarmUp
from buscomp.tests.capture_music import song

RATE = 44_100
USUAL: dict[str, Any] = {"threshold_db": -28.0, "ratio": 4.0, "attack_ms": 1.0, "release_s": 0.2}


def square(level_dbfs: float, seconds: float) -> np.ndarray:
    """A 1 kHz square wave: its magnitude is constant, so the detector sees a step and nothing else."""
    wave = np.where(np.arange(round(seconds * RATE)) % 44 < 22, 1, -1) * 10 ** (level_dbfs / 20)
    return np.stack([wave, wave], axis=1).astype(np.float32)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0, 4.0, 10.0])
@pytest.mark.parametrize("release_s", [0.1, None])
@pytest.mark.parametrize("level_dbfs", [-40.0, -31.0, -29.0, -27.0, -20.0, -7.0])
def test_static_curve_is_the_root_of_the_feedback_equation(ratio, release_s, level_dbfs):
    law = Dynamics.of(Knobs(-28, ratio, 1.0, release_s))
    expected = optimize.brentq(lambda g: g - law.wanted_db(level_dbfs - law.threshold_db - g), -1, 60)
    assert static_reduction_db(level_dbfs, -28, ratio) == pytest.approx(expected, abs=1e-6)
    _, gain_db = compress(square(level_dbfs, 4.0), RATE, **USUAL | {"ratio": ratio, "release_s": release_s})
    assert -gain_db[-1] == pytest.approx(expected, abs=0.05)


def test_ratio_4_takes_20_db_over_threshold_down_to_5():
    output, _ = compress(square(-8, 1.0), RATE, **USUAL)
    assert 20 * np.log10(np.abs(output[-1, 0])) == pytest.approx(-28 + 5, abs=0.01)


def test_threshold_rises_by_0_6_db_for_every_doubling_of_the_ratio():
    def threshold_db(ratio: float) -> float:
        return Dynamics.of(Knobs(-28, ratio, 1.0, 0.1)).threshold_db

    assert threshold_db(4) == -28
    assert threshold_db(2) == pytest.approx(-28.6)
    assert threshold_db(10) - threshold_db(5) == pytest.approx(0.6)


def test_knee_is_a_soft_6_db_at_the_lowest_threshold_and_narrows_with_threshold_and_ratio():
    def knee_db(threshold_db: float, ratio: float) -> float:
        return Dynamics.of(Knobs(threshold_db, ratio, 1.0, 0.1)).knee_db

    assert knee_db(-40, 4) == 6.0
    assert knee_db(0, 4) == pytest.approx(4.5)
    assert knee_db(-40, 1.5) == pytest.approx(6.95, abs=0.01)
    assert knee_db(0, 10) == pytest.approx(3.92, abs=0.01)
    law = Dynamics.of(Knobs(-20, 4, 1.0, 0.1))
    at_threshold_db = static_reduction_db(law.threshold_db, -20, 4)
    assert 0.3 < at_threshold_db < static_reduction_db(law.threshold_db + 1, -20, 4)
    assert static_reduction_db(law.threshold_db - law.knee_db / 2, -20, 4) == 0


@pytest.mark.parametrize("seed", [None, 1, 2, 3, 4, 5])
def test_the_probe_passes_every_specimen_at_every_threshold_and_ratio_untouched(seed):
    probe = np.repeat(make_probe(RATE)[:, None], 2, axis=1)
    specimen = replace(Specimen.of_seed(seed), channel_gains_db=())
    knobs = [Knobs(-40, float(ratio), 0.1, release) for ratio in DETENTS["ratio"] for release in (0.1, None)]
    outputs = compress_lanes(probe, RATE, knobs, specimen=specimen)
    assert not gain_lanes(probe, RATE, knobs, specimen=specimen).any()
    assert np.array_equal(outputs, np.broadcast_to(probe, outputs.shape))


@pytest.mark.parametrize("ratio", [2.0, 4.0, 10.0])
@pytest.mark.parametrize("attack_ms", [0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
def test_attack_reaches_63_percent_of_its_end_in_attack_ms(ratio, attack_ms):
    step = np.concatenate([square(-80, 0.05), square(-10, 0.5)])
    _, gain_db = compress(step, RATE, **USUAL | {"ratio": ratio, "attack_ms": attack_ms})
    reduction = -gain_db[round(0.05 * RATE) :]
    reached_ms = np.argmax(reduction >= (1 - np.exp(-1)) * reduction[-1]) / RATE * 1000
    assert reached_ms == pytest.approx(attack_ms, abs=max(0.03, 0.03 * attack_ms))


@pytest.mark.parametrize("release_s", [0.1, 0.2, 0.4, 0.8, 1.6])
def test_release_gives_back_63_percent_in_release_s(release_s):
    step = np.concatenate([square(-10, 0.3), square(-80, 2.0)])
    _, gain_db = compress(step, RATE, **USUAL | {"release_s": release_s})
    reduction = -gain_db[round(0.3 * RATE) :]
    reached_s = np.argmax(reduction <= np.exp(-1) * reduction[0]) / RATE
    assert reached_s == pytest.approx(release_s, abs=0.005)


def test_auto_forgets_a_peak_in_43_ms_and_a_long_passage_in_5_s():
    def recovery(loud_s: float) -> np.ndarray:
        _, gain_db = compress(
            np.concatenate([square(-10, loud_s), square(-80, 12.0)]), RATE, **USUAL | {"release_s": None}
        )
        return -gain_db[round(loud_s * RATE) :]

    peak, passage = recovery(0.005), recovery(8.0)
    fast = round(4 * AUTO_FAST_S * RATE)
    assert peak[fast] < 0.05 * peak[0]
    assert passage[fast] == pytest.approx(0.5 * passage[0], rel=0.1)
    later = round((4 * AUTO_FAST_S + AUTO_SLOW_S) * RATE)
    assert passage[later] == pytest.approx(passage[fast] * np.exp(-1), rel=0.05)


def test_leaving_auto_takes_the_slow_branch_out_of_circuit():
    auto, manual = Knobs(**USUAL | {"release_s": None}), Knobs(**USUAL | {"release_s": 0.1})
    single, lanes = rested_state(), rested_states(1)
    compress(square(-10, 8.0), RATE, **asdict(auto), state=single)
    gain_lanes(square(-10, 8.0), RATE, [auto], states=lanes)
    _, gain_db = compress(square(-80, 1.0), RATE, **asdict(manual), state=single)
    in_lanes_db = gain_lanes(square(-80, 1.0), RATE, [manual], states=lanes)[0]
    for found_db in (gain_db, in_lanes_db):
        assert found_db[10] == pytest.approx(-13.5 * 0.6, abs=0.1)  # what the fast branch held
        assert found_db[round(0.8 * RATE)] > -0.01


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 44_099), max_size=5), st.sampled_from([0.1, None]), st.sampled_from([60.0, None]))
def test_a_stream_cut_anywhere_gives_the_same_bits(cuts, release_s, sidechain_hpf_hz):
    audio = 4 * song(3, 1.0)
    specimen = Specimen.of_seed(3, WarmUp(time_constant_s=1.0))
    knobs = USUAL | {"release_s": release_s, "sidechain_hpf_hz": sidechain_hpf_hz, "specimen": specimen}
    whole, whole_gain_db = compress(audio, RATE, **knobs)
    state = rested_state()
    pieces = [compress(piece, RATE, **knobs, state=state) for piece in np.split(audio, sorted(cuts))]
    assert np.array_equal(np.concatenate([output for output, _ in pieces]), whole)
    assert np.array_equal(np.concatenate([gain_db for _, gain_db in pieces]), whole_gain_db)


@settings(deadline=None, max_examples=10)
@given(
    st.lists(
        st.builds(
            Knobs,
            st.floats(-40, 0),
            st.floats(1.5, 10),
            st.floats(0.1, 30),
            st.none() | st.floats(0.1, 1.6),
            st.sampled_from([0.0, 5.0]),
            st.sampled_from([None, 60.0]),
            st.booleans(),
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 30_000),
    st.sampled_from([None, 7]),
)
def test_lanes_equal_single_settings_within_1e_4_db_wherever_they_are_cut(knobs, cut, seed):
    audio, specimen = 2 * song(5, 0.75), Specimen.of_seed(seed)
    split = np.split(audio, [cut])
    states, also = rested_states(len(knobs)), rested_states(len(knobs))
    outputs = np.concatenate([compress_lanes(part, RATE, knobs, specimen=specimen, states=states) for part in split], 1)
    gains_db = np.concatenate([gain_lanes(part, RATE, knobs, specimen=specimen, states=also) for part in split], 1)
    assert np.array_equal(states, also)
    for one, output, gain_db in zip(knobs, outputs, gains_db, strict=True):
        expected, expected_db = compress(audio, RATE, **asdict(one), specimen=specimen)
        assert np.abs(gain_db - expected_db).max() < 1e-4
        assert np.abs(output - expected).max() < 2e-5


@pytest.mark.parametrize("channels", [1, 3])
def test_lanes_and_singles_take_other_channel_counts_too(channels):
    audio = np.repeat(2 * song(5, 0.5)[:, :1], channels, axis=1) * np.linspace(0.2, 1, channels, dtype=np.float32)
    output, gain_db = compress(audio, RATE, **USUAL)
    outputs, gains_db = (lanes(audio, RATE, [Knobs(**USUAL)]) for lanes in (compress_lanes, gain_lanes))
    loudest, loudest_db = compress(audio[:, -1:], RATE, **USUAL)
    assert np.array_equal(gain_db, loudest_db)
    assert np.array_equal(output[:, -1:], loudest)
    assert np.abs(gains_db[0] - gain_db).max() < 1e-4
    assert outputs[0] == pytest.approx(output, abs=1e-5)
    assert gain_db.min() < -5
    with pytest.raises(ValueError, match=r"audio must be \(frames, 1 to 8 channels\)"):
        compress(audio[:, 0], RATE, **USUAL)


def test_an_unengaged_unit_takes_nothing_away_and_remembers_nothing():
    state = rested_state()
    output, gain_db = compress(square(-7, 0.3), RATE, **USUAL, engaged=False, makeup_db=5, state=state)
    assert not gain_db.any()
    assert output == pytest.approx(square(-7, 0.3) * 10 ** (5 / 20), rel=1e-6)


def tone(hz: float, level_dbfs: float, seconds: float) -> np.ndarray:
    wave = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave], axis=1).astype(np.float32)


@pytest.mark.parametrize("corner_hz", [30.0, 60.0, 105.0, 125.0, 185.0])
def test_the_side_chain_hears_its_corner_3_db_less_and_high_tones_as_they_are(corner_hz):
    def reduction_db(hz: float, level_dbfs: float, corner: float | None) -> float:
        knobs = USUAL | {"release_s": 1.6, "sidechain_hpf_hz": corner}
        return float(-compress(tone(hz, level_dbfs, 3.0), RATE, **knobs)[1][-1])

    at_corner_db = reduction_db(corner_hz, -10, corner_hz)
    assert at_corner_db == pytest.approx(reduction_db(corner_hz, -13.01, None), abs=0.1)
    assert reduction_db(5000, -10, corner_hz) == pytest.approx(reduction_db(5000, -10, None), abs=0.05)


def test_a_cold_unit_takes_5_percent_less_away_and_warms_up():
    warm_up = WarmUp(rise_degc=15, time_constant_s=2.0)
    audio = square(-10, 8.0)
    warm_db = -compress(audio, RATE, **USUAL)[1]
    cold_db = -compress(audio, RATE, **USUAL, specimen=Specimen(warm_up=warm_up))[1]
    at = round(0.5 * RATE)
    for second in (0.5, 2.0, 7.9):
        at = round(second * RATE)
        expected = 1 - 0.0033 * 15 * np.exp(-second / 2)
        assert cold_db[at] / warm_db[at] == pytest.approx(expected, abs=1e-3)


def test_ten_minutes_of_silence_leave_no_denormal_numbers_behind():
    state = rested_state()
    compress(square(-10, 0.2), RATE, **USUAL | {"release_s": 0.1}, state=state)
    for _ in range(10):
        compress(np.zeros((60 * 8000, 2), np.float32), 8000, **USUAL | {"release_s": 0.1}, state=state)
    numbers = np.abs(state[state != 0])
    assert numbers.min() > 1e-30
    quiet = square(-60, 0.1)
    assert np.array_equal(compress(quiet, RATE, **USUAL, state=state)[0], quiet)


@pytest.mark.parametrize(
    ("knob", "positions"),
    [
        ("threshold_db", (0, -8, -16, -24, -32, -40)),
        ("ratio", (1.5, 2, 3, 4, 5, 10)),
        ("attack_ms", (30, 10, 3, 1, 0.3, 0.1)),
        ("release_s", (0.1, 0.2, 0.4, 0.8, 1.6)),
    ],
)
def test_every_knob_takes_more_away_from_music_at_each_position(knob, positions):
    audio = 1.78 * song(4, 4.0)
    means_db = [-compress(audio, RATE, **USUAL | {knob: position})[1].mean() for position in positions]
    assert np.all(np.diff(means_db) > 0)


def test_louder_channel_governs_both_and_make_up_is_a_plain_gain():
    audio = square(-10, 0.3) * np.array([1, 0.01], np.float32)
    output, gain_db = compress(audio, RATE, **USUAL)
    louder_alone, _ = compress(audio[:, :1], RATE, **USUAL)
    assert np.array_equal(output[:, 0], louder_alone[:, 0])
    assert output[-1, 1] / audio[-1, 1] == pytest.approx(10 ** (gain_db[-1] / 20), rel=1e-5)
    made_up, _ = compress(audio, RATE, **USUAL, makeup_db=6.0)
    assert made_up == pytest.approx(output * 10 ** (6 / 20), rel=1e-5)


def test_signal_under_the_knee_passes_bit_for_bit():
    audio = song(5, 1.0) * np.float32(10 ** (-20 / 20))  # peaks at -32 dBFS, knee begins at -31
    output, gain_db = compress(audio, RATE, **USUAL)
    assert np.array_equal(output, audio)
    assert not gain_db.any()

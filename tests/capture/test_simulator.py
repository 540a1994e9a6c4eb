from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from buscomp.capture.simulator import AUTO_FAST_S, AUTO_SLOW_S, compress, rested_state, static_reduction_db
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
    def knee(over_db: float) -> float:
        return 0.0 if over_db <= -3 else (over_db + 3) ** 2 / 12 if over_db < 3 else over_db

    expected = optimize.brentq(lambda g: g - (ratio - 1) * knee(level_dbfs + 28 - g), -1, 60)
    assert static_reduction_db(level_dbfs, -28, ratio) == pytest.approx(expected, abs=1e-6)
    _, gain_db = compress(square(level_dbfs, 4.0), RATE, **USUAL | {"ratio": ratio, "release_s": release_s})
    assert -gain_db[-1] == pytest.approx(expected, abs=0.05)


def test_ratio_4_takes_20_db_over_threshold_down_to_5():
    output, _ = compress(square(-8, 1.0), RATE, **USUAL)
    assert 20 * np.log10(np.abs(output[-1, 0])) == pytest.approx(-28 + 5, abs=0.01)


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


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 44_099), max_size=5), st.sampled_from([0.1, None]))
def test_a_stream_cut_anywhere_gives_the_same_bits(cuts, release_s):
    audio = 4 * song(3, 1.0)
    knobs = USUAL | {"release_s": release_s}
    whole, whole_gain_db = compress(audio, RATE, **knobs)
    state = rested_state()
    pieces = [compress(piece, RATE, **knobs, state=state) for piece in np.split(audio, sorted(cuts))]
    assert np.array_equal(np.concatenate([output for output, _ in pieces]), whole)
    assert np.array_equal(np.concatenate([gain_db for _, gain_db in pieces]), whole_gain_db)


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

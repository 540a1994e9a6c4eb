from __future__ import annotations

import math

import numpy as np
import pytest

from buscomp.capture.fingerprint import measure_fingerprint
from buscomp.capture.fingerprint_compressor import POINT, USUAL, simulate
from buscomp.capture.fingerprint_signal import fingerprint_signal
from buscomp.capture.simulator import Dynamics, Knobs, compress

RATE = 44_100
SENT = fingerprint_signal(RATE)
SETTINGS = [
    Knobs(-40.0, 10.0, 30.0, 1.6),
    Knobs(-20.0, 4.0, 0.1, 0.4),
    Knobs(-28.0, 2.0, 1.0, None),
    Knobs(0.0, 1.5, 0.1, 0.1),
]


def point(threshold_db: float, ratio: float, attack_ms: float, release_s: float | None, **more: float) -> np.ndarray:
    release = math.nan if release_s is None else math.log(release_s)
    knobs = (threshold_db, math.log(ratio), math.log(attack_ms), release)
    values = dict(zip(POINT, (*knobs, *USUAL.values(), 0.0, 0.0), strict=True)) | more
    return np.array(list(values.values()))


def measured(knobs: Knobs) -> np.ndarray:
    wet, _ = compress(
        SENT,
        RATE,
        threshold_db=knobs.threshold_db,
        ratio=knobs.ratio,
        attack_ms=knobs.attack_ms,
        release_s=knobs.release_s,
        sidechain_hpf_hz=knobs.sidechain_hpf_hz,
    )
    return measure_fingerprint(SENT, wet, RATE, noise_dbfs=-200.0).gains_db


@pytest.mark.parametrize("knobs", SETTINGS)
def test_it_agrees_with_the_virtual_unit_to_0_01_db_without_sharing_code(knobs):
    law = Dynamics.of(knobs)
    here = point(law.threshold_db, knobs.ratio, knobs.attack_ms, knobs.release_s, knee_db=law.knee_db)
    assert simulate(RATE, [here])[0] == pytest.approx(measured(knobs), abs=0.01)


@pytest.mark.parametrize("corner_hz", [30.0, 105.0])
def test_a_high_pass_in_the_side_chain_makes_the_low_tone_quieter_for_the_detector(corner_hz):
    knobs = Knobs(-20.0, 4.0, 1.0, 0.4, sidechain_hpf_hz=corner_hz)
    law = Dynamics.of(knobs)
    loss_db = 10 * math.log10(1 + (corner_hz / 50) ** 2)
    here = point(law.threshold_db, 4.0, 1.0, 0.4, knee_db=law.knee_db, low_loss_db=loss_db)
    difference_db = simulate(RATE, [here])[0] - measured(knobs)
    error_db = np.sqrt(np.mean(difference_db**2))  # the real filter also shifts the phase of the ripple
    assert error_db < 0.1
    without = simulate(RATE, [point(law.threshold_db, 4.0, 1.0, 0.4, knee_db=law.knee_db)])[0]
    assert np.sqrt(np.mean((without - measured(knobs)) ** 2)) > 2 * error_db


@pytest.mark.parametrize("setting", [(-20, 4, 1, 0.4), (-40, 10, 30, 1.6), (-28, 2, 0.1, 0.1)])
def test_as_a_follower_of_the_level_it_is_the_compressor_of_juce(setting):
    """JUCE makes time constants by 2 pi: its attack is the period of a corner frequency."""
    pedalboard = pytest.importorskip("pedalboard")
    threshold_db, ratio, attack_ms, release_s = setting
    board = pedalboard.Compressor(threshold_db, ratio, attack_ms, 1000 * release_s)
    wet = np.ascontiguousarray(board(SENT.T, RATE).T)
    theirs = measure_fingerprint(SENT, wet, RATE, noise_dbfs=-200.0).gains_db
    times = 1 / (2 * math.pi)
    ours = simulate(
        RATE,
        [
            point(
                threshold_db, ratio, attack_ms * times, release_s * times, follows_level=1.0, feedback=0.0, knee_db=0.5
            )
        ],
    )[0]
    assert ours == pytest.approx(theirs, abs=0.02)


def test_feed_forward_and_feedback_settle_at_the_same_static_gain():
    """out = threshold + (in - threshold) / ratio, whoever is heard."""
    ends = [n for n, name in enumerate(measure_names()) if name.startswith("stair-1@")][-1]
    settled_db = [
        simulate(RATE, [point(-21.0, 4.0, 0.3, 0.4, feedback=feedback)])[0, ends] for feedback in (0.0, 0.5, 1.0)
    ]
    assert settled_db == pytest.approx([-15.0] * 3, abs=0.4)  # the level of a sine ripples under its peak
    assert max(settled_db) - min(settled_db) < 0.2


def measure_names() -> tuple[str, ...]:
    return measure_fingerprint(SENT, SENT, RATE, noise_dbfs=-200.0).signal.names


def test_each_point_is_simulated_once():
    here = point(-20.0, 4.0, 1.0, 0.4)
    first, second = simulate(RATE, [here, here.copy()])
    assert np.array_equal(first, second)
    assert simulate(RATE, []).shape == (0, len(first))

"""The static curve on units that are nothing but one, and between settings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.tests.small_dataset import music
from buscomp.tests.trainer.compressed import compress_all
from buscomp.trainer.baselines import fit_baselines
from buscomp.trainer.controls import control_vector
from buscomp.trainer.gain_trace import gain_trace_rmse_db
from buscomp.trainer.static_curve import (
    KNOTS_DBFS,
    CurveFit,
    StaticCurves,
    apply_curve,
    linked_levels_dbfs,
)

RATE = 44_100
SONG = music(4.0)


def knee_at(threshold_db, ratio):
    return np.minimum(0.0, (KNOTS_DBFS - threshold_db) * (1 / ratio - 1))


def test_the_curve_of_a_unit_that_is_one_is_found_again_where_something_was_heard():
    true = knee_at(-30.0, 4.0)
    fit = CurveFit()
    fit.add(SONG, apply_curve(true, SONG, RATE), RATE)
    found = fit.curve()
    levels = linked_levels_dbfs(SONG, RATE)
    heard = (np.percentile(levels, 5) < KNOTS_DBFS) & (np.percentile(levels, 95) > KNOTS_DBFS)
    assert heard.sum() >= 4
    np.testing.assert_allclose(found[heard], true[heard], atol=0.6)
    rmse = gain_trace_rmse_db(apply_curve(found, SONG, RATE), apply_curve(true, SONG, RATE), SONG, RATE)
    assert rmse is not None
    assert rmse < 0.15


def test_a_volume_control_of_minus_4_db_has_a_curve_of_minus_4_db_everywhere():
    fit = CurveFit()
    fit.add(SONG, SONG * np.float32(10 ** (-4 / 20)), RATE)
    np.testing.assert_allclose(fit.curve(), -4.0, atol=1e-3)
    assert CurveFit().curve() == pytest.approx(np.zeros(len(KNOTS_DBFS)))


def test_an_unseen_setting_half_way_between_two_has_the_mean_of_their_curves_and_a_seen_one_its_own():
    ends = {name: np.array([place, 0.5], np.float32) for name, place in (("low", 0.0), ("high", 1.0))}
    curves = StaticCurves({"low": knee_at(-40, 2), "high": knee_at(-10, 10)}, ends)
    between = curves.at("new", np.array([0.5, 0.5], np.float32))
    np.testing.assert_allclose(between, (knee_at(-40, 2) + knee_at(-10, 10)) / 2, atol=1e-9)
    np.testing.assert_array_equal(curves.at("low", ends["high"]), knee_at(-40, 2))
    np.testing.assert_allclose(curves.at("new", ends["high"]), knee_at(-10, 10), atol=1e-6)


@given(st.integers(1, 3000), st.integers(1, 2))
def test_any_length_comes_back_as_long_with_a_level_for_every_begun_window(frames, channels):
    audio = np.full((frames, channels), 0.1, np.float32)
    assert len(linked_levels_dbfs(audio, RATE)) == -(-frames // 441)
    np.testing.assert_allclose(linked_levels_dbfs(audio, RATE), -20.0, atol=1e-4)
    output = apply_curve(np.full(len(KNOTS_DBFS), -6.0), audio, RATE)
    np.testing.assert_allclose(output, audio * 10 ** (-6 / 20), rtol=1e-5)


def test_on_a_compressor_the_curve_of_each_setting_beats_one_gain_for_all_by_far(make_dataset, tmp_path):
    dataset = compress_all(make_dataset(tmp_path / "d", songs=3, settings=6, seconds=2.0))
    baselines = fit_baselines(dataset)
    errors = []
    for pair in dataset.pairs("test_seen"):
        curve = baselines.curves.at(pair.setting_id, control_vector(dataset.unit, pair.setting))
        outputs = (apply_curve(curve, pair.dry, RATE), np.float32(baselines.constant_gain) * pair.dry)
        errors.append([gain_trace_rmse_db(output, pair.wet, pair.dry, RATE) or 0.0 for output in outputs])
    static, constant = np.mean(errors, axis=0)
    assert static < 0.8 * constant

"""Settings as numbers in [0, 1]."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.manifests.unit import load_unit
from buscomp.trainer.controls import control_names, control_vector

CAPTURE = Path(__file__).parents[2] / "capture"
SSL = load_unit(CAPTURE / "ssl-500-bus.yaml")


def row_of(unit, **values):
    return unit.to_row(unit.setting(values, "grid").values)


def test_the_bus_compressor_has_five_numbers_and_four_without_the_flag():
    assert control_names(SSL) == ["threshold_db", "attack_ms", "release_s", "release_auto", "ratio"]
    assert control_names(SSL, auto_flag=False) == ["threshold_db", "attack_ms", "release_s", "ratio"]


def test_ends_of_the_scales_are_0_and_1_and_logarithms_meet_in_the_middle():
    low = row_of(SSL, threshold_db=-40, attack_ms=0.1, release_s=0.1, ratio=1.5)
    high = row_of(SSL, threshold_db=0, attack_ms=30, release_s=1.6, ratio=10)
    np.testing.assert_allclose(control_vector(SSL, low), [0, 0, 0, 0, 0])
    np.testing.assert_allclose(control_vector(SSL, high), [1, 1, 1, 0, 1])
    middle = control_vector(SSL, row_of(SSL, threshold_db=-20, attack_ms=3, release_s=0.4, ratio=4))
    np.testing.assert_allclose(
        middle, [0.5, math.log(30) / math.log(300), 0.5, 0, math.log(4 / 1.5) / math.log(10 / 1.5)], rtol=1e-6
    )


def test_auto_is_a_flag_with_the_release_at_one_half_or_minus_a_quarter_for_parity():
    row = row_of(SSL, threshold_db=-20, attack_ms=3, release_s="auto", ratio=4)
    assert control_vector(SSL, row)[2:4].tolist() == [0.5, 1.0]
    assert control_vector(SSL, row, auto_flag=False)[2] == -0.25


def test_a_row_read_back_from_parquet_gives_the_same_numbers(dataset):
    for row in dataset.pair_table().to_dict("records"):
        auto = bool(row["release_auto"])
        assert control_vector(dataset.unit, row)[3] == float(auto)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_every_setting_lies_in_0_to_1_and_differs_from_every_other(data):
    varied = {name: control for name, control in SSL.controls.items() if control.held is None}
    pair = [{name: data.draw(st.sampled_from(c.positions)) for name, c in varied.items()} for _ in range(2)]
    first, second = (control_vector(SSL, row_of(SSL, **values)) for values in pair)
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.array_equal(first, second) == (pair[0] == pair[1])


@pytest.mark.parametrize("profile", sorted(path.name for path in CAPTURE.glob("la-2a.yaml")))
def test_a_switch_of_two_words_is_one_number(profile):
    unit = load_unit(CAPTURE / profile)
    assert len(control_names(unit)) == len([c for c in unit.controls.values() if c.held is None])

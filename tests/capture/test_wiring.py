"""Which column is which channel: one unit, several units, control voltages and the loopback pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from buscomp.capture.device import DeviceProfile, UnitPlace
from buscomp.capture.wiring import Wiring

TWO_UNITS = DeviceProfile(
    match="fireface",
    units=(
        UnitPlace(serial="a", returns=(3, 4), cv_returns=(9,)),
        UnitPlace(serial="b", returns=(5, 6), cv_returns=(10,)),
    ),
    loopback_send=7,
    loopback_return=8,
)


def test_one_unit_on_outputs_and_inputs_1_and_2_has_two_columns_each_way():
    wiring = DeviceProfile(match="fireface").wiring
    assert wiring == Wiring((1, 2), (1, 2), ((0, 1),), ((0, 1),), ((),))


def test_two_units_share_one_send_and_have_returns_voltages_and_the_loopback_in_columns_0_to_6():
    wiring = TWO_UNITS.wiring
    assert wiring.outputs == (1, 2, 7)
    assert wiring.inputs == (3, 4, 5, 6, 9, 10, 8)
    assert wiring.returns == ((0, 1), (2, 3))
    assert wiring.cv == ((4,), (5,))
    assert (wiring.loopback_output, wiring.loopback_input) == (2, 6)


def test_a_unit_with_sends_of_its_own_gets_its_own_columns():
    profile = DeviceProfile(
        match="fireface",
        units=(UnitPlace(serial="a", returns=(1, 2)), UnitPlace(serial="b", returns=(3, 4), sends=(5, 6))),
    )
    assert profile.wiring.outputs == (1, 2, 5, 6)
    assert profile.wiring.sends == ((0, 1), (2, 3))


def test_one_send_fans_out_to_every_unit_and_its_left_channel_to_the_loopback():
    send = np.arange(8, dtype=np.float32).reshape(4, 2)
    wiring = DeviceProfile(
        match="fireface",
        units=(UnitPlace(serial="a", returns=(1, 2)), UnitPlace(serial="b", returns=(3, 4), sends=(5, 6))),
        loopback_send=7,
        loopback_return=7,
    ).wiring
    np.testing.assert_array_equal(wiring.fan_out(send), send[:, [0, 1, 0, 1, 0]])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"units": [{"serial": "a", "returns": [1, 2]}, {"serial": "b", "returns": [2, 3]}]}, "channel twice"),
        ({"units": [{"serial": "a", "returns": [1, 2]}, {"serial": "a", "returns": [3, 4]}]}, "same serial"),
        ({"units": [{"serial": "a", "returns": [1]}]}, "as many returns as sends"),
        ({"units": [{"serial": "a", "returns": [1, 2], "sends": [3]}]}, "as many sends"),
        ({"units": [{"serial": "a", "returns": [1, 2]}], "cv_returns": [5]}, "cv_returns of its own"),
        ({"returns": [1, 2], "cv_returns": [2]}, "channel twice"),
        ({"loopback_send": 1, "loopback_return": 3}, "loopback pair"),
        ({"loopback_send": 3, "loopback_return": 2}, "loopback pair"),
        ({"loopback_send": 3}, "go together"),
    ],
)
def test_a_profile_whose_channels_collide_is_refused(words: dict[str, Any], told: str):
    with pytest.raises(ValidationError, match=told):
        DeviceProfile.model_validate({"match": "fireface", **words})

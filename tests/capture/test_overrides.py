"""An override names an alarm and a reason; whatever leaves no aligned audio cannot be overridden."""

from __future__ import annotations

import pytest

from buscomp.capture.overrides import parse_overrides
from buscomp.manifests.errors import UsageError


def test_an_override_carries_the_operators_name_and_the_reason():
    assert parse_overrides(["hum=transformer next door", "noise_floor = old unit"], "ada") == {
        "hum": "ada: transformer next door",
        "noise_floor": "ada: old unit",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("humm=x", r"no alarm .* this code, got humm \(allowed: .*hum, "),
        ("device_lost=x", "no alarm that can be overridden"),
        ("silent_return=x", "no alarm that can be overridden"),
        ("hum", "needs a reason, got hum; write hum=WHY"),
        ("hum= ", "needs a reason"),
    ],
)
def test_an_override_that_cannot_be_meant_is_a_usage_error(text: str, told: str):
    with pytest.raises(UsageError, match=told):
        parse_overrides([text], "ada")

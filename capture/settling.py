"""How long the unit has to rest before a take, so that it has forgotten the take before."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..manifests.unit import Position, Unit

TIME_CONSTANTS = math.log(10 / 0.1)  # 4.6: 10 dB of gain reduction have fallen to 0.1 dB
SHORTEST_S = 0.5
RELEASE_UNITS_S = {"release_s": 1.0, "release_ms": 1e-3}  # the controls that are a release time, and their unit


def settle_s(unit: Unit, values: Mapping[str, Position]) -> float:
    """Seconds of silence before a take at the setting `values`: 4.6 release times, 0.5 s at least.

    At AUTO, at any other word on the release switch, and on a unit without a release control, the unit's
    `slow_release_s` counts. The release is taken for exponential with the printed time as its time constant."""
    release_s = unit.slow_release_s
    for name, seconds in RELEASE_UNITS_S.items():
        release = values.get(name)
        if isinstance(release, int | float) and not isinstance(release, bool):
            release_s = release * seconds
    return max(SHORTEST_S, TIME_CONSTANTS * release_s)

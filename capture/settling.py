"""How long the unit rests before a take, and what a take may know about the take before.

    silence      so long that the unit has forgotten the take before: every take stands alone
    contiguous   as short as noise and probe can be measured, and the stream never breaks: a take begins with the gain
                 reduction that the song before it left behind, and `previous_take_id` says which song that was

docs/reference/planning.md says what a trainer does with the second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from ..manifests.unit import Position, Unit

Settling = Literal["silence", "contiguous"]
CONTIGUOUS: Settling = "contiguous"
TIME_CONSTANTS = math.log(10 / 0.1)  # 4.6: 10 dB of gain reduction have fallen to 0.1 dB
SHORTEST_S = 0.5
RELEASE_UNITS_S = {"release_s": 1.0, "release_ms": 1e-3}  # the controls that are a release time, and their unit


def settle_s(unit: Unit, values: Mapping[str, Position], policy: str = "silence") -> float:
    """Seconds of silence before a take at the setting `values`: 4.6 release times, 0.5 s at least, and 0.5 s always
    where the `policy` is contiguous.

    At AUTO, at any other word on the release switch, and on a unit without a release control, the unit's
    `slow_release_s` counts. The release is taken for exponential with the printed time as its time constant."""
    if policy == CONTIGUOUS:
        return SHORTEST_S
    release_s = unit.slow_release_s
    for name, seconds in RELEASE_UNITS_S.items():
        release = values.get(name)
        if isinstance(release, int | float) and not isinstance(release, bool):
            release_s = release * seconds
    return max(SHORTEST_S, TIME_CONSTANTS * release_s)

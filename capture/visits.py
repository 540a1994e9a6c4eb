"""The visits of a capture, in order: at each one the knobs are brought to a setting and something is played there.

    warm_up        the fingerprint, again and again, until the unit's gain stands still; first in every session
    calibration    a fingerprint at every position of the controls that are hard to tell, twice; before the first pass
    anchor         a fingerprint at one and the same setting, before every Nth pass and at the end
    pass           all songs of a setting, between two fingerprints

What is done already is known from the journal, so a session that goes on repeats no pass, anchor or calibration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ..manifests.journal import Journal
from ..manifests.unit import Setting, Unit
from .order import visit_order
from .shifts import Pass, best_pass

if TYPE_CHECKING:
    from .plan import Plan

Kind = Literal["warm_up", "calibration", "anchor", "pass"]
DEEP_AT_LOWEST = ("threshold", "attack", "release")  # controls that compress deeply and fast at their first position
DEEP_AT_HIGHEST = ("ratio", "peak_reduction", "input", "drive")  # and those that do so at their last
MISMATCH = "mismatch"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Visit:
    """What is done at one setting before the knobs are turned again."""

    setting: Setting
    kind: Kind


def visits(
    plan: Plan,
    planned_s: Mapping[str, float] | None = None,
    fingerprints: Iterable[Row] = (),
    now: datetime | None = None,
) -> tuple[Visit, ...]:
    """What is left of `plan`.

    `planned_s`: seconds of songs yet to play, by setting_id; None for a capture that has not begun. `fingerprints`:
    rows of that table, oldest first. With `now` and a calendar in the plan the first pass is the one that suits until
    somebody comes again (`shifts.best_pass`)."""
    left = [s for s in plan.settings if planned_s is None or s.setting_id in planned_s]
    if planned_s is not None and now is not None and plan.grid.shifts is not None and left:
        alone_s = plan.grid.shifts.alone_s(now)
        passes = [Pass(0.0, plan.songs_s(setting), planned_s[setting.setting_id]) for setting in left]
        left.insert(0, left.pop(best_pass(passes, alone_s)))
    histories = _histories(plan, fingerprints)
    found = [Visit(setting, "calibration") for setting in _calibrations_left(plan.calibration, histories)]
    since = [_passes_since_anchor(plan.anchor, history) for history in histories]
    for setting in left:
        if plan.anchor is not None and any(_is_due(plan.anchor_every, begun, setting) for begun in since):
            found.append(Visit(plan.anchor, "anchor"))
            since = [set() for _ in since]
        found.append(Visit(setting, "pass"))
        for begun in since:
            if begun is not None:
                begun.add(setting.setting_id)
    if plan.anchor is not None and any(since):
        found.append(Visit(plan.anchor, "anchor"))
    if found and plan.grid.warm_up is not None:
        found.insert(0, Visit(found[0].setting, "warm_up"))
    return tuple(found)


def remaining_visits(plan: Plan, journal: Journal) -> tuple[Visit, ...]:
    """What the journal says is left of `plan`, at this hour."""
    if plan.grid.shifts is None:
        left = set(journal.planned_settings())
        planned_s = {s.setting_id: plan.songs_s(s) for s in plan.settings if s.setting_id in left}
    else:
        songs = {(take["setting_id"], take["song_id"]) for take in journal.planned()}
        planned_s = {}
        for setting_id, song_id in songs:
            planned_s[setting_id] = planned_s.get(setting_id, 0.0) + plan.durations_s[song_id]
    return visits(plan, planned_s, journal.fingerprints(), datetime.now())


def calibration_settings(unit: Unit, settings: Sequence[Setting], controls: Collection[str]) -> tuple[Setting, ...]:
    """Where a capture of `settings` calibrates `controls`: at as few of the settings as touch every position that any
    of these controls takes in them; among equals where the other controls show most. On a short path, twice, so that
    no setting is visited twice in succession. A control that stays where it is has nothing to calibrate."""
    turned = [name for name in controls if len({setting.values[name] for setting in settings}) > 1]
    missing = {(name, setting.values[name]) for setting in settings for name in turned}
    shown = {setting.setting_id: _shown(unit, setting, turned) for setting in settings} if missing else {}
    chosen: list[Setting] = []
    while missing:
        best = max(settings, key=lambda s: (len(missing & set(s.values.items())), shown[s.setting_id]))
        chosen.append(best)
        missing -= set(best.values.items())
    return 2 * tuple(visit_order(chosen, unit, "joint"))


def _shown(unit: Unit, setting: Setting, calibrated: Collection[str]) -> float:
    """How well a fingerprint shows the controls that are to be calibrated: best where there is deep compression that
    comes and goes fast, as far as the names of the other controls tell."""
    score = 0.0
    for name, control in unit.controls.items():
        place = control.index(setting.values[name]) / (len(control.positions) - 1)
        if name not in calibrated and name.startswith(DEEP_AT_HIGHEST):
            score += place
        elif name not in calibrated and name.startswith(DEEP_AT_LOWEST):
            score += 1 - place
    return score


def _histories(plan: Plan, fingerprints: Iterable[Row]) -> list[list[Row]]:
    """The fingerprints of each unit that count: those that were right, or were taken as they are."""
    counting = [row for row in fingerprints if row["verdict"] != MISMATCH or row.get("override_reason")]
    return [[row for row in counting if row["unit_id"] == unit_id] for unit_id in plan.units]


def _calibrations_left(wanted: Sequence[Setting], histories: Iterable[Iterable[Row]]) -> list[Setting]:
    """Without as many of each setting as every unit has behind it."""
    done = [Counter(row["setting_id"] for row in rows if row["occasion"] == "calibration") for rows in histories]
    behind = Counter({s.setting_id: min((unit[s.setting_id] for unit in done), default=0) for s in wanted})
    left = []
    for setting in wanted:
        if behind[setting.setting_id] > 0:
            behind[setting.setting_id] -= 1
        else:
            left.append(setting)
    return left


def _passes_since_anchor(anchor: Setting | None, history: Iterable[Row]) -> set[str] | None:
    """Settings whose pass one unit has begun since it stood at the anchor; None where it never did."""
    begun: set[str] | None = None
    for row in history:
        if row["occasion"] == "anchor" and anchor is not None and row["setting_id"] == anchor.setting_id:
            begun = set()
        elif row["occasion"] == "begin" and begun is not None:
            begun.add(row["setting_id"])
    return begun


def _is_due(every: int, begun: set[str] | None, setting: Setting) -> bool:
    """Whether the anchor comes before a pass at `setting`."""
    return begun is None or (len(begun) >= every and setting.setting_id not in begun)

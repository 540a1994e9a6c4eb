"""Everything that may be the case instead of the plan, and what the fingerprint would be then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..manifests.unit import Position, Setting, Unit, shown
from .fingerprint import Features, Fingerprint
from .fingerprint_compressor import POINT
from .fingerprint_fit import KNOBS, Detents, Values
from .fingerprint_model import UnitModel
from .references import References
from .yardstick import Yardstick

POT_DB = 0.25  # so near its place a pot is at its place
DETENT_DB = 1.0  # so near another detent it is at that detent; what is printed is no truer
TOLERABLE, TOLERABLE_DB = 2.0, 0.03  # standard deviations of what stands behind a detent; RMS of the gains
POT_ITERATIONS, POT_STEP_DB = 4, 2.0
LOW_LOSSES_DB = (0.0, 0.5, 1.3, 2.6, 4.0, 5.5, 7.5, 10.0, 13.0, 17.0, 22.0)  # a filter's at 50 Hz, of any order


@dataclass(frozen=True, eq=False)
class Rival:
    """One of them."""

    told: str  # for a person
    knobs: tuple[str, ...]  # the controls that differ from the plan
    setting_id: str
    gains_db: Features
    variance: Features  # dB^2, of what the model cannot explain
    tolerable: bool = False  # at a first visit: the scale, or the model, may be wrong by as much


def rivals_of(
    fingerprint: Fingerprint,
    setting: Setting,
    unit: Unit,
    references: References,
    model: UnitModel,
    yardstick: Yardstick,
) -> list[Rival]:
    """One control elsewhere, in every way that has a prediction; and every visited setting that is farther off."""
    found = list(_detents(setting, unit, references, model))
    if model.detents is not None:
        for name in KNOBS:
            if unit.controls[name].kind == "pot":
                found += _pot(name, fingerprint, setting, unit, model.detents, yardstick)
        if "sidechain_hpf_hz" in unit.controls:
            found += _filters(setting, unit, model.detents, yardstick)
    if setting.values.get("engaged") is True:
        label, off = unit.controls["engaged"].label, {**setting.values, "engaged": False}
        nothing = np.zeros_like(yardstick.planned_db)
        found.append(
            Rival(f"{label} is off: nothing is compressed", ("engaged",), unit.setting_id(off), nothing, nothing)
        )
    return found


def _detents(setting: Setting, unit: Unit, references: References, model: UnitModel) -> Iterator[Rival]:
    """Switches at every other position, and whatever was visited."""
    changed: dict[str, Values] = {visit.setting_id: visit.values for visit in references.visits}
    if model.detents is not None:
        for name in KNOBS:
            if unit.controls[name].kind == "switch":
                for position in unit.controls[name].positions:
                    there = {**setting.values, name: position}
                    changed[unit.setting_id(there)] = there
    changed.pop(setting.setting_id, None)
    for (setting_id, values), prediction in zip(changed.items(), model.predict(list(changed.values())), strict=True):
        knobs = tuple(name for name in unit.controls if values[name] != setting.values[name])
        told = "looks like " + ", ".join(_words(unit, name, values[name]) for name in knobs)
        if len(knobs) == 1:
            told += f", plan says {shown(setting.values[knobs[0]])}"
        yield Rival(told, knobs, setting_id, prediction.gains_db, prediction.variance)


def _pot(
    name: str, fingerprint: Fingerprint, setting: Setting, unit: Unit, detents: Detents, yardstick: Yardstick
) -> Iterator[Rival]:
    """The pot where it explains the fingerprint best: from the nearest detent on by Gauss-Newton. Nothing where that
    is its place."""
    control, place = unit.controls[name], POINT.index(name)
    planned = float(setting.values[name])
    here = detents.point(setting.values)
    along = np.eye(len(here))[place]
    at_plan = detents.simulate([here])[0]
    shifts = [float(position) - planned for position in control.numbers]
    changes = detents.simulate([here + shift * along for shift in shifts]) - at_plan
    error_db = fingerprint.gains_db - yardstick.planned_db
    shift = shifts[int(np.mean((error_db - changes) ** 2, axis=1).argmin())]  # in dB: from afar, sigmas mislead
    for _ in range(POT_ITERATIONS):
        point = here + shift * along
        slope = detents.slopes(point, [place])[0]
        left_db = error_db - (detents.simulate([point])[0] - at_plan)
        shift += float(np.clip(yardstick.share(left_db, slope), -POT_STEP_DB, POT_STEP_DB))
    if abs(shift) < POT_DB:
        return
    there: Values = setting.values
    label = control.label.lower()
    told = f"{label} about {abs(shift):.1f} {control.unit} too {'high' if shift > 0 else 'low'}"
    told += f", plan says {shown(setting.values[name])}"
    nearest = min(control.positions, key=lambda position: abs(float(position) - planned - shift))
    if nearest != setting.values[name] and abs(float(nearest) - planned - shift) < DETENT_DB:
        there = {**setting.values, name: nearest}
        told = f"looks like {_words(unit, name, nearest)}, plan says {shown(setting.values[name])}"
    change_db = detents.simulate([here + shift * along])[0] - at_plan
    gains_db = yardstick.planned_db + change_db
    slight = float(np.sqrt(np.mean(change_db**2))) < TOLERABLE_DB
    tolerable = slight or abs(shift) < TOLERABLE * detents.std(name, setting.values)
    yield Rival(told, (name,), unit.setting_id(there), gains_db, np.zeros_like(gains_db), tolerable)


def _filters(setting: Setting, unit: Unit, detents: Detents, yardstick: Yardstick) -> Iterator[Rival]:
    """The side-chain filter at another position: less or more of the low tone is heard."""
    here, name = detents.point(setting.values), "sidechain_hpf_hz"
    losses = [loss for loss in LOW_LOSSES_DB if abs(loss - here[-1]) > 0.25]
    at_plan, *there = detents.simulate([here, *(np.append(here[:-1], loss) for loss in losses)])
    for loss, gains_db in zip(losses, there, strict=True):
        told = (
            f"{unit.controls[name].label} takes about {loss:g} dB from 50 Hz, plan says {shown(setting.values[name])}"
        )
        change = gains_db - at_plan
        yield Rival(told, (name,), setting.setting_id, yardstick.planned_db + change, np.zeros_like(change))


def _words(unit: Unit, name: str, position: Position) -> str:
    return f"{unit.controls[name].label.lower()} {shown(position)}"

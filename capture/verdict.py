"""Whether the knobs are where the plan says, and if not, which one is elsewhere.

Every way in which one control could be wrong is a rival of the plan, with a prediction of its own: another detent of
a switch, a pot beside its place, IN off, the side-chain filter in; so is every other setting that was visited. How far
the fingerprint is from a prediction is counted in standard deviations, as a squared Mahalanobis distance: noise, the
drift that a unit has between two visits, what is not known about the value behind a detent, and what the model
cannot explain are all allowed for. The plan is refused when a rival is clearly nearer, or when it is far off itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..manifests.unit import Setting, Unit, shown
from .fingerprint import Features, Fingerprint, replicate_esr
from .fingerprint_fit import KNOBS
from .fingerprint_model import FIRST_VISITS, UnitModel, fit_model
from .references import MATCH, MISMATCH, UNKNOWN, References
from .rivals import Rival, rivals_of
from .yardstick import Yardstick, compresses_nothing

STATIC_DRIFT_DB = 0.2  # static gain may differ so much from earlier visits
REPLICATE_ESR = 1e-4  # 0.087 dB of gain
CLEARLY = 30.0  # nearer by so much, in squared standard deviations
DOUBTFUL = 16.0  # a rival that is farther by less than this is not excluded
FITS = 1.0  # mean square below which a first visit is as expected, unless a rival explains it
FAR = 4.0  # mean square in standard deviations beyond which the plan itself is refused
EXPECTED_DB = 6.0  # a new unit that should reduce the gain so much, and does nothing, is off
WELL = 0.5  # mean square below which a rival explains a unit of which nothing is known
LEAST_DB = 0.005  # no model is better than that
RARE = 15.0  # what each further wrong knob costs, for which is the likelier
SHARE_STD = 0.25  # a wrong knob moves the gains by so much more or less than the model says


@dataclass(frozen=True)
class Verdict:
    """What `judge` says."""

    verdict: Literal["match", "mismatch", "unknown"]
    told: str  # for a person; names the likely knob
    knob: str | None  # the control that most likely stands elsewhere
    nearest_setting_id: str
    distance_db: float  # RMS over windows, from what the planned setting should be
    margin_db: float | None  # distance of the second nearest setting less that of the nearest; None without rivals
    replicate_esr: float | None  # against the nearest earlier visit of the same setting
    in_doubt: tuple[str, ...] = ()  # controls that the fingerprint cannot prove yet


def judge(fingerprint: Fingerprint, setting: Setting, unit: Unit, references: References, model: UnitModel) -> Verdict:
    """Compare `fingerprint`, taken when `setting` was asked for, with what is known about `unit`.

    match: the planned setting explains it and no other does better. mismatch: another explains it clearly better
    (`knob` names the control), or the planned one does not explain it (`knob` is None). unknown: this setting was
    never visited, and either the controls in `in_doubt` are not proven by the visits so far, or the model does not
    explain them."""
    own = references.of(setting.setting_id)
    esr = min((replicate_esr(fingerprint, visit.fingerprint) for visit in own), default=None)
    yardstick = Yardstick.of(fingerprint, setting, model)
    rivals = rivals_of(fingerprint, setting, unit, references, model, yardstick)
    error_db = fingerprint.gains_db - yardstick.planned_db
    distance_db = _rms_db(error_db)
    distances = sorted([distance_db, *(_rms_db(fingerprint.gains_db - rival.gains_db) for rival in rivals)])
    margin_db = distances[1] - distances[0] if rivals else None

    def say(
        verdict: Literal["match", "mismatch", "unknown"],
        told: str,
        rival: Rival | None = None,
        doubts: Sequence[str] = (),
    ) -> Verdict:
        knob = rival.knobs[0] if rival and len(rival.knobs) == 1 else None
        nearest = rival.setting_id if rival else setting.setting_id
        return Verdict(verdict, told, knob, nearest, distance_db, margin_db, esr, tuple(doubts))

    changes = np.array([rival.gains_db - yardstick.planned_db for rival in rivals]).reshape(len(rivals), len(error_db))
    plan, part, whole = yardstick.compare(error_db, changes)
    mean_square = plan / len(error_db)
    refused = bool(
        mean_square > FAR
        or (esr is not None and esr > REPLICATE_ESR and mean_square > 1)
        or (part.size and plan - part.min() > CLEARLY)
    )
    refused = refused and (bool(own) or distance_db > LEAST_DB)
    nearest = _likeliest(error_db, changes, rivals, yardstick) if refused else None
    unproven = not own and (model.settings < FIRST_VISITS or not model.explains(setting.values))
    idle = compresses_nothing(fingerprint) and (not unproven or yardstick.planned_db.min() < -EXPECTED_DB)
    if refused and idle:  # a plain fact, whatever else comes near
        nearest = next((rival for rival in rivals if rival.knobs == ("engaged",)), nearest)
    if refused and nearest is None and yardstick.only_low(error_db, fingerprint.signal.of_low):
        nearest = next((rival for rival in rivals if rival.knobs == ("sidechain_hpf_hz",)), None)
    if nearest is None and not own and mean_square < FITS:
        refused = False  # half of a rival is nearer, which tells where a detent is, not that a knob is elsewhere
    if nearest and nearest.knobs == ("engaged",):
        return say(MISMATCH, nearest.told, nearest)
    shift_db = _static_shift_db(fingerprint, references)
    if shift_db is not None and abs(shift_db) > STATIC_DRIFT_DB:
        return say(MISMATCH, *_gain_moved(unit, setting, shift_db))
    if own and not refused:
        return say(MATCH, "as planned")
    if refused:
        doubt = "" if own else _why_not_sure(setting, unit, model, nearest, part.min(initial=math.inf) / len(error_db))
        told = nearest.told if nearest else f"{distance_db:.2f} dB from the plan, and no single knob explains it"
        return say(UNKNOWN, f"{told}; but {doubt}") if doubt else say(MISMATCH, told, nearest)
    if not model.explains(setting.values):
        return say(UNKNOWN, "nothing against the plan, but no model explains this unit, and this is the first visit")
    single = [(rival.knobs[0], far) for rival, far in zip(rivals, whole - plan, strict=True) if len(rival.knobs) == 1]
    doubts = sorted({knob for knob, far in single if far < DOUBTFUL} - set(unit.held))  # nobody moves what is held
    if not doubts:
        return say(MATCH, "as planned")
    told = f"nothing against the plan, but no visit yet proves {_labels(unit, doubts)}"
    return say(UNKNOWN, told, doubts=doubts)


def judge_and_learn(
    fingerprint: Fingerprint,
    setting: Setting,
    unit: Unit,
    references: References,
    model: UnitModel | None,
    sample_rate: int = 44_100,
) -> tuple[Verdict, UnitModel]:
    """`judge` by a model of all `references`; `model`, if it was made from the first of them, makes that a matter of a
    second. Nobody is sent back to the panel by a model that was only grown: it is fitted from nothing first."""
    if model is None or model.trained_on.visits != references.visits:
        model = fit_model(unit, references, sample_rate, model)
    verdict = judge(fingerprint, setting, unit, references, model)
    if verdict.verdict != MATCH and model.grown:
        model = fit_model(unit, references, sample_rate)
        verdict = judge(fingerprint, setting, unit, references, model)
    return verdict, model


def _why_not_sure(setting: Setting, unit: Unit, model: UnitModel, nearest: Rival | None, left: float) -> str:
    """What speaks against refusing the first visit of a setting; empty if nothing does. `left` is the mean square in
    standard deviations that the best rival leaves."""
    if model.detents is None or not model.explains(setting.values):
        return "no model explains this unit, and this setting was never visited"
    if model.settings < FIRST_VISITS and left > WELL:
        return "it is no usual compressor, and nothing is known of it yet"
    knobs = nearest.knobs if nearest else ()
    tolerable = nearest is not None and nearest.tolerable
    guessed = [name for name in knobs if name in KNOBS and (tolerable or not model.detents.knows(name, setting.values))]
    return f"no visit yet proves {_labels(unit, guessed)}" if guessed else ""


def _labels(unit: Unit, names: Sequence[str]) -> str:
    return ", ".join(unit.controls[name].label for name in names)


def _likeliest(error_db: Features, changes: Features, rivals: Sequence[Rival], yardstick: Yardstick) -> Rival | None:
    """The rival that explains the error best, if it explains most of it. How the gains change from the plan to a rival
    is known less well than what either of them is, where they were visited: hence the wider yardstick."""
    if not rivals:
        return None
    wider = yardstick.widened(np.mean([rival.variance for rival in rivals], axis=0))
    plan, part, _ = wider.compare(error_db, changes, SHARE_STD)
    costs = part + RARE * np.array([len(rival.knobs) - 1 for rival in rivals])
    costs[[rival.knobs == ("engaged",) for rival in rivals]] = math.inf  # off is off: see `compresses_nothing`
    best = int(costs.argmin())
    return rivals[best] if costs[best] < plan / 2 else None


def _static_shift_db(fingerprint: Fingerprint, references: References) -> float | None:
    """Static gain now re the median of the last visits; None before the first."""
    last = [visit.fingerprint.static_gain_db for visit in references.visits[-9:]]
    return fingerprint.static_gain_db - float(np.median(last)) if last else None


def _gain_moved(unit: Unit, setting: Setting, shift_db: float) -> tuple[str, Rival | None]:
    way = "high" if shift_db > 0 else "low"
    if "makeup_db" not in unit.controls:
        return f"gain about {abs(shift_db):.1f} dB too {way}: make-up, a cable or a converter's level", None
    label = unit.controls["makeup_db"].label.lower()
    told = f"{label} about {abs(shift_db):.1f} dB too {way}, plan says {shown(setting.values['makeup_db'])}"
    return told, Rival(told, ("makeup_db",), setting.setting_id, np.zeros(0), np.zeros(0))


def _rms_db(difference: Features) -> float:
    return float(np.sqrt(np.mean(difference**2)))

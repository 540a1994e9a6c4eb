from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from buscomp.capture.fingerprint import Fingerprint, measure_fingerprint
from buscomp.capture.fingerprint_compressor import POINT
from buscomp.capture.fingerprint_fit import Detents
from buscomp.capture.fingerprint_model import UnitModel, fit_model
from buscomp.capture.fingerprint_signal import fingerprint_signal
from buscomp.capture.references import References
from buscomp.capture.simulator import Knobs, compress
from buscomp.capture.specimen import Specimen
from buscomp.manifests.unit import Setting
from buscomp.tests.capture.fingerprint_visits import GRID, LA_2A, RATE, UNIT, references_of, spanning_settings, visit

SPECIMEN = Specimen.of_seed(7)
CALIBRATION = spanning_settings(UNIT, GRID)
NEW = next(s for s in GRID if s.setting_id not in {c.setting_id for c in CALIBRATION})


@pytest.fixture(scope="module")
def references() -> References:
    return references_of(SPECIMEN, CALIBRATION)


@pytest.fixture(scope="module")
def model(references):
    return fit_model(UNIT, references, RATE)


def detents_of(model: UnitModel) -> Detents:
    assert model.detents
    return model.detents


def test_calibration_touches_every_position_of_the_plan_in_a_dozen_settings():
    positions = {item for setting in GRID for item in setting.values.items()}
    assert {item for setting in CALIBRATION for item in setting.values.items()} == positions
    assert len(CALIBRATION) <= 12
    assert len({setting.setting_id for setting in CALIBRATION}) == len(CALIBRATION)


def test_calibration_of_another_unit_needs_no_model():
    settings = [
        LA_2A.setting({"peak_reduction": peak, "mode": mode}, "grid")
        for peak in (20, 40, 60)
        for mode in ("compress", "limit")
    ]
    chosen = spanning_settings(LA_2A, settings)
    assert len(chosen) == 3
    assert {s.values["mode"] for s in chosen} == {"compress", "limit"}


def test_fit_finds_what_stands_behind_each_detent(model):
    for name, true_of in (
        ("attack_ms", SPECIMEN.attack_ms),
        ("release_s", SPECIMEN.release_s),
        ("ratio", SPECIMEN.ratio),
    ):
        place = POINT.index(name)
        errors = []
        for position in UNIT.controls[name].numbers:
            there = {**NEW.values, name: position}
            errors.append(model.detents.point(there)[place] - math.log(true_of(position)))
        assert np.median(np.abs(errors)) < 0.02, name
        assert np.abs(errors).max() < 0.1, name  # of tolerances of 20, 15 and 10 %


def test_a_setting_never_visited_is_predicted_to_a_tenth_of_a_db(model):
    found = []
    for setting in GRID[5::37]:
        (prediction,) = model.predict([setting.values])
        error_db = visit(SPECIMEN, setting).gains_db - prediction.gains_db
        found.append(np.sqrt(np.mean(error_db**2)))
        assert model.explains(setting.values)
    assert np.median(found) < 0.1
    (prior,) = fit_model(UNIT, References(UNIT.unit_id), RATE).predict([GRID[5].values])
    assert np.sqrt(np.mean((visit(SPECIMEN, GRID[5]).gains_db - prior.gains_db) ** 2)) > 0.2


def test_where_a_setting_was_visited_the_prediction_is_that_visit(model, references):
    seen = references.visits[0]
    (prediction,) = model.predict([seen.values])
    assert prediction.gains_db == pytest.approx(seen.fingerprint.gains_db, abs=0.01)
    assert prediction.novelty == 0
    assert not prediction.variance.any()
    (new,) = model.predict([NEW.values])
    assert new.novelty > 0.05


def test_one_visit_more_leads_to_the_same_predictions_as_a_fit_from_nothing(model, references):
    more = references.with_visit(NEW, visit(SPECIMEN, NEW))
    learnt, fitted = fit_model(UNIT, more, RATE, model), fit_model(UNIT, more, RATE)
    assert learnt.settled_at == len(CALIBRATION)
    assert fitted.settled_at == len(CALIBRATION) + 1
    elsewhere = [setting.values for setting in GRID[11::50]]
    for one, other in zip(learnt.predict(elsewhere), fitted.predict(elsewhere), strict=True):
        assert np.sqrt(np.mean((one.gains_db - other.gains_db) ** 2)) < 0.1


def test_one_wrong_visit_among_the_trusted_moves_the_fit_little(model, references):
    """Somebody accepted a setting with the ratio at 10 instead of 2."""
    wrong = replace(CALIBRATION[0], values={**CALIBRATION[0].values, "ratio": 10})
    poisoned = References(
        references.unit_id,
        (replace(references.visits[0], fingerprint=visit(SPECIMEN, wrong)), *references.visits[1:]),
    )
    spoilt = detents_of(fit_model(UNIT, poisoned, RATE)).offsets
    clean = detents_of(model).offsets
    assert np.abs(spoilt - clean)[: len(UNIT.controls["threshold_db"].positions)].max() < 0.5


def test_without_a_visit_a_detent_is_known_as_well_as_its_tolerance():
    prior = fit_model(UNIT, References(UNIT.unit_id), RATE)
    assert prior.settings == 0
    assert math.isnan(prior.misfit_db)
    places = [POINT[place] for place in detents_of(prior).places(NEW.values)]
    spread = dict(zip(places, np.sqrt(np.diag(detents_of(prior).spread(NEW.values))), strict=True))
    assert spread["threshold_db"] == pytest.approx(1.66, abs=0.01)
    assert spread["attack_ms"] > 1  # a factor of 3: the next detent


def test_a_unit_with_other_controls_has_references_only():
    setting = LA_2A.setting({"peak_reduction": 40, "mode": "compress"}, "grid")
    references = References(LA_2A.unit_id).with_visit(setting, visit(SPECIMEN, GRID[0]))
    model = fit_model(LA_2A, references, RATE)
    assert model.detents is None
    assert not model.explains(setting.values)
    (prediction,) = model.predict([setting.values])
    assert prediction.gains_db == pytest.approx(references.visits[0].fingerprint.gains_db, abs=1e-9)


def test_a_compressor_of_another_kind_is_recognised_and_explained():
    """JUCE's follows the level, and its time constants are 2 pi times shorter than printed."""
    pedalboard = pytest.importorskip("pedalboard")
    sent = fingerprint_signal(RATE)

    def of(setting: Setting) -> Fingerprint:
        knobs = Knobs.of(setting.values)
        assert knobs.release_s is not None
        board = pedalboard.Compressor(knobs.threshold_db, knobs.ratio, knobs.attack_ms, 1000 * knobs.release_s)
        return measure_fingerprint(sent, np.ascontiguousarray(board(sent.T, RATE).T), RATE, noise_dbfs=-95.0)

    usable = [setting for setting in CALIBRATION if setting.values["release_s"] != "auto"][:4]
    references = References(UNIT.unit_id)
    for setting in usable:
        references = references.with_visit(setting, of(setting))
    detents = detents_of(fit_model(UNIT, references, RATE))
    assert detents.follows_level
    assert detents.misfit < 0.05


def test_fits_at_48_khz_too():
    wet, _ = compress(fingerprint_signal(48_000), 48_000, threshold_db=-24, ratio=4, attack_ms=0.3, release_s=0.4)
    setting = UNIT.setting({"threshold_db": -24, "ratio": 4, "attack_ms": 0.3, "release_s": 0.4}, "grid")
    found = measure_fingerprint(fingerprint_signal(48_000), wet, 48_000, noise_dbfs=-95.0)
    model = fit_model(UNIT, References(UNIT.unit_id).with_visit(setting, found), 48_000)
    assert detents_of(model).misfit < 0.05

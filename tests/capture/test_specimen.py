from __future__ import annotations

import numpy as np
import pytest

from buscomp.capture.specimen import DETENTS, IDEAL, Specimen, WarmUp, detents_away


def errors(specimen: Specimen) -> dict[str, np.ndarray]:
    return {
        "threshold_db": np.array([specimen.threshold_db(float(p)) - float(p) for p in DETENTS["threshold_db"]]),
        "ratio": np.array([specimen.ratio(float(p)) / float(p) - 1 for p in DETENTS["ratio"]]),
        "attack_ms": np.array([specimen.attack_ms(float(p)) / float(p) - 1 for p in DETENTS["attack_ms"]]),
        "release_s": np.array([specimen.release_s(float(p)) / float(p) - 1 for p in DETENTS["release_s"][:-1]]),
    }


def test_the_nominal_specimen_does_what_is_printed():
    for specimen in (IDEAL, Specimen.of_seed(None)):
        assert all(not error.any() for error in errors(specimen).values())
    assert (IDEAL.second, IDEAL.coupling_hz) == (0, 0)
    assert (Specimen.of_seed(None).second, Specimen.of_seed(None).coupling_hz) == (5e-4, 5.0)


def test_200_specimens_fill_their_tolerances_and_never_leave_them():
    found = [errors(Specimen.of_seed(seed)) for seed in range(200)]
    for name, tolerance in {"threshold_db": 1.0, "ratio": 0.10, "attack_ms": 0.20, "release_s": 0.15}.items():
        everything = np.concatenate([error[name] for error in found])
        assert 0.95 * tolerance < np.abs(everything).max() <= tolerance
        assert np.std(everything) == pytest.approx(tolerance / np.sqrt(3), rel=0.05)
    gains = np.array([[Specimen.of_seed(seed).channel_gain(n) for n in (0, 1)] for seed in range(200)])
    assert np.abs(20 * np.log10(gains)).max() <= 0.1


def test_the_same_seed_is_the_same_unit_and_another_seed_another_one():
    assert Specimen.of_seed(5) == Specimen.of_seed(5)
    assert Specimen.of_seed(5) != Specimen.of_seed(6)


def test_a_pot_between_two_detents_has_the_error_between_theirs():
    specimen = Specimen.of_seed(5)
    low, high = specimen.threshold_errors_db[3:5]
    assert specimen.threshold_db(-27) == pytest.approx(-27 + 0.75 * low + 0.25 * high)
    assert specimen.threshold_db(-50) == pytest.approx(-50 + specimen.threshold_errors_db[0])
    middle = np.sqrt(0.3 * 1.0)
    assert specimen.attack_ms(middle) == pytest.approx(middle * np.mean(specimen.attack_factors[1:3]))


@pytest.mark.parametrize(
    ("control", "position", "detents", "expected"),
    [
        ("release_s", 0.4, 1, 0.8),
        ("release_s", 1.6, 1, "auto"),
        ("release_s", "auto", 1, 1.6),
        ("ratio", 10, -2, 4),
        ("ratio", 1.5, -1, 2),
        ("attack_ms", 0.1, 1, 0.3),
        ("threshold_db", -28, -1, -32),
        ("threshold_db", -27, 2, -19),
        ("threshold_db", -3, 1, -7),
        ("sidechain_hpf_hz", "off", 1, 30),
        ("engaged", True, 1, False),
    ],
)
def test_so_many_detents_away_is_always_another_position(control, position, detents, expected):
    assert detents_away(control, position, detents) == expected


def test_15_degrees_below_warm_take_5_percent_off_the_gain_reduction():
    warm_up = WarmUp(rise_degc=15, time_constant_s=1200)
    assert warm_up.reduction_factor(0) == pytest.approx(1 - 0.0033 * 15)
    assert warm_up.reduction_factor(1200) == pytest.approx(1 - 0.0033 * 15 / np.e)
    assert warm_up.reduction_factor(1e6) == 1

"""`capture.grid`: the shipped grids, the rules, the draw, and one line for each mistake."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.grid import Grid, load_grid
from buscomp.capture.plan import make_plan
from buscomp.capture.profiles import find_profile
from buscomp.manifests.errors import UsageError
from buscomp.manifests.unit import Setting, load_unit

NOWHERE = Path("/nonexistent")
SSL = load_unit(find_profile("ssl-500-bus", NOWHERE, "unit"))
LA2A = load_unit(find_profile("la-2a", NOWHERE, "unit"))
FIRST_DRAWN = ["thr-36_att3_rel1p6_rat10", "thr-36_att10_rel0p4_rat1p5", "thr-16_att10_rel0p8_rat3"]
DRAWN_SHA256 = "5a2a592012e93866d32e1e36ebf5b7ad1cdf4ae094b12675ab862484bd72b0ec"
VARIED = ("threshold_db", "attack_ms", "release_s", "ratio")


def shipped(name: str) -> list[Setting]:
    return load_grid(find_profile(name, NOWHERE, "grid")).settings(SSL)


def of(found: list[Setting], origin: str) -> list[Setting]:
    return [setting for setting in found if setting.origin == origin]


GRID, GRID_192, DEMO = shipped("grid"), shipped("grid-192"), shipped("grid-demo")


def test_the_shipped_grid_has_144_and_76_settings_and_none_twice() -> None:
    assert Counter(setting.origin for setting in GRID) == {"grid": 144, "random": 76}
    assert len({setting.setting_id for setting in GRID}) == 220


def test_the_144_hold_every_level_of_threshold_attack_and_release_36_times_and_every_pair_9_times() -> None:
    grid = of(GRID, "grid")
    for name in ("threshold_db", "attack_ms", "release_s"):
        assert sorted(Counter(setting.values[name] for setting in grid).values()) == [36] * 4
    for one, other in itertools.combinations(("threshold_db", "attack_ms", "release_s"), 2):
        pairs = Counter((setting.values[one], setting.values[other]) for setting in grid)
        assert sorted(pairs.values()) == [9] * 16
    assert Counter(setting.values["ratio"] for setting in grid) == {2: 48, 4: 48, 10: 48}
    for other in ("threshold_db", "attack_ms", "release_s"):
        assert sorted(Counter((s.values["ratio"], s.values[other]) for s in grid).values()) == [12] * 12


def test_the_144_are_those_of_the_192_whose_level_indices_do_not_add_up_to_3_modulo_4() -> None:
    levels: list[list[Any]] = [[-28, -24, -20, -16], [0.1, 0.3, 1, 3], [0.1, 0.4, 0.8, "auto"], [2, 4, 10]]
    expected = {
        (levels[0][t], levels[1][a], levels[2][r], ratio)
        for t, a, r in itertools.product(range(4), repeat=3)
        for ratio in levels[3]
        if (t + a + r) % 4 != 3
    }
    assert {tuple(setting.values[name] for name in VARIED) for setting in of(GRID, "grid")} == expected
    assert {setting.setting_id for setting in of(GRID, "grid")} < {s.setting_id for s in of(GRID_192, "grid")}
    assert len(of(GRID_192, "grid")) == 192


def test_the_76_are_none_of_the_192_and_reach_over_all_printed_positions() -> None:
    full = {setting.setting_id for setting in of(GRID_192, "grid")}
    drawn = of(GRID, "random")
    assert not full & {setting.setting_id for setting in drawn}
    assert [s.setting_id for s in drawn] == [s.setting_id for s in of(GRID_192, "random")]
    for name in VARIED:
        assert {setting.values[name] for setting in drawn} == set(SSL.controls[name].positions)


def test_the_draw_of_the_76_is_what_it_was_when_it_was_published() -> None:
    ids = [setting.setting_id for setting in of(GRID, "random")]
    assert ids[:3] == FIRST_DRAWN
    assert hashlib.sha256(" ".join(ids).encode()).hexdigest() == DRAWN_SHA256


def test_the_draw_is_by_rank_of_sha256_of_seed_and_setting() -> None:
    def rank(setting_id: str) -> str:
        return hashlib.sha256(f"500:{setting_id}".encode()).hexdigest()

    drawn = [setting.setting_id for setting in of(GRID, "random")]
    assert drawn == sorted(drawn, key=rank)
    names, held = list(VARIED), dict(SSL.held)
    full = {setting.setting_id for setting in of(GRID_192, "grid")}
    everything = {
        SSL.setting_id(dict(zip(names, chosen, strict=True)) | held)
        for chosen in itertools.product(*(SSL.controls[name].positions for name in names))
    }
    assert len(everything) == 2376
    assert sorted(everything - full, key=rank)[:76] == drawn


def test_the_demo_has_two_settings_per_threshold_and_no_two_factors_that_always_go_together() -> None:
    grid, unseen = of(DEMO, "grid"), of(DEMO, "random")
    assert (len(grid), len(unseen)) == (6, 3)
    assert Counter(setting.values["threshold_db"] for setting in grid) == {-28: 2, -20: 2, -16: 2}
    for name in ("attack_ms", "release_s", "ratio"):
        assert sorted(Counter(setting.values[name] for setting in grid).values()) == [3, 3]
        assert set(Counter((s.values["threshold_db"], s.values[name]) for s in grid).values()) == {1}
    for one, other in itertools.combinations(("attack_ms", "release_s", "ratio"), 2):
        assert len({(setting.values[one], setting.values[other]) for setting in grid}) == 4


def test_the_unseen_settings_of_the_demo_lie_inside_the_span_two_knobs_away_from_the_seen() -> None:
    grid, unseen = of(DEMO, "grid"), of(DEMO, "random")
    for setting in unseen:
        assert min(sum(setting.values[n] != seen.values[n] for n in VARIED) for seen in grid) >= 2
        for name in VARIED:
            places = [SSL.controls[name].index(seen.values[name]) for seen in grid]
            assert min(places) <= SSL.controls[name].index(setting.values[name]) <= max(places)


def grid_of(**fields: Any) -> Grid:
    return Grid.model_validate({"unit": "la-2a", "factors": {"peak_reduction": [20, 40], "mode": ["limit"]}} | fields)


def test_a_grid_of_another_unit_takes_its_words_and_its_held_gain() -> None:
    found = grid_of(expect=2).settings(LA2A)
    assert [setting.setting_id for setting in found] == ["pea20_modlimit", "pea40_modlimit"]
    assert found[0].values == {"peak_reduction": 20, "mode": "limit", "gain": 40}


def test_a_factor_overrides_a_held_control() -> None:
    factors = {"peak_reduction": [20], "mode": ["limit"], "gain": [30, 40]}
    found = grid_of(factors=factors, expect=2).settings(LA2A)
    assert [setting.values["gain"] for setting in found] == [30, 40]


def test_a_match_rule_drops_one_value_or_several() -> None:
    factors = {"peak_reduction": [20, 40, 60], "mode": ["compress", "limit"]}
    rules = [{"match": {"peak_reduction": [20, 60], "mode": "limit"}}, {"match": {"peak_reduction": 40}}]
    found = grid_of(factors=factors, exclude=rules, expect=2).settings(LA2A)
    assert [setting.setting_id for setting in found] == ["pea20_modcompress", "pea60_modcompress"]


def test_listed_random_settings_may_leave_held_controls_out() -> None:
    random = {"settings": [{"peak_reduction": 30, "mode": "compress"}, {"peak_reduction": 35, "mode": "limit"}]}
    found = grid_of(expect=2, random=random | {"expect": 2}).settings(LA2A)
    assert [(s.setting_id, s.origin) for s in found[2:]] == [
        ("pea30_modcompress", "random"),
        ("pea35_modlimit", "random"),
    ]


def test_every_candidate_can_be_drawn_and_one_more_is_refused() -> None:
    found = grid_of(expect=2, random={"count": 40, "seed": 1}).settings(LA2A)
    assert len({setting.setting_id for setting in found}) == 42
    with pytest.raises(UsageError, match=r"got 41 \(allowed: up to 40\)"):
        grid_of(expect=2, random={"count": 41, "seed": 1}).settings(LA2A)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(), small=st.integers(1, 39))
def test_a_smaller_draw_is_the_head_of_a_larger_one(seed: int, small: int) -> None:
    few = grid_of(expect=2, random={"count": small, "seed": seed}).settings(LA2A)
    many = grid_of(expect=2, random={"count": 40, "seed": seed}).settings(LA2A)
    assert few == many[: len(few)]


def test_the_unit_is_the_datasets_own_then_a_file_beside_the_grid_then_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "grids" / "mine.yaml"
    path.parent.mkdir()
    path.write_text("unit: units/mine.yaml\nfactors: {mode: [limit]}\nexpect: 1\n")
    grid = load_grid(path)
    with pytest.raises(UsageError, match=r"no such unit profile, got units/mine.yaml \(allowed: ssl-500-bus, la-2a\)"):
        grid.unit_path(tmp_path)
    beside = tmp_path / "grids" / "units" / "mine.yaml"
    beside.parent.mkdir()
    beside.touch()
    assert grid.unit_path(tmp_path) == beside
    (tmp_path / "unit.yaml").touch()
    assert grid.unit_path(tmp_path) == tmp_path / "unit.yaml"
    assert grid_of(expect=2).unit_path(NOWHERE).name == "la-2a.yaml"


PRINTED = """unit: ssl-500-bus
factors:
  threshold_db: [-28, -24, -20, -16]
  attack_ms: [0.1, 0.3, 1, 3]
  release_s: [0.1, 0.4, 0.8, auto]
  ratio: [2, 4, 10]
expect: 144
"""


def message(tmp_path: Path, text: str) -> str:
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        make_plan([], load_grid(path), SSL)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_printed_factors_without_a_rule_are_192_and_the_message_says_so(tmp_path: Path) -> None:
    told = message(tmp_path, PRINTED)
    assert told.startswith("grid.yaml:7: ")
    assert "got 192 (allowed: 144)" in told
    assert "192, not 144" in told
    assert "exclude" in told


MISTAKES = {
    "a ratio the unit lacks": (
        ("ratio: [2, 4, 10]", "ratio: [2, 7, 10]"),
        "grid.yaml:6: ratio must be a position of the unit, got 7 (allowed: 1.5, 2, 3, 4, 5, 10)",
    ),
    "a control the unit lacks": (("ratio:", "knee_db:"), "grid.yaml:6: no such control, got knee_db (allowed: thres"),
    "a position twice": (("[2, 4, 10]", "[2, 4, 4.0]"), "grid.yaml:6: ratio has a position twice, got 2, 4, 4"),
    "no position": (("[2, 4, 10]", "[]"), "grid.yaml:6: ratio has no position"),
    "a control left out": (("  ratio: [2, 4, 10]\n", ""), "grid.yaml:3: ratio is neither a factor nor held"),
    "a wrong count": (("expect: 144", "expect: 143"), "grid.yaml:7: the grid has another number of settings than"),
    "no count": (("expect: 144", ""), "grid.yaml:1: expect: Field required"),
    "a rule for no factor": (
        ("expect: 144", "expect: 144\nexclude:\n- {index_sum: [makeup_db], modulo: 4, equals: 3}"),
        "grid.yaml:9: no such factor, got makeup_db (allowed: threshold_db, attack_ms, release_s, ratio)",
    ),
    "a rule for no level": (
        ("expect: 144", "expect: 144\nexclude:\n- match:\n    ratio: 5"),
        "grid.yaml:10: ratio is not at this position in the grid, got 5 (allowed: 2, 4, 10)",
    ),
    "an empty list": (
        ("expect: 144", "expect: 192\nrandom:\n  settings: []"),
        "grid.yaml:9: random.settings: Tuple should have at least 1 item",
    ),
    "half a rule": (
        ("expect: 144", "expect: 144\nexclude:\n- {index_sum: [ratio], modulo: 4}"),
        "grid.yaml:9: exclude.0: a rule is either match, or index_sum with modulo and equals",
    ),
    "two rules in one": (
        ("expect: 144", "expect: 144\nexclude:\n- {match: {ratio: 2}, index_sum: [ratio], modulo: 4, equals: 1}"),
        "grid.yaml:9: exclude.0: a rule is either match, or index_sum with modulo and equals",
    ),
    "a remainder that never is": (
        ("expect: 144", "expect: 144\nexclude:\n- {index_sum: [ratio], modulo: 4, equals: 4}"),
        "grid.yaml:9: exclude.0: equals must be below modulo 4, got 4",
    ),
    "too few random settings": (
        ("expect: 144", "expect: 192\nrandom:\n  count: 75\n  seed: 500\n  expect: 76"),
        "grid.yaml:11: there is another number of random settings than promised, got 75 (allowed: 76)",
    ),
    "a draw without a seed": (
        ("expect: 144", "expect: 192\nrandom: {count: 76}"),
        "grid.yaml:8: random: random is either count with seed, or settings with a list",
    ),
    "a random setting of the grid": (
        (
            "expect: 144",
            "expect: 192\nrandom:\n  settings:\n  - {threshold_db: -28, attack_ms: 1, release_s: auto, ratio: 4}",
        ),
        "grid.yaml:10: this setting stands twice, or is in the grid, got thr-28_att1_relauto_rat4",
    ),
    "a random setting without a ratio": (
        ("expect: 144", "expect: 192\nrandom:\n  settings:\n  - {threshold_db: -28, attack_ms: 1, release_s: auto}"),
        "grid.yaml:10: no position given for ratio (allowed: 1.5, 2, 3, 4, 5, 10)",
    ),
    "a random setting between two dots": (
        ("expect: 144", "expect: 192\nrandom:\n  settings:\n  - {threshold_db: -27}"),
        "grid.yaml:10: threshold_db must be a position of the unit, got -27 (allowed: -40, ",
    ),
}


MISTAKES |= {
    "an order that nobody knows": (
        ("expect: 144", "expect: 192\norder: grey"),
        "grid.yaml:8: order: Input should be 'gray', 'tsp', 'joint' or 'blocked-random', got 'grey'",
    ),
    "a seed for an order without one": (
        ("expect: 144", "expect: 192\norder: tsp\norder_seed: 4"),
        "grid.yaml:1: order_seed is for order: blocked-random",
    ),
    "half a design": (
        ("expect: 144", "expect: 192\ndesign: {kind: balanced-incomplete}"),
        "grid.yaml:8: design: a balanced-incomplete design needs either songs_per_setting or hours",
    ),
    "a policy that nobody knows": (
        ("expect: 144", "expect: 192\nsettling: none"),
        "grid.yaml:8: settling: Input should be 'silence' or 'contiguous', got 'none'",
    ),
    "an anchor between two dots": (
        (
            "expect: 144",
            "expect: 192\nanchor:\n  every: 5\n  setting:\n    threshold_db: -27\n    attack_ms: 1",
        ),
        "grid.yaml:11: threshold_db must be a position of the unit, got -27 (allowed: -40, ",
    ),
    "an anchor without a ratio": (
        ("expect: 144", "expect: 192\nanchor:\n  setting: {threshold_db: -28, attack_ms: 1, release_s: auto}"),
        "grid.yaml:9: no position given for ratio (allowed: 1.5, 2, 3, 4, 5, 10)",
    ),
    "an anchor that never comes": (
        ("expect: 144", "expect: 192\nanchor: {every: 0}"),
        "grid.yaml:8: anchor.every: Input should be greater than or equal to 1, got 0",
    ),
    "a control to calibrate that the unit lacks": (
        ("expect: 144", "expect: 192\ncalibrate:\n- attack_ms\n- knee_db"),
        "grid.yaml:10: no such control, got knee_db (allowed: threshold_db, ",
    ),
    "fingerprints that are switched off and asked for": (
        ("expect: 144", "expect: 192\nfingerprint: false\ncalibrate: [attack_ms]"),
        "grid.yaml:1: calibrate, anchor and warm_up are fingerprints: they need fingerprint: true",
    ),
    "no time to warm up": (
        ("expect: 144", "expect: 192\nwarm_up: {minutes_most: 0}"),
        "grid.yaml:8: warm_up.minutes_most: Input should be greater than 0, got 0",
    ),
    "an operator who comes at no time of day": (
        ("expect: 144", "expect: 192\nshifts:\n  start: 2026-12-01\n  operator:\n  - {visits: [soon]}"),
        "grid.yaml:11: shifts.operator.0.visits.0: a time of day is written as 09:00, got 'soon'",
    ),
    "a month that is none": (
        ("expect: 144", "expect: 192\nshifts: {start: 2026-13-01, operator: [{visits: [9:00]}]}"),
        "grid.yaml:8: not valid YAML: month must be in 1..12",
    ),
}


def test_hours_below_one_song_a_setting_are_one_line_with_file_and_line_number(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(PRINTED.replace("expect: 144", "expect: 192\ndesign:\n  kind: balanced-incomplete\n  hours: 3"))
    grid = load_grid(path)
    song = {"song_id": "a", "frames": 3600 * 100, "sample_rate": 100}
    with pytest.raises(UsageError) as raised:
        grid.songs_by_setting([song], grid.settings(SSL))
    assert str(raised.value) == (
        "grid.yaml:10: 3 hours are less than one song at each setting, which takes 192; raise design: hours:"
    )


def test_blocks_are_anchored_unless_the_file_says_that_they_are_not() -> None:
    anchor = grid_of(expect=2, order="blocked-random").anchor
    assert anchor is not None
    assert (anchor.every, anchor.setting) == (12, None)
    assert grid_of(expect=2, order="blocked-random", anchor=None).anchor is None
    assert grid_of(expect=2).anchor is None


def test_what_a_grid_does_not_say_is_a_full_design_in_gray_order_with_silence_and_checked_knobs() -> None:
    grid = grid_of(expect=2)
    assert (grid.order, grid.design.kind, grid.settling, grid.fingerprint) == ("gray", "full", "silence", True)
    assert (grid.calibrate, grid.anchor, grid.warm_up, grid.shifts) == ((), None, None, None)


def test_the_large_shipped_grids_warm_up_and_calibrate_attack_and_the_demo_does_neither() -> None:
    for name in ("grid", "grid-192"):
        grid = load_grid(find_profile(name, NOWHERE, "grid"))
        assert grid.calibrate == ("attack_ms",)
        assert grid.warm_up is not None
        assert (grid.warm_up.minutes_most, grid.warm_up.drift_db_per_10_min) == (60, 0.02)
    demo = load_grid(find_profile("grid-demo", NOWHERE, "grid"))
    assert (demo.calibrate, demo.warm_up) == ((), None)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_line_with_file_and_line_number(tmp_path: Path, mistake: str) -> None:
    (old, new), told = MISTAKES[mistake]
    assert message(tmp_path, PRINTED.replace(old, new)).startswith(told)

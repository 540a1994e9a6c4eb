"""`manifests.unit`: positions, ids and columns of a compressor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.manifests.errors import UsageError
from buscomp.manifests.ids import ID_PATTERN
from buscomp.manifests.schema import setting_columns
from buscomp.manifests.tables import read_rows, read_table, write_table
from buscomp.manifests.unit import Control, Unit, auto_column, load_unit, shown
from buscomp.tests.small_dataset import UNIT_PATH

SSL = load_unit(UNIT_PATH)
SETTINGS = st.fixed_dictionaries({name: st.sampled_from(c.positions) for name, c in SSL.controls.items()})
VARIED = {"threshold_db": -28, "attack_ms": 0.1, "release_s": "auto", "ratio": 4}


def control(**changes: Any) -> Control:
    fields = {"label": "X", "kind": "switch", "positions": (1, 2), "short": "x", "meaning": "x"}
    return Control.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("positions", "value", "position"),
    [
        ((1, 2, 4), 4.0, 4.0),
        ((0.1, "auto"), "auto", "auto"),
        (("off", 30, 60), False, "off"),  # YAML reads a bare off as false
        ((False, True), True, True),
        (("comp", "limit"), "limit", "limit"),
    ],
)
def test_a_value_means_its_position(positions: tuple[Any, ...], value: object, position: object) -> None:
    found = control(positions=positions).position(value)
    assert found == position
    assert type(found) is type(position)


@pytest.mark.parametrize(
    ("positions", "value"),
    [((1, 2), True), ((0, 1), False), ((1, 2), "1"), ((False, True), 1), ((1, 2), None), ((1, 2), 3)],
)
def test_a_value_that_is_no_position_is_refused_with_the_allowed_ones(
    positions: tuple[Any, ...], value: object
) -> None:
    with pytest.raises(UsageError, match=r"ratio must be a position of the unit.*\(allowed: "):
        control(positions=positions).position(value, "ratio")


def test_neighbouring_positions_are_one_detent_apart() -> None:
    release = SSL.controls["release_s"]
    assert release.index("auto") - release.index(1.6) == 1
    assert [shown(p) for p in release.positions] == ["0.1", "0.2", "0.4", "0.8", "1.6", "auto"]


@pytest.mark.parametrize(
    ("positions", "kind"), [((1, 2), "float"), ((1, "auto"), "float"), ((True, False), "bool"), (("a", "b"), "text")]
)
def test_the_column_type_follows_from_the_positions(positions: tuple[Any, ...], kind: str) -> None:
    assert control(positions=positions).column_type == kind


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": (1,)}, "at least 2"),
        ({"positions": (4, 4.0)}, "differ"),
        ({"held": 3}, "held must be one of"),
        ({"short": "X1"}, "short"),
        ({"scale": "log", "positions": (0, 1)}, "log scale"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_control_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        control(**changes)


def test_held_controls_may_be_left_out_and_the_rest_may_not() -> None:
    setting = SSL.setting(VARIED, "grid")
    assert (setting.setting_id, setting.origin) == ("thr-28_att0p1_relauto_rat4", "grid")
    assert setting.values["makeup_db"] == 0
    assert setting.values["engaged"] is True
    with pytest.raises(UsageError, match="no position given for ratio"):
        SSL.setting({k: v for k, v in VARIED.items() if k != "ratio"}, "grid")
    with pytest.raises(UsageError, match="no such control, got knee_db"):
        SSL.setting({**VARIED, "knee_db": 3}, "grid")
    with pytest.raises(
        UsageError, match=r"ratio must be a position of the unit, got 7 \(allowed: 1.5, 2, 3, 4, 5, 10\)"
    ):
        SSL.setting({**VARIED, "ratio": 7}, "grid")


@given(SETTINGS)
def test_row_and_values_are_inverse(values: dict[str, Any]) -> None:
    row = SSL.to_row(values)
    assert SSL.from_row(row) == values
    assert {n: type(v) for n, v in SSL.from_row(row).items()} == {n: type(v) for n, v in values.items()}


@given(SETTINGS, SETTINGS)
def test_setting_ids_are_valid_stable_and_differ_with_the_setting(one: dict[str, Any], two: dict[str, Any]) -> None:
    first, second = SSL.setting_id(one), SSL.setting_id(two)
    assert ID_PATTERN.fullmatch(first)
    assert first == SSL.setting_id(dict(reversed(one.items())))
    assert (first == second) == (one == two)


def test_values_survive_parquet_and_pandas(tmp_path: Path) -> None:
    chosen = [
        SSL.setting({**VARIED, "release_s": r, "sidechain_hpf_hz": h}, "grid")
        for r in ("auto", 0.4)
        for h in ("off", 60)
    ]
    rows = [{"setting_id": s.setting_id, "origin": s.origin, **SSL.to_row(s.values)} for s in chosen]
    path = tmp_path / "settings.parquet"
    write_table(path, "settings", rows, setting_columns(SSL))
    for setting, row in zip(chosen, read_rows(path, "settings"), strict=True):
        assert SSL.from_row(row) == setting.values
    table: pd.DataFrame = read_table(path, "settings")
    for setting, record in zip(chosen, table.to_dict("records"), strict=True):
        assert SSL.from_row(record) == setting.values


def test_auto_has_a_column_named_after_its_control() -> None:
    assert auto_column("release_s") == "release_auto"


def test_two_controls_may_not_share_a_short_name() -> None:
    fields = SSL.model_dump()
    fields["controls"]["ratio"]["short"] = "att"
    with pytest.raises(ValueError, match="same short"):
        Unit.model_validate(fields)


def test_unit_id_is_made_of_make_model_and_serial() -> None:
    assert SSL.unit_id == "ssl-500-series-bus-compressor-unknown"

"""The drawing of a unit's front panel: every control of any profile, where it stands, where it goes, what is proven."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from buscomp.capture.front_panel import CELL_WIDTH, WORDS, angle_deg, front_panel
from buscomp.manifests.unit import Setting, Unit, load_unit
from buscomp.tests.small_dataset import UNIT_PATH

SSL = load_unit(UNIT_PATH)
LA2A = load_unit(UNIT_PATH.with_name("la-2a.yaml"))
SVG = "{http://www.w3.org/2000/svg}"


def setting(**changes: Any) -> Setting:
    return SSL.setting({"threshold_db": -28, "attack_ms": 0.1, "release_s": "auto", "ratio": 4} | changes, "grid")


def cells(drawn: str) -> dict[str, ElementTree.Element]:
    root = ElementTree.fromstring(drawn)
    return {str(group.get("data-control")): group[0] for group in root.iter(f"{SVG}g") if group.get("data-control")}


def words(cell: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in cell.iter(f"{SVG}text")]


def title(cell: ElementTree.Element) -> str:
    return str(cell.findtext(f"{SVG}title"))


def test_a_knob_points_from_seven_to_five_o_clock_in_equal_steps():
    ratio = SSL.controls["ratio"]
    angles = [angle_deg(ratio, position) for position in ratio.positions]
    assert angles == pytest.approx([-135, -81, -27, 27, 81, 135])


def test_what_has_to_move_is_lit_with_its_way_and_the_others_say_whether_they_are_proven():
    target = setting(ratio=10)
    drawn = cells(
        front_panel(SSL, target.values, {**target.values, "ratio": 4}, {"ratio": "move", "attack_ms": "proven"})
    )
    assert set(drawn) == set(SSL.controls)
    assert drawn["ratio"].get("class") == "control move"
    assert title(drawn["ratio"]) == "RATIO: 10, stands at 4 (turn)"
    assert len([path for path in drawn["ratio"].iter(f"{SVG}path") if path.get("class") == "way"]) == 1
    assert "(proven)" in title(drawn["attack_ms"])
    assert "(not proven)" in title(drawn["threshold_db"])
    assert not [path for path in drawn["threshold_db"].iter(f"{SVG}path") if path.get("class") == "way"]


def test_the_scale_has_the_numbers_that_are_printed_on_the_panel():
    told = words(cells(front_panel(SSL, setting().values, setting().values, {}))["threshold_db"])
    assert {"-20", "20", "-8", "-8 dB"} <= set(told)  # -28 in the dataset: the panel reads 20 dB more
    assert "-40" not in told


def test_each_mark_has_a_shape_of_its_own():
    shapes = set()
    for mark in WORDS:
        (badge,) = re.findall(
            r'<g class="badge".*?</g>', front_panel(SSL, setting().values, setting().values, {"ratio": mark})
        )[3:4]
        shapes.add(re.sub(r'class="\w+"', "", badge))
    assert len(shapes) == 4


def test_a_pointer_that_nobody_knows_is_drawn_as_unknown():
    drawn = cells(front_panel(SSL, setting().values, {}, {}))
    assert all("unknown" in ElementTree.tostring(cell, "unicode") for cell in drawn.values())


@pytest.mark.parametrize("columns", [1, 2, 4, 9])
def test_the_other_shipped_unit_is_drawn_in_any_number_of_columns(columns: int):
    values = LA2A.setting({"peak_reduction": 55, "mode": "limit"}, "grid").values
    drawn = front_panel(LA2A, values, values, {"mode": "move"}, columns)
    root = ElementTree.fromstring(drawn)
    assert str(root.get("viewBox")).split()[2] == str(min(columns, 3) * CELL_WIDTH + 28)
    numbers = [text for text in words(cells(drawn)["peak_reduction"]) if text.isdigit()]
    assert {"0", "55", "100"} <= set(numbers)
    assert len(numbers) <= 13  # of 21 positions: what has room round a knob
    assert {"LIMIT", "COMPRESS"} <= set(words(cells(drawn)["mode"]))


def test_a_scale_of_a_hundred_positions_and_a_hostile_label_are_drawn_too(tmp_path: Path):
    unit = Unit.model_validate(
        {
            "make": "</text><script>alert(1)</script>",
            "model": '"&',
            "controls": {
                "drive": {"label": '<script>"x"</script>', "kind": "pot", "short": "d", "meaning": "drive",
                          "positions": list(range(101))},
            },
        }
    )  # fmt: skip
    drawn = front_panel(unit, {"drive": 37.0}, {"drive": 3.0}, {"drive": "suspect"})
    assert "<script" not in drawn
    (cell,) = cells(drawn).values()
    assert '<script>"x"</script>' in words(cell)
    assert len(words(cell)) <= 16

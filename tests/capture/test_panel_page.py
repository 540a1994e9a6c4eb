"""The files of the operator's page: contrast in both schemes, nothing from elsewhere, nothing inline."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buscomp import capture

HERE = Path(capture.__file__).parent
CSS, HTML, SCRIPT = ((HERE / f"panel.{kind}").read_text() for kind in ("css", "html", "js"))
GROUNDS = ("paper", "card", "plate")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def schemes() -> list[dict[str, str]]:
    found = [dict(re.findall(r"--([\w-]+): (#\w{6})", scheme)) for scheme in re.findall(r":root \{([^}]*)\}", CSS)]
    assert len(found) == 2
    assert found[0].keys() == found[1].keys()
    return found


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_text_has_contrast_aa_and_lines_and_marks_three_to_one(scheme: dict[str, str]):
    for ground in GROUNDS:
        for ink in ("ink", "soft", "alarm", "move", "proven"):
            assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)
        for mark in ("line", "accent", "meter", "expected"):
            assert contrast(scheme[mark], scheme[ground]) >= 3, (mark, ground)
    for ink, ground in (("on-accent", "accent"), ("on-alarm", "alarm"), ("on-move", "move"), ("card", "proven")):
        assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)


def test_every_colour_is_one_of_those_that_were_measured():
    rest = re.sub(r":root \{[^}]*\}", "", CSS)
    assert re.findall(r"#[0-9a-f]{3,8}\b(?![^{]*\{)", rest) == []
    assert set(re.findall(r"var\(--([\w-]+)\)", rest)) <= schemes()[0].keys()
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS))
    assert schemes()[0].keys() - used <= {"on-move"}


def test_nothing_comes_from_another_place_and_nothing_is_inline():
    for text in (CSS, HTML, SCRIPT):
        assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text.replace("http://www.w3.org/2000/svg", "")) == []
    assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", HTML) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", SCRIPT) == []
    assert re.findall(r"@import|url\(", CSS) == []


def test_letters_for_three_metres_are_eight_percent_of_the_window_or_more():
    sizes = dict(re.findall(r"#moves(\.few)? \.to \{ font-size: min\((\d+)vh,", CSS))
    assert {name: int(size) >= 8 for name, size in sizes.items()} == {"": True, ".few": True}

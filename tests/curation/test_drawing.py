"""Figures are files that can be printed, in colours that everybody can tell apart."""

from __future__ import annotations

import re
import zlib
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from buscomp.curation.drawing import COLOURS, SHADES, WIDE_IN, Figure, name_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

# What the three kinds of colour blindness make of linear RGB (Machado, Oliveira and Fernandes, 2009, severity 1).
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
Values = npt.NDArray[np.float64]


def lab(colour: str, sight: Values) -> Values:
    """CIE Lab (D65) of `#rrggbb` as an eye with `sight` sees it."""
    rgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(sight @ linear, 0, 1) / to_xyz.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_colours_look_alike_to_any_eye(sight: str) -> None:
    seen = {colour: lab(colour, SIGHT[sight]) for colour in COLOURS}
    closest = min(float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(COLOURS, 2))
    assert closest > 12


@pytest.mark.parametrize("sight", SIGHT)
def test_more_is_darker_in_grey_and_to_any_eye(sight: str) -> None:
    lightness = [float(lab(colour, SIGHT[sight])[0]) for colour in SHADES]
    assert (np.diff(lightness) < -8).all()


def figure(title: str = "Two points") -> Figure:
    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], "o-")
        axes.set_xlabel("time (s)")

    return Figure("points", title, "Two points.", "Two points on a line.", (WIDE_IN, 2.0), draw, pd.DataFrame())


def test_the_png_has_300_dpi_and_ink_on_white(tmp_path: Path) -> None:
    from matplotlib.image import imread

    png, _ = figure().write(tmp_path)
    pixels = imread(png)[:, :, :3]
    assert pixels.shape == (600, 2160, 3)
    ink = float((pixels.min(axis=2) < 0.9).mean())
    assert 0.002 < ink < 0.5
    assert (pixels[0] == 1).all()


def test_the_pdf_is_a_page_of_the_size_of_the_figure_whose_letters_are_letters(tmp_path: Path) -> None:
    _, pdf = figure().write(tmp_path)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", content)
    assert box is not None
    assert [float(side) for side in box.groups()] == pytest.approx([72 * WIDE_IN, 72 * 2.0])
    assert b"/FontFile2" in content  # TrueType, inside
    assert b"/Type3" not in content
    streams = [
        zlib.decompress(found) for found in re.findall(rb"FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", content, re.S)
    ]
    assert any(b" l\n" in stream for stream in streams)


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    once = [path.read_bytes() for path in figure().write(tmp_path / "a")]
    again = [path.read_bytes() for path in figure().write(tmp_path / "b")]
    assert once == again
    assert figure().svg == figure().svg


def test_a_title_cannot_break_out_of_the_svg() -> None:
    svg = figure('</title><script>alert("x")</script>').svg
    assert "<script" not in svg
    assert svg.startswith("<svg")


@pytest.mark.parametrize(("count", "named"), [(6, 6), (11, 6), (60, 9)])
def test_positions_are_named_as_long_as_they_do_not_touch(count: int, named: int) -> None:
    from matplotlib.figure import Figure as Canvas

    axes = Canvas().subplots()
    name_ticks(axes, [f"-{place + 10}" for place in range(count)])
    assert len(axes.get_xticks()) == named

"""A browser without a network shows the page: every figure drawn, nothing cut off in a narrow window, A4 on paper."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from buscomp.curation.report import report
from buscomp.curation.split import split
from buscomp.tests.curation.whole_capture import write_whole_capture

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium: apt-get install chromium"),
]
# A page around the page looks at it, for the page itself lets no script run.
FRAME = """<!doctype html><body style="margin:0"><iframe src="report.html" style="width:%dpx;height:900px"></iframe>
<style>iframe { border: 0; }</style>
<pre id="told"></pre><script>
onload = () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  document.getElementById("told").textContent = JSON.stringify({
    width: root.clientWidth, scroll: root.scrollWidth, height: root.scrollHeight,
    drawn: [...page.images].map(image => image.complete && image.naturalWidth > 0 && image.clientWidth > 100),
    described: [...page.images].filter(image => image.alt.length > 40).length,
    lost: [...page.querySelectorAll("nav a")].filter(a => !page.querySelector(a.getAttribute("href"))).length,
  });
}
</script>"""


def browse(folder: Path, *arguments: str) -> str:
    """What a headless browser with no way to any host answers."""
    assert BROWSER is not None
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has no sandbox
    common = ["--headless", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage"]
    profile = f"--user-data-dir={folder / 'profile'}"
    told = subprocess.run(
        [BROWSER, *alone, *common, profile, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return told.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page of a small capture in it."""
    dataset = write_whole_capture(tmp_path_factory.mktemp("browser") / "dataset", songs=30, settings=24, sessions=4)
    split(dataset)
    report(dataset)
    return dataset.root


@pytest.mark.parametrize("width", [320, 600, 1200])
def test_nothing_reaches_over_the_side_and_every_figure_is_drawn_in_a_window_of(folder: Path, width: int) -> None:
    (folder / "frame.html").write_text(FRAME % width)
    told = browse(
        folder,
        "--allow-file-access-from-files",
        "--virtual-time-budget=8000",
        "--dump-dom",
        f"file://{folder}/frame.html",
    )
    found = re.search(r'<pre id="told">(\{.*?\})</pre>', told)
    assert found is not None, told[-2000:]
    page = json.loads(found[1])
    assert page["scroll"] <= page["width"] <= width
    assert len(page["drawn"]) == page["described"] == 15
    assert all(page["drawn"])
    assert page["lost"] == 0


def test_the_screen_shows_ink_of_the_figures_on_white(folder: Path) -> None:
    from matplotlib.image import imread

    picture = folder / "screen.png"
    browse(
        folder,
        "--window-size=1000,3000",
        "--hide-scrollbars",
        f"--screenshot={picture}",
        f"file://{folder}/report.html",
    )
    pixels = imread(picture)[:, :, :3]
    assert pixels.shape == (3000, 1000, 3)
    assert (pixels.min(axis=2) > 0.99).mean() > 0.5
    assert (pixels[:, :, 2] - pixels[:, :, 0] > 0.15).mean() > 0.02  # blue


def test_on_paper_it_is_a_handful_of_a4_pages(folder: Path) -> None:
    paper = folder / "paper.pdf"
    browse(folder, "--no-pdf-header-footer", f"--print-to-pdf={paper}", f"file://{folder}/report.html")
    content = paper.read_bytes()
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)
    assert 5 <= len(boxes) <= 14
    for width, height in boxes:
        assert (float(width), float(height)) == pytest.approx((595, 842), abs=1)

"""Takes the pictures of the operator's page in docs/images: `python tests/make_panel_pictures.py`. Needs chromium.

A real capture on the simulated unit, whose release knob is one detent off at the second setting.
"""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

from PIL import Image

from buscomp.tests.capture.browser import Browser, browsing
from buscomp.tests.capture.rehearsal import capturing, link_in, make_folder, paging

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLOURS = 96  # of a picture: there are few, and small files are quick to load
SONGS = ["First Light", "Night Bus", "Harbour", "Tin Roof"]
ASKED = "!document.querySelector('#ask').hidden && document.body.dataset.mood == '{}'"


def main() -> None:
    """All of them, one after the other."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, browsing(Path(name)) as browser:
        root = make_folder(Path(name) / "bus-compressor", SONGS, seconds=24.0, pace=6)
        with capturing(root, "--panel", "--fault", "knob:release+1#2"):
            browser.window(1280, 800)
            browser.go(link_in(root / "out.log"))
            browser.until(f"document.querySelector('#ask') && {ASKED.format('ask')}")
            take(browser, "panel-first")
            browser.press("Enter")
            browser.until("document.querySelector('#log').innerText.includes('t000001-1')")
            browser.window(1280, 1200)
            position = "document.querySelector('#position').value"
            browser.until(f"{position} > 0.3 && {position} < 0.6")
            take(browser, "panel-recording", height=1200, still_s=0.3)
            browser.until(f"{ASKED.format('ask')} && document.querySelector('#moves').className == 'few'")
            take(browser, "panel-move")
            browser.window(390, 844, phone=True)
            take(browser, "panel-phone")
            browser.window(1280, 800, dark=True)
            browser.press("Enter")
            browser.until(ASKED.format("wrong"))
            take(browser, "panel-wrong-knob", dark=True)
        lost_stream(Path(name), browser)


def lost_stream(folder: Path, browser: Browser) -> None:
    """A page whose server does not speak any more."""
    root = make_folder(folder / "lost", SONGS[:1], seconds=24.0, pace=6)
    with capturing(root), paging(root) as (page, link):
        browser.window(1280, 800)
        browser.go(link)
        browser.until(f"document.querySelector('#ask') && {ASKED.format('ask')}")
        page.send_signal(signal.SIGSTOP)
        browser.until("!document.querySelector('#stale').hidden")
        take(browser, "panel-lost")
        page.send_signal(signal.SIGCONT)


def take(browser: Browser, name: str, *, height: int = 800, dark: bool = False, still_s: float = 1.5) -> None:
    """One picture, once everything stands still."""
    if not name.endswith("phone"):
        browser.window(1280, height, dark=dark)
    time.sleep(still_s)
    path = IMAGES / f"{name}.png"
    browser.picture(path)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()

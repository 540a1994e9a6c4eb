"""The operator's page in a real browser, beside real captures on the simulated unit: the whole story at the rack."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buscomp.manifests.dataset import Dataset
from buscomp.tests.capture.browser import CHROMIUM, Browser, browsing
from buscomp.tests.capture.rehearsal import capturing, link_in, make_folder, paging, wet_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]
HOSTILE = "<img src=x onerror=alert(1)> Light"
ASKED = "!document.querySelector('#ask').hidden"
MOOD = "document.body.dataset.mood == '{}'"
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
GUARD_S = 0.7  # an Enter so soon after a question means nothing


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        opened.window(1280, 800)
        yield opened


def text(browser: Browser, selector: str) -> str:
    return str(browser.value(f"document.querySelector({json.dumps(selector)}).innerText"))


def ask_and_enter(browser: Browser) -> None:
    """Wait for the next question, and press Enter when its guard is over."""
    browser.until(ASKED)
    time.sleep(GUARD_S)
    browser.press("Enter")


def marks(browser: Browser) -> dict[str, str]:
    """What the drawing says about each control."""
    found: dict[str, str] = browser.value(
        "Object.fromEntries([...document.querySelectorAll('#panel .wide [data-control]')]"
        ".map(cell => [cell.dataset.control, cell.firstElementChild.classList[1]]))"
    )
    return found


def test_the_whole_story_of_an_operator_from_the_link_to_the_stop(tmp_path: Path, browser: Browser) -> None:
    """Four settings: the first is right, at the second a knob is wrong and is mended, at the third it is wrong and is
    taken with a reason; then a take again, a pause, and a stop before the fourth."""
    root = make_folder(tmp_path / "d", [HOSTILE, "Night Bus"], seconds=3.0, pace=12)
    browser.events.clear()
    faults = ("--fault", "knob:release+1#2", "--fault", "knob:release+1#4")
    with capturing(root, "--panel", *faults) as process:
        browser.go(link_in(root / "out.log"))
        browser.until(f"document.querySelector('#ask') && {ASKED}")
        assert browser.value("location.hash + location.search") == ""
        assert text(browser, "#asked") == "Set the unit to thr-28_att0p3_rel0p1_rat4"
        assert text(browser, "#moves").split("\n") == [
            "THRESHOLD", "-8 dB", "ATTACK", "0.3 ms", "RELEASE", "0.1 s", "RATIO", "4"
        ]  # fmt: skip
        assert "MAKE UP 0 dB, HPF OFF, IN ON" in text(browser, "#kept")
        letters = browser.value(
            "[...document.querySelectorAll('#moves .to')].map(e => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(letters) >= 0.08 * 800
        assert set(marks(browser).values()) == {"move"}
        assert browser.value("document.activeElement.id") == "done"

        ask_and_enter(browser)
        browser.until(MOOD.format("play"))
        browser.until("document.querySelector('.bar output').textContent.startsWith('-')")
        assert "play" in browser.value("document.body.dataset.mood")
        browser.until("document.querySelector('#position').value > 0.1")
        assert not browser.value(ASKED)

        browser.until(f"{ASKED} && document.querySelector('#asked').innerText.endsWith('rat10')")
        assert text(browser, "#moves").split("\n") == ["RATIO", "10", "from 4: 2 detents clockwise"]
        assert marks(browser) | {"ratio": "proven"} == dict.fromkeys(marks(browser), "proven")
        assert marks(browser)["ratio"] == "move"
        assert browser.value("document.querySelector('.front .move .way') !== null")

        sounded = browser.value("sound.played")
        ask_and_enter(browser)
        browser.until(MOOD.format("wrong"))
        assert text(browser, "#heard") == "The audio says: looks like release 0.2, plan says 0.1"
        assert text(browser, "#moves").split("\n") == ["RELEASE", "0.1 s", "seems to stand at 0.2 s"]
        assert marks(browser)["release_s"] == "suspect"
        assert browser.value("sound.played") > sounded
        ask_and_enter(browser)
        browser.until(MOOD.format("play"))
        assert text(browser, "#proof").startswith(("✓ Proven by ear", "? Not proven yet"))

        browser.until(f"{ASKED} && document.body.dataset.mood == 'ask'")
        ask_and_enter(browser)
        browser.until(MOOD.format("wrong"))
        browser.click("#accept")
        browser.until("document.querySelector('#reason').open")
        browser.type("the pot is worn")
        browser.press("Enter")
        browser.until(MOOD.format("play"))

        browser.click("#pause")
        browser.until(MOOD.format("paused"))
        made = wet_files(root)
        browser.click("#log tbody button")  # the last take again
        browser.until("document.querySelector('#said').innerText.includes('made again')")
        time.sleep(0.5)
        assert wet_files(root) == made
        browser.click("#resume")
        browser.until("document.querySelector('#log').innerText.includes('superseded')")
        browser.click("#stop")
        browser.until("document.querySelector('#sure').open")
        assert process.poll() is None
        browser.click("#stopped")
        process.wait(60)
        browser.until("!document.querySelector('#stale').hidden")
        assert "The panel has ended" in text(browser, "#stale")
    assert process.returncode == 130
    assert "Stopped: " in (root / "out.log").read_text()
    expected = ("401 (Unauthorized)", "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED")  # the door; the end
    assert [told for told in browser.complaints() if not any(word in told for word in expected)] == []
    assert browser.value("document.scripts.length") == 1
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert HOSTILE in text(browser, "#log")
    with Dataset(root).journal() as journal:
        overridden = [row for row in journal.fingerprints() if row["override_reason"]]
        takes = journal.takes()
    assert [(row["knob"], row["override_reason"]) for row in overridden] == [("release_s", "the pot is worn")]
    assert [take["reasons"] for take in takes if take["status"] == "superseded"] == [["retake"]]
    assert sum(take["status"] == "accepted" for take in takes) >= 5


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[tuple[Path, object, object]]:
    """A capture that asks its first question in a terminal, and a page beside it, open in the browser."""
    root = make_folder(tmp_path_factory.mktemp("beside") / "d", ["First Light"], seconds=2.0, pace=20)
    with capturing(root) as capture, paging(root) as (page, link):
        browser.go(link)
        browser.until(f"document.querySelector('#ask') && {ASKED}")
        yield root, capture, page


def test_on_a_phone_nothing_reaches_over_the_side_and_the_answer_is_under_the_thumb(beside, browser: Browser) -> None:
    browser.window(390, 844, phone=True)
    try:
        assert browser.value(WIDE) == 0
        top, bottom = browser.value(
            "(box => [box.top, box.bottom])(document.querySelector('#done').getBoundingClientRect())"
        )
        assert top > 0
        assert bottom - top >= 44
        small = browser.value(
            "[...document.querySelectorAll('button')].filter(b => b.offsetParent)"
            ".filter(b => b.getBoundingClientRect().height < 32).map(b => b.id)"
        )
        assert small == []
        assert browser.value("getComputedStyle(document.querySelector('#panel .narrow')).display") == "block"
        for width in (320, 600, 900):
            browser.window(width, 800, phone=width < 500)
            assert browser.value(WIDE) == 0, width
    finally:
        browser.window(1280, 800)


def test_every_control_is_reached_by_keyboard_and_shows_that_it_has_the_focus(beside, browser: Browser) -> None:
    browser.value("document.activeElement.blur()")
    reached, rings = set(), set()
    for _ in range(40):
        browser.press("Tab")
        name, ring = browser.value(
            "[document.activeElement.id || document.activeElement.className, "
            "getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.add(name)
        rings.add(ring if name not in ("", "page") else "solid")
    shown = browser.value(
        "[...document.querySelectorAll('button')].filter(b => b.offsetParent && !b.disabled).map(b => b.id)"
    )
    assert set(shown) <= reached
    assert {"done", "sound", "share", "leave", "pause", "stop"} <= reached
    assert rings == {"solid"}


def test_a_page_that_hears_nothing_for_three_seconds_says_so_and_sends_nothing(beside, browser: Browser) -> None:
    root, _, page = beside
    page.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    browser.until("!document.querySelector('#stale').hidden")
    assert 2.0 < time.monotonic() - stopped < 8.0
    assert "Connection lost." in text(browser, "#stale")
    assert browser.value("document.body.dataset.mood") == "stale"
    assert browser.value("document.querySelector('#done').disabled")
    browser.press("Enter")
    page.send_signal(signal.SIGCONT)
    browser.until("document.querySelector('#stale').hidden")
    assert browser.value(ASKED)  # the Enter answered nothing
    assert not (root / ".answer.json").exists()


def test_a_page_that_is_killed_hurts_no_take_and_the_terminal_goes_on(beside, browser: Browser) -> None:
    root, capture, page = beside
    page.kill()
    browser.until("!document.querySelector('#stale').hidden")
    capture.stdin.write(b"\n")
    capture.stdin.flush()
    end = time.monotonic() + 60
    while not wet_files(root):
        assert time.monotonic() < end
        assert capture.poll() is None
        time.sleep(0.1)
    assert "Answered on the page" not in (root / "out.log").read_text()

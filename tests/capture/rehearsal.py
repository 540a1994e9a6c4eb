"""A capture on the simulated unit for which somebody is asked to turn the knobs, with its page: for a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buscomp.tests.capture_songs import PROVEN
from buscomp.tests.small_dataset import write_wav_song

LINE = [sys.executable, "-m", "buscomp"]


def make_folder(root: Path, titles: list[str], seconds: float, pace: float, grid: str = PROVEN) -> Path:
    """Songs, a grid, and the device profile `rehearsal`: the simulated unit, an operator, so many times real time."""
    (root / "songs").mkdir(parents=True)
    for number, name in enumerate(titles):
        write_wav_song(root / "songs" / f"{name}.wav", seconds, 96 + 8 * number, 130.81 * 2 ** (number / 5))
    (root / "grid.yaml").write_text(grid)
    (root / "rehearsal.yaml").write_text(f"kind: virtual\npace: {pace:g}\npanel: {{kind: operator}}\n")
    subprocess.run([*LINE, "catalog", "songs"], cwd=root, check=True, capture_output=True)
    return root


@contextmanager
def capturing(root: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`buscomp capture` in `root`; what it says is in out.log, what is typed goes to its standard input."""
    line = [*LINE, "capture", "--device", "rehearsal", "--grid", "grid.yaml", "--operator", "ada", *words]
    with (
        (root / "out.log").open("wb") as log,
        subprocess.Popen(line, cwd=root, stdin=subprocess.PIPE, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def paging(root: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`buscomp panel` beside it, and its link."""
    with (
        (root / "panel.log").open("wb") as log,
        subprocess.Popen([*LINE, "panel", "--port", "0"], cwd=root, stderr=log) as process,
    ):
        try:
            yield process, link_in(root / "panel.log")
        finally:
            process.kill()


def link_in(log: Path, patience_s: float = 60.0) -> str:
    """The login link that a command has printed."""
    end = time.monotonic() + patience_s
    while (found := re.search(r"http://\S+", log.read_text())) is None:
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    return found[0]


def wet_files(root: Path) -> int:
    return sum(name.endswith(".flac") for _, _, names in os.walk(root / "wet") for name in names)

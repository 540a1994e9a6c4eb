"""Takes docs/images/report.png: `buscomp demo`, then `python tests/make_report_image.py demo/report.html`.

The picture is what a browser without a network shows first, in a window of 1200 x 900.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "docs" / "images" / "report.png"


def take(page: Path, target: Path, size: str = "1200,900") -> None:
    """Write what headless Chromium shows of `page` to `target`."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("no browser found: apt-get install chromium")
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has no sandbox
    offline = ["--headless", "--disable-gpu", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND"]
    with tempfile.TemporaryDirectory() as profile:
        made = [f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={target}"]
        command = [browser, *alone, *offline, *made, page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    take(Path(sys.argv[1]), TARGET)

"""A fault at durable step 1, 2, 3 ... of a capture, until a run passes: as an I/O error, and as a kill at that step.

python tests/benchmarks/campaign_step.py                  every step of a capture of 4 takes
python tests/benchmarks/campaign_step.py --every 10 --proven    every tenth step of one that fingerprints, too
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from buscomp.tests.benchmarks.campaign import (
    BROKEN,
    ENDED,
    FAILED,
    BrokenPromiseError,
    capture,
    check_promises,
    check_whole,
    make_template,
    run,
    table,
    workshop,
)

GRID = """\
unit: ssl-500-bus
factors:
  threshold_db: [-28, -20]
  attack_ms: [0.3]
  release_s: [0.1]
  ratio: [4]
expect: 2
fingerprint: false
"""
SONGS, SETTINGS = 2, 2
TAKES = SONGS * SETTINGS


def step_campaign(folder: Path, template: Path, how: str, first: int, every: int) -> None:
    """A table of what becomes of a capture whose n-th durable step goes wrong, for every n until it passes."""
    seen: Counter[str] = Counter()
    told: Counter[str] = Counter()
    began, number = time.monotonic(), first
    root, log = folder / "broken", folder / "log"
    while True:
        shutil.copytree(template, root)
        code = run(root, fault=f"{how}:{number}", log=log)
        said = log.read_text()
        standing = check_promises(root, TAKES, {})
        if code == ENDED and f"{how}:{number}" not in said and standing.planned == 0:
            check_whole(root, TAKES)
            break
        if how == "kill" and code != -signal.SIGKILL:
            raise BrokenPromiseError(f"step {number}: ended with status {code}: {said[-300:]}")
        if code == BROKEN:
            told["traceback"] += 1
        elif code == FAILED:
            told[re.sub(r"\d+", "n", said.strip().splitlines()[-1])[:100]] += 1
        elif code == ENDED:
            told["went on by itself"] += 1
        seen["steps"] += 1
        seen["in a take"] += standing.in_progress
        seen["between file and row"] += standing.orphans
        if run(root, log=log) != ENDED:
            raise BrokenPromiseError(f"step {number}: the run after it does not end: {log.read_text()[-300:]}")
        if not check_promises(root, TAKES, standing.accepted).planned == 0:
            raise BrokenPromiseError(f"step {number}: the run after it leaves something to do")
        check_whole(root, TAKES)
        shutil.rmtree(root)
        number += every
    shutil.rmtree(root)
    table(
        [
            ("fault", {"step": "I/O error", "kill": "SIGKILL"}[how]),
            ("steps broken, one run each", seen["steps"]),
            ("passes at step", number),
            ("between file and row", seen["between file and row"]),
            ("promises broken", 0),
            *((f"  {count} x", text) for text, count in told.most_common()),
            ("seconds", f"{time.monotonic() - began:.0f}"),
        ]
    )
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1, help="the first step to break")
    parser.add_argument("--every", type=int, default=1, help="break every so-many-th step")
    parser.add_argument("--how", choices=("step", "kill"), action="append", help="an I/O error or a kill; else both")
    parser.add_argument("--proven", action="store_true", help="fingerprint every setting, too")
    arguments = parser.parse_args()
    with workshop() as folder:
        grid = GRID.replace("false", "true") if arguments.proven else GRID
        template = make_template(folder / "template", SONGS, 1.0, grid)
        capture(Path(shutil.copytree(template, folder / "warm")))  # compiled code is there for every child
        for how in arguments.how or ("step", "kill"):
            step_campaign(folder, template, how, arguments.first, arguments.every)


if __name__ == "__main__":
    main()

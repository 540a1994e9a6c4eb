"""SIGKILL at random instants of a capture: nothing accepted is lost or wrong, at most the take in progress is repeated.

python tests/benchmarks/campaign_kill.py     200 kills of a forked capture, 20 of one that fingerprints every setting,
                                             10 of the whole command
python tests/benchmarks/campaign_kill.py --trials 20 --proven 0 --commands 0
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.levels import db
from buscomp.manifests.pcm import read_audio
from buscomp.tests.benchmarks.campaign import (
    ENDED,
    BrokenPromiseError,
    capture,
    check_promises,
    check_whole,
    make_template,
    run,
    start,
    table,
    workshop,
)
from buscomp.tests.capture_songs import GRID, PROVEN

SONGS, SETTINGS = 2, 4
TAKES = SONGS * SETTINGS
DIFFERENT_DBFS = -60.0  # noise and the last of an earlier song differ between two runs; another song is at -12
COMMAND = [sys.executable, "-m", "buscomp", "capture", "--device", "virtual", "--grid", "grid.yaml"]


def start_command(root: Path) -> int:
    """The whole command, as typed; its pid."""
    process = subprocess.Popen(
        COMMAND, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    process.returncode = 0  # we wait for the pid ourselves
    return process.pid


def same_takes(root: Path, reference: Path) -> float:
    """The largest difference, dBFS, of a take from that of an undisturbed run."""
    ours, theirs = (
        {(row["song_id"], row["setting_id"]): row for row in Dataset(path).rows("takes")} for path in (root, reference)
    )
    if ours.keys() != theirs.keys():
        raise BrokenPromiseError("another set of takes than an undisturbed run made")
    songs = [{row["song_id"]: row["dry_sha256"] for row in Dataset(path).rows("songs")} for path in (root, reference)]
    if songs[0] != songs[1]:
        raise BrokenPromiseError("other dry audio than an undisturbed run had")
    largest = 0.0
    for place, row in ours.items():
        one, _ = read_audio(Dataset(root).file(row["wet_path"]))
        other, _ = read_audio(Dataset(reference).file(theirs[place]["wet_path"]))
        largest = max(largest, float(np.abs(one - other).max()))
    if db(largest) > DIFFERENT_DBFS:
        raise BrokenPromiseError(f"a take differs by {db(largest):.1f} dBFS from that of an undisturbed run")
    return db(largest)


def undisturbed(folder: Path, template: Path, command: bool) -> tuple[Path, float]:
    """A dataset that was captured in peace, and how long that took in a process of its own."""
    reference = Path(shutil.copytree(template, folder / "reference"))
    capture(reference)  # here, so that its modules and its compiled code are there for every child
    check_whole(reference, TAKES)
    timed = Path(shutil.copytree(template, folder / "timed"))
    began = time.monotonic()
    pid = (start_command if command else start)(timed)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != ENDED:
        raise BrokenPromiseError("an undisturbed run does not end")
    return reference, time.monotonic() - began


def kill_campaign(folder: Path, template: Path, trials: int, command: bool) -> None:
    """`trials` kills at random instants of captures that go on from kill to kill; a table of what was found."""
    reference, lasts_s = undisturbed(folder, template, command)
    begin = start_command if command else start
    proven = any(reference.glob("fingerprints/*"))
    seen: Counter[str] = Counter()
    furthest_db = -200.0
    instants = random.Random(1)
    began = time.monotonic()
    root = Path(shutil.copytree(template, folder / "killed"))
    accepted: dict[str, tuple[str, str, str]] = {}
    while seen["kills"] < trials:
        pid = begin(root)
        time.sleep(instants.uniform(0, lasts_s))
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (ENDED, -signal.SIGKILL):
            raise BrokenPromiseError(f"the capture ended with status {code}")
        standing = check_promises(root, TAKES, accepted)
        if code == -signal.SIGKILL:
            seen["kills"] += 1
            seen["in a take"] += standing.in_progress
            seen["between file and row"] += standing.orphans
            seen["before the plan"] += not (root / "journal.sqlite").exists()
            seen[f"{len(standing.accepted)} accepted"] += 1
        accepted = standing.accepted
        if standing.planned == 0 or code == ENDED or seen["kills"] == trials:
            if run(root) != ENDED:
                raise BrokenPromiseError("the capture after the last kill does not end")
            check_whole(root, TAKES)
            furthest_db = max(furthest_db, same_takes(root, reference))
            seen["datasets"] += 1
            shutil.rmtree(root)
            root = Path(shutil.copytree(template, folder / "killed"))
            accepted = {}
    shutil.rmtree(root)
    table(
        [
            ("killed", "the whole command" if command else "a forked capture"),
            ("undisturbed", f"{TAKES} takes in {lasts_s:.2f} s{' with fingerprints' if proven else ''}"),
            *((name, seen[name]) for name in ("kills", "datasets", "in a take", "between file and row")),
            ("before the plan", seen["before the plan"]),
            ("takes there at a kill", " ".join(f"{n}:{seen[f'{n} accepted']}" for n in range(TAKES + 1))),
            ("promises broken", 0),
            ("largest difference from an undisturbed run", f"{furthest_db:.1f} dBFS"),
            ("seconds", f"{time.monotonic() - began:.0f}"),
        ]
    )
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, help="kills of a forked capture")
    parser.add_argument("--proven", type=int, default=20, help="kills of one that fingerprints every setting")
    parser.add_argument("--commands", type=int, default=10, help="kills of the whole command")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a song")
    arguments = parser.parse_args()
    for trials, grid, command in (
        (arguments.trials, GRID, False),
        (arguments.proven, PROVEN, False),
        (arguments.commands, GRID, True),
    ):
        if trials:
            with workshop() as folder:
                kill_campaign(
                    folder, make_template(folder / "template", SONGS, arguments.seconds, grid), trials, command
                )


if __name__ == "__main__":
    main()

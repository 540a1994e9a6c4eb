"""A disk that fills up, at ten levels: one line that says so, earlier takes intact, and on it goes with room again.

python tests/benchmarks/campaign_disk.py                  as root, who may mount a small disk
python tests/benchmarks/campaign_disk.py --levels 4
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buscomp.capture import preflight, session
from buscomp.tests.benchmarks.campaign import (
    ENDED,
    FAILED,
    BrokenPromiseError,
    capture,
    check_promises,
    check_whole,
    make_template,
    run,
    workshop,
)

SONGS, SETTINGS = 2, 4
TAKES = SONGS * SETTINGS
DISK_BYTES = 192 << 20


class MountError(Exception):
    """This user may not mount a disk."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own in memory, mounted at `folder`."""
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], capture_output=True
    ).returncode:
        raise MountError
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def no_guard() -> None:
    """Without the checks for room before a capture and before a take, the write itself has to fail."""
    for module in (preflight, session):
        module.require_space = lambda *_: None  # type: ignore[attr-defined]


def fill(disk: Path, left_bytes: int) -> None:
    """Leave `left_bytes` free, to the block."""
    with open(disk / "filler", "wb") as filler:
        while (free := shutil.disk_usage(disk).free) > left_bytes:
            filler.write(bytes(min(free - left_bytes, 1 << 20)))
            filler.flush()


def try_level(disk: Path, template: Path, log: Path, left_bytes: int, guarded: bool) -> str:
    """One capture with `left_bytes` free, and the one after room was made: a line of the table."""
    root = Path(shutil.copytree(template, disk / "dataset"))
    fill(disk, left_bytes)
    began = time.monotonic()
    code = run(root, log=log, before=(lambda: None) if guarded else no_guard)
    seconds = time.monotonic() - began
    said = [line for line in log.read_text().splitlines() if line.strip()]
    if code not in (ENDED, FAILED):
        raise BrokenPromiseError(f"{left_bytes} bytes left: ended with status {code}: {said[-3:]}")
    if code == FAILED and not any("free some space" in line for line in said):
        raise BrokenPromiseError(f"{left_bytes} bytes left: the error does not say what to do: {said}")
    if left := [path.name for path in root.rglob("*.partial")]:
        raise BrokenPromiseError(f"{left_bytes} bytes left: half a file is left: {left}")
    (disk / "filler").unlink()
    standing = check_promises(root, TAKES, {})
    if run(root, log=log) != ENDED:
        raise BrokenPromiseError(
            f"{left_bytes} bytes left: with room again it does not go on: {log.read_text()[-300:]}"
        )
    check_promises(root, TAKES, standing.accepted)
    check_whole(root, TAKES)
    shutil.rmtree(root)
    told = next((line for line in said if "free some space" in line), "all is captured")
    return f"{left_bytes:>10}  {'yes' if guarded else 'no ':<7} {len(standing.accepted):>8}  {seconds:>5.1f} s  {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, default=10, help="fill levels, from nothing free to enough")
    arguments = parser.parse_args()
    with workshop() as folder:
        template = make_template(folder / "template", SONGS, 1.0)
        reference = Path(shutil.copytree(template, folder / "reference"))
        capture(reference)
        needed = sum(path.stat().st_size for path in reference.rglob("*") if path.is_file())
        needed -= sum(path.stat().st_size for path in template.rglob("*") if path.is_file())
        print(f"A whole capture adds {needed} bytes.")
        print("bytes free  guarded  accepted   ended  what it said")
        try:
            with small_disk(folder / "disk") as disk:
                for level in range(arguments.levels):
                    left_bytes = round(needed * 2.2 * level / max(arguments.levels - 1, 1))
                    print(try_level(disk, template, folder / "log", left_bytes, guarded=False), flush=True)
                for left_bytes in (0, preflight.RESERVE_BYTES, preflight.RESERVE_BYTES + (8 << 20)):
                    print(try_level(disk, template, folder / "log", left_bytes, guarded=True), flush=True)
        except MountError:
            sys.exit("Mounting a small disk needs root.")
        print("promises broken: 0")


if __name__ == "__main__":
    main()

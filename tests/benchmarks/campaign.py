"""What the campaigns share: a small dataset, a capture in a process of its own, and the promises that must hold.

The capture runs in a forked child: everything from `capture.capture.capture` on is what `buscomp capture` runs, without
the seconds that Python needs to import it. Linux and macOS only.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from buscomp.capture import capture as capture_module
from buscomp.curation.commands import catalog
from buscomp.manifests import storage
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import BuscompError
from buscomp.manifests.integrity import verify
from buscomp.manifests.pcm import pcm_sha256, read_pcm
from buscomp.tests.capture_songs import GRID, put_songs

ENDED, FAILED, BROKEN = 0, 1, 70  # exit status of the child: all is captured, one-line error, traceback
Accepted = dict[str, tuple[str, str, str]]  # take_id: song_id, setting_id, SHA-256


class BrokenPromiseError(AssertionError):
    """A promise that does not hold."""


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder for a campaign, gone at its end."""
    folder = Path(tempfile.mkdtemp(prefix="buscomp-campaign-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_template(root: Path, songs: int = 2, seconds: float = 1.0, grid: str = GRID) -> Path:
    """A dataset with a catalog, and nothing captured."""
    put_songs(root, songs=songs, seconds=seconds, grid=grid)
    done = CliRunner().invoke(catalog, [str(root / "songs"), "--dataset", str(root)])
    if done.exit_code:
        raise BrokenPromiseError(f"catalog: {done.output}{done.exception}")
    return root


def capture(
    root: Path,
    progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
    device: str = "virtual",
) -> bool:
    """What `buscomp capture --device virtual` does, in this process."""
    return capture_module.capture(
        Dataset(root),
        device=device,
        grid=str(root / "grid.yaml"),
        operator="campaign",
        extend=False,
        report=lambda line: None,
        progress=progress,
    )


def start(
    root: Path, fault: str | None = None, log: Path | None = None, before: Callable[[], None] = lambda: None
) -> int:
    """The capture of `root` in a new process and process group; its pid.

    `fault` is what BUSCOMP_FAULT says, `log` gets what is printed, `before` is called first in the new process."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)  # here and in the child, whoever comes first
        return pid
    status = BROKEN
    try:
        os.setpgid(0, 0)
        said = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        if fault is not None:
            os.environ[storage.FAULT] = fault
            storage._steps = itertools.count(1)
        before()
        status = ENDED if capture(root) else FAILED
    except BuscompError as error:
        print(f"Error: {error}", flush=True)
        status = FAILED
    except BaseException:  # noqa: BLE001  the parent reads it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(
    root: Path, fault: str | None = None, log: Path | None = None, before: Callable[[], None] = lambda: None
) -> int:
    """`start`, to its end: its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(start(root, fault, log, before), 0)[1])


@dataclass(frozen=True)
class Standing:
    """What a dataset holds after something went wrong in it."""

    accepted: Accepted
    planned: int
    in_progress: int  # takes that had been recorded and not been decided
    orphans: int  # wet files that no row speaks of


def check_promises(root: Path, takes: int, before: Accepted) -> Standing:
    """The promises, whatever has just happened in `root`; `BrokenPromiseError` names the one that does not hold.

    1. What is accepted is on the disk, whole, with the hash that the journal has.
    2. What was accepted `before` is so still, unchanged.
    3. Every song at every setting is planned or accepted, exactly once, and there are as many as were planned.
    4. At most one take was in progress: one recording without a decision, one wet file without a row.
    """
    dataset = Dataset(root)
    if not dataset.journal_path.exists():
        if before:
            raise BrokenPromiseError("the journal is gone")
        return Standing({}, takes, 0, 0)
    with dataset.journal() as journal:
        rows = journal.takes()
    accepted: Accepted = {}
    for row in rows:
        if row["status"] != "accepted":
            continue
        pcm, rate = read_pcm(dataset.file(row["wet_path"]))
        if (len(pcm), rate) != (row["frames"], row["sample_rate"]):
            raise BrokenPromiseError(f"{row['wet_path']} has {len(pcm)} frames, its row says {row['frames']}")
        if pcm_sha256(pcm) != row["wet_sha256"]:
            raise BrokenPromiseError(f"{row['wet_path']} has another hash than its row")
        accepted[row["take_id"]] = (row["song_id"], row["setting_id"], row["wet_sha256"])
    if changed := {take_id for take_id, kept in before.items() if accepted.get(take_id) != kept}:
        raise BrokenPromiseError(f"accepted takes are gone or changed: {sorted(changed)}")
    places = Counter(
        (row["song_id"], row["setting_id"], row["unit_id"]) for row in rows if row["status"] in ("planned", "accepted")
    )
    if rows and (len(places) != takes or max(places.values()) != 1):
        raise BrokenPromiseError(f"{len(places)} places of {takes}, at most {max(places.values())} live takes at one")
    planned = {row["take_id"] for row in rows if row["status"] == "planned"}
    in_progress = sum(path.parent.name in planned for path in root.glob("attempts/*/return.wav"))
    listed = {dataset.file(row["wet_path"]) for row in rows if row["status"] == "accepted"}
    orphans = len(set(root.glob("wet/**/*.flac")) - listed)
    if in_progress > 1 or orphans > 1:
        raise BrokenPromiseError(f"{in_progress} recordings without a decision, {orphans} wet files without a row")
    return Standing(accepted, takes - len(accepted), in_progress, orphans)


def check_whole(root: Path, takes: int) -> None:
    """Everything is captured, at the first attempt, and `buscomp verify` finds nothing wrong."""
    standing = check_promises(root, takes, {})
    if standing.planned:
        raise BrokenPromiseError(f"{standing.planned} takes are still planned")
    rows = Dataset(root).rows("takes")
    if again := [row["take_id"] for row in rows if row["attempt"] != 1 or row["status"] != "accepted"]:
        raise BrokenPromiseError(f"takes that nothing was wrong with were made again: {again}")
    findings, _ = verify(Dataset(root))
    if findings:
        raise BrokenPromiseError(f"verify: {findings[0]}")


def table(rows: list[tuple[str, Callable[[], object] | object]]) -> None:
    """Print names and figures."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value() if callable(value) else value}")

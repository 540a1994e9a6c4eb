"""Bytes that a disk spoils: flips and truncations of the journal, its manifests and audio.

For each damaged file there are five ends. `named`: an error says so. `equal`: what is read is what was written.
`told apart`: what is read differs, and `buscomp verify` finds it. `unseen`: it differs and nobody notices.
`traceback`: the programmer did not think of it. The last two break a promise.

    python tests/benchmarks/campaign_damage.py [--trials 300]
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import BuscompError
from buscomp.manifests.integrity import verify
from buscomp.manifests.pcm import pcm_sha256, read_pcm
from buscomp.tests.benchmarks.campaign import BrokenPromiseError, capture, check_promises, make_template, workshop

DERIVED = ("settings", "takes", "sessions", "fingerprints")
MENDED = 10  # every so-many-th damage is mended as its error says, and must be whole then
ENDS = ("named", "equal", "told apart", "unseen", "traceback")


def damage(path: Path, dice: random.Random) -> str:
    """Flip some bits of one byte of `path`, or cut its end off; in words."""
    data = bytearray(path.read_bytes())
    place = dice.randrange(len(data))
    if dice.random() < 0.25:
        path.write_bytes(data[:place])
        return f"cut at {place} of {len(data)}"
    data[place] ^= dice.randrange(1, 256)
    path.write_bytes(data)
    return f"byte {place} of {len(data)}"


def everything(dataset: Dataset) -> tuple[Any, ...]:
    """All that the journal holds."""
    with dataset.journal() as journal:
        names = ("plan_sha256", "songs", "settings", "unit_id", "device")
        facts = tuple(journal.fact(name) for name in names)
        return journal.takes(), journal.sessions(), journal.fingerprints(), facts


def samples(path: Path) -> str:
    """The hash of the audio at `path`."""
    return pcm_sha256(read_pcm(path)[0])


def judge(read: Callable[[], Any], written: Any, dataset: Dataset) -> str:
    """Which of the five ends it is."""
    try:
        if read() == written:
            return "equal"
        return "told apart" if verify(dataset)[0] else "unseen"
    except BuscompError:
        return "named"
    except Exception:  # noqa: BLE001  that is what is looked for
        return "traceback"


def spoil(
    root: Path, file: Path, read: Callable[[], Any], mend: Callable[[], object], trials: int, broken: list[str]
) -> str:
    """Damage `file` again and again, each time from its whole state: a line of the table."""
    dataset, dice = Dataset(root), random.Random(file.name)
    whole, written = file.read_bytes(), read()
    ends: Counter[str] = Counter()
    for number in range(trials):
        how = damage(file, dice)
        end = judge(read, written, dataset)
        ends[end] += 1
        if end in ENDS[3:]:
            broken.append(f"{end} at {how}")
        if number % MENDED == 0:
            mend()
            if read() != written:
                raise BrokenPromiseError(f"{file.name}, {how}: not mended")
        for beside in root.glob(f"{file.name}-*"):
            beside.unlink()
        file.write_bytes(whole)
    told = "  ".join(f"{ends[end]:>10}" for end in ENDS)
    return f"{file.relative_to(root).as_posix()[:44]:<44}  {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300, help="damages of each file")
    arguments = parser.parse_args()
    began = time.monotonic()
    with workshop() as folder:
        root = make_template(folder / "template", 2, 1.0)
        capture(root)
        dataset = Dataset(root)
        backup = Path(shutil.copy(dataset.backup_path, folder / "backup.sqlite"))
        print(f"{'damaged file':<44}  " + "  ".join(f"{end:>10}" for end in ENDS))

        def rebuild() -> None:
            """What `buscomp verify --rebuild` does."""
            with dataset.journal() as journal:
                dataset.snapshot(journal)

        def restore() -> None:
            """The copy of the journal in its place, and no log of the damaged one that could be replayed into it."""
            for name in ("-wal", "-shm"):
                dataset.journal_path.with_name(dataset.journal_path.name + name).unlink(missing_ok=True)
            shutil.copy(backup, dataset.journal_path)

        rebuild()
        broken: list[str] = []
        tasks: list[tuple[Path, Callable[[], Any], Callable[[], object]]] = [
            *((dataset.table_path(table), partial(dataset.rows, table), rebuild) for table in DERIVED),
            (dataset.journal_path, partial(everything, dataset), restore),
        ]
        for relative in (dataset.rows("takes")[0]["wet_path"], dataset.rows("songs")[0]["dry_path"]):
            path = dataset.file(relative)
            tasks.append((path, partial(samples, path), partial(path.write_bytes, path.read_bytes())))
        for file, read, mend in tasks:
            print(spoil(root, file, read, mend, arguments.trials, broken), flush=True)
        check_promises(root, 8, {})
        print(f"seconds: {time.monotonic() - began:.0f}")
        if broken:
            raise BrokenPromiseError(f"{len(broken)} damages: {', '.join(broken[:5])}")


if __name__ == "__main__":
    main()

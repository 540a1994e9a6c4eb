"""Exports: seconds, megabytes a second and peak memory, for many short takes and for a few long ones.

    python tests/benchmarks/bench_export.py [--songs 175] [--settings 220] [--seconds 0.05] [--format huggingface ...]

One song is rendered and hard-linked under every name, so that 38,500 takes cost no disk before the export. The export
itself is the real command in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.schema import setting_columns
from buscomp.manifests.tables import write_table
from buscomp.tests.small_dataset import make_dataset

FORMATS = ("huggingface", "webdataset", "croissant", "bagit")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--songs", type=int, default=175)
    words.add_argument("--settings", type=int, default=220)
    words.add_argument("--seconds", type=float, default=0.05)
    words.add_argument("--format", nargs="*", choices=FORMATS, default=FORMATS)
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="buscomp-bench-") as folder:
        dataset = many_takes(Path(folder) / "dataset", given.songs, given.settings, given.seconds)
        print(f"{given.songs * given.settings} takes of {given.seconds:g} s")
        print(f"{'format':<14}{'s':>8}{'CPU s':>8}{'MB':>9}{'MB/s':>7}{'peak MB':>9}")
        for name in given.format:
            began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            made, peak_mb = run(dataset, Path(folder) / name, name)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            elapsed_s, size_mb = time.monotonic() - began, made["size_bytes"] / 1e6
            figures = f"{elapsed_s:>8.1f}{cpu_s:>8.1f}{size_mb:>9.0f}{size_mb / elapsed_s:>7.0f}{peak_mb:>9.0f}"
            print(f"{name:<14}{figures}", flush=True)
            shutil.rmtree(Path(folder) / name)


def many_takes(root: Path, songs: int, settings: int, seconds: float) -> Dataset:
    """A dataset of one song and one take under many names; the tables are written without a journal."""
    small = make_dataset(root, songs=2, settings=2, seconds=seconds)
    tables = {name: small.rows(name) for name in ("songs", "settings", "takes", "sessions")}
    unit = small.unit
    shutil.rmtree(root / "manifests")
    small.journal_path.unlink()
    song_rows = [
        tables["songs"][0] | {"song_id": f"s{n}", "title": f"Song {n}", "dry_path": f"dry/s{n}.flac"}
        for n in range(songs)
    ]
    setting_rows = [tables["settings"][0] | {"setting_id": f"k{n}", "visit_order": n} for n in range(settings)]
    take = tables["takes"][0]
    take_rows: list[dict[str, Any]] = []
    for place, (setting, song) in enumerate(itertools.product(setting_rows, song_rows)):
        path = f"wet/{setting['setting_id']}/{song['song_id']}.flac"
        ids = {"song_id": song["song_id"], "setting_id": setting["setting_id"], "wet_path": path}
        take_rows.append(take | ids | {"take_id": f"t{place:06}-1", "sequence": place})
        link(small.root / take["wet_path"], root / path)
    for row in song_rows:
        link(small.root / "dry" / "song-0.flac", root / row["dry_path"])
    dataset = Dataset(root)
    write_table(dataset.table_path("songs"), "songs", song_rows)
    write_table(dataset.table_path("settings"), "settings", setting_rows, setting_columns(unit))
    write_table(dataset.table_path("takes"), "takes", take_rows)
    write_table(dataset.table_path("sessions"), "sessions", tables["sessions"])
    return dataset


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)


def run(dataset: Dataset, target: Path, name: str) -> tuple[dict[str, Any], float]:
    """What the command tells as JSON, and the peak of its resident memory in MB (Linux)."""
    script = (
        "import sys\nfrom buscomp.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: assert not end.code, end.code\n"
        "kb = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print('PEAK', int(kb) / 1024)"
    )
    line = [sys.executable, "-c", script, "export", str(target), "--format", name, "--dataset", str(dataset.root)]
    told = subprocess.run([*line, "--author", "A Lab", "--json"], capture_output=True, text=True, check=True).stdout
    document, _, peak_mb = told.rpartition("PEAK")
    made: dict[str, Any] = json.loads(document)
    return made, float(peak_mb)


if __name__ == "__main__":
    main()

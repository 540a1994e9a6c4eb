"""The manifest of the paper's size: 175 songs x 220 settings = 38,500 takes.

    python tests/benchmarks/bench_manifest.py

`snapshot`: every derived table from the journal, each row proven by its seal, and a copy of the journal; goal 1 s.
`load`: opening the dataset and all takes as Arrow, with page checksums; goal 100 ms. Then what DuckDB, polars and
pandas take for the same file, without help. CPU time (wall time in brackets), the middle of five.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from buscomp.manifests.dataset import Dataset, open_dataset
from buscomp.manifests.journal import Journal, take_id_of
from buscomp.manifests.schema import TAKES
from buscomp.manifests.tables import read_arrow
from buscomp.manifests.unit import Setting
from buscomp.tests.small_dataset import UNIT_PATH

SONGS, SETTINGS = 175, 220
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def full_journal(dataset: Dataset) -> Journal:
    """38,500 accepted takes with every column filled, as a finished capture has them."""
    shutil.copy(UNIT_PATH, dataset.unit_path)
    unit = dataset.unit
    positions = itertools.product(
        (-40, -36, -32, -28), (0.1, 0.3, 1, 3, 10, 30), (0.1, 0.4, 0.8, "auto"), (1.5, 2, 4, 10)
    )
    names = ("threshold_db", "attack_ms", "release_s", "ratio")
    settings = [
        unit.setting(dict(zip(names, values, strict=True)), "grid") for values in itertools.islice(positions, SETTINGS)
    ]
    rows = [
        {"setting_id": one.setting_id, "origin": one.origin, **unit.to_row(one.values), "visit_order": place}
        for place, one in enumerate(settings)
    ]
    journal = dataset.journal()
    journal.keep_fact("settings", json.dumps(rows))
    with journal._transaction():  # one for all: 38,500 durable steps would measure the disk
        for sequence, (setting, song) in enumerate(itertools.product(settings, range(SONGS))):
            journal._insert("takes", TAKES, take(dataset, sequence, setting, f"song-{song:03d}"))
    return journal


def take(dataset: Dataset, sequence: int, setting: Setting, song_id: str) -> dict[str, Any]:
    """One accepted take."""
    chance = random.Random(sequence)
    row: dict[str, Any] = {column.name: chance.gauss(0, 10) for column in TAKES if column.type == "float"}
    return row | {
        "take_id": take_id_of(sequence, 1),
        "song_id": song_id,
        "setting_id": setting.setting_id,
        "unit_id": dataset.unit.unit_id,
        "session_id": f"session-{sequence // 350}",
        "attempt": 1,
        "sequence": sequence,
        "status": "accepted",
        "reasons": [],
        "wet_path": dataset.wet_path(setting.setting_id, song_id),
        "wet_sha256": chance.randbytes(32).hex(),
        "sample_rate": 44_100,
        "frames": 10_000_000 + sequence % SONGS,
        "channels": 2,
        "started_at": BEGIN + timedelta(seconds=240 * sequence),
        "stream_frame": 10_000_000 * (sequence % SONGS),
        "integer_shift_samples": 137,
        "xruns": 0,
        "clipped_runs": 0,
        "previous_take_id": take_id_of(sequence - 1, 1) if sequence else None,
    }


def timed(name: str, work: Callable[[], object], goal_ms: float | None = None) -> str:
    """A line of the table."""
    work()
    walls, cpus = [], []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    goal = f"   goal {goal_ms:g} ms" if goal_ms else ""
    return f"{name:34} {np.median(cpus):7.0f} ms CPU ({np.median(walls):.0f} ms wall){goal}"


def clients(path: Path) -> Iterator[str]:
    """The same file in the libraries that people use."""
    import pandas
    import polars

    duckdb: Any = importlib.import_module("duckdb")  # its types say that any query may give nothing
    loud = f"SELECT setting_id, AVG(loudness_lufs) FROM '{path}' WHERE status = 'accepted' GROUP BY setting_id"
    yield timed("duckdb: mean loudness by setting", lambda: duckdb.sql(loud).fetchall())
    yield timed("duckdb: all of it as Arrow", lambda: duckdb.sql(f"SELECT * FROM '{path}'").to_arrow_table())
    yield timed("polars: all of it", lambda: polars.read_parquet(path))
    yield timed("pandas: all of it", lambda: pandas.read_parquet(path))


def main() -> None:
    """Print the figures."""
    folder = Path(tempfile.mkdtemp(prefix="bench-manifest-"))
    try:
        dataset = Dataset(folder)
        with full_journal(dataset) as journal:
            here = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            print(f"{SONGS * SETTINGS} takes, {len(TAKES)} columns; {here}")
            print(timed("snapshot", lambda: dataset.snapshot(journal), 1000), flush=True)
        path = dataset.table_path("takes")
        sizes_mb = [file.stat().st_size / 1e6 for file in (path, dataset.journal_path)]
        print("takes.parquet: {:.1f} MB; journal: {:.1f} MB".format(*sizes_mb))
        print(
            timed(
                "load: open_dataset, takes as Arrow",
                lambda: read_arrow(open_dataset(folder).table_path("takes"), "takes"),
                100,
            )
        )
        print(timed("open_dataset(...).takes (pandas)", lambda: open_dataset(folder).takes))
        for line in clients(path):
            print(line, flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

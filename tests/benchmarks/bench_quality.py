"""What half an hour on one core brings: the best black box and the grey box beside the best static curve.

    python tests/benchmarks/bench_quality.py [--minutes 30] [--takes 60] [--dataset FOLDER] [black] [grey]

The eight songs of the demo, captured at the 220 settings of the shipped grid from the virtual unit (10 minutes, 6 GB;
kept in FOLDER, or used as it is there), half of them for training, three for testing. Each model trains for so long in
one thread. Measured is the gain-trace error in dB of so many whole takes of songs that were never heard, spread evenly
over settings of the grid, and over settings never seen. Many of the latter lie outside of the grid: its thresholds are
-28 to -16 dB, theirs -40 to 0. Goal there: 3 times smaller than the error of the best static curve. At settings of the
grid a curve is fitted to each, and leaves only what attack and release do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from buscomp.curation.demo_songs import render_demo_songs
from buscomp.manifests.cells import UNSEEN
from buscomp.manifests.dataset import Dataset, open_dataset
from buscomp.trainer.baselines import STATIC_CURVE
from buscomp.trainer.checkpoint import run_named
from buscomp.trainer.evaluate import TEST_CELLS, evaluate

GOAL = 3.0
MODELS: dict[str, tuple[str, ...]] = {
    # the unit remembers seconds: long clips whose begin only warms up for the one, slow initial modes for the other
    "black": ("--model", "s4-4-4", "--conditioning", "tvfilm", "--dt-min", "3e-5"),
    "grey": (
        "--model", "physical-feedback", "--batch", "4", "--chunk-frames", "8820", "--clip-chunks", "28",
        "--warm-up-chunks", "8", "--learning-rate", "0.02",
    ),
}  # fmt: skip


def buscomp(path: Path, *words: str) -> None:
    """A verb, as if typed, with one core."""
    environment = os.environ | {"BUSCOMP_DATASET": str(path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "buscomp", *words], check=True, env=environment)


def captured(path: Path) -> Dataset:
    """The dataset, made unless it is there."""
    if not (path / "manifests" / "splits.parquet").exists():
        render_demo_songs(path / "songs")
        buscomp(path, "catalog", str(path / "songs"))
        buscomp(path, "capture", "--device", "virtual", "--grid", "grid.yaml")
        buscomp(path, "split", "--validation-songs", "1")
    return open_dataset(path)


def main() -> int:
    """Prints the table; 1 when the goal is missed."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("models", nargs="*", help="black, grey; both unless some are named")
    words.add_argument("--minutes", type=float, default=30.0)
    words.add_argument("--takes", type=int, default=60)
    words.add_argument("--dataset", type=Path)
    chosen = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = captured(chosen.dataset or Path(folder) / "dataset")
        for name in (names := chosen.models or list(MODELS)):
            if not run_named(dataset, name).weights.exists():
                budget = ("--seconds", str(60 * chosen.minutes), "--threads", "1")
                buscomp(dataset.root, "train", "--name", name, *MODELS[name], *budget)
        runs = [run_named(dataset, name) for name in names]
        rows = evaluate(dataset, *runs, cells=TEST_CELLS, max_takes=chosen.takes).rows
    print(f"{'':28}{'gain trace dB':>14}{'L1':>9}{'ESR':>9}{'M-STFT':>9}   static curve / it")
    ratios = [(row["setting_role"], shown(row, rows)) for row in rows]
    return min(ratio for role, ratio in ratios if role == UNSEEN and ratio is not None) < GOAL


def shown(row: dict[str, Any], rows: list[dict[str, Any]]) -> float | None:
    """Prints a row; how many times better than the static curve its model is, None for baselines."""
    static = next(one for one in rows if (one["model"], one["split"]) == (STATIC_CURVE, row["split"]))
    ratio = static["gain_trace_rmse_db"] / row["gain_trace_rmse_db"]
    print(
        f"{row['model']:18}{row['split'][5:]:>10}{row['gain_trace_rmse_db']:14.3f}{row['l1']:9.4f}{row['esr']:9.4f}"
        f"{row['mstft']:9.3f}{ratio:12.1f}"
    )
    return None if row["checkpoint"] is None else float(ratio)


if __name__ == "__main__":
    sys.exit(main())

"""How fast models stream on one core, compiled and in PyTorch, taken by turns in one process.

Speed ratio is duration of the sound over CPU time, one channel, 44.1 kHz; above 1 a model keeps up. Beside it the
error: the greatest difference from one call of the PyTorch model over the whole, relative to its greatest output.
Weights are trained for 20 steps on a small dataset. The PyTorch row
is the same model called buffer after buffer.

    python tests/benchmarks/bench_streaming.py [--all] [name:conditioning ...]
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from buscomp.tests.small_dataset import make_dataset
from buscomp.trainer.checkpoint import load_model
from buscomp.trainer.registry import ROWS
from buscomp.trainer.streaming_measure import BUFFERS, measure_speed
from buscomp.trainer.train import train

CHOSEN = (
    "ssm-c32-f4:film", "lstm-32:tvconcat", "tcn-10-3:tvfilm", "gcn-10-3:tvfilm", "s4-4-4:tvfilm", "s4-8-32:tvfilm",
    "grey-hard-gru-switching:mlp", "physical-feedback:mlp",
)  # fmt: skip
GOALS = {"ssm-c32-f4:film": {1: 5.0, 32: 10.0}, "lstm-32:tvconcat": {128: 3.0}, "tcn-10-3:tvfilm": {128: 3.0}}
GOALS |= {"gcn-10-3:tvfilm": {128: 3.0}, "s4-4-4:tvfilm": {128: 3.0}}
SAMPLE_RATE = 44_100


def main(words: list[str]) -> int:
    """The table; 1 when a goal is missed or a stream is wrong."""
    torch.set_num_threads(1)
    rows = [f"{name}:{conditioning}" for name, conditioning in ROWS] if "--all" in words else words or CHOSEN
    print(f"{platform.machine()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}; speed ratio, error")
    print(f"{'':30}" + "".join(f"{frames:>8}" for frames in BUFFERS) + "     error")
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(Path(folder) / "dataset", seconds=1.0)
        for row in rows:
            name, conditioning = row.split(":")
            run = train(
                dataset, model=name, conditioning=conditioning, steps=20, batch=2, chunk_frames=2048, clip_chunks=4
            )
            model, _ = load_model(run)
            controls = np.full(model.controls, 0.4, np.float32)
            for compile_it in (True, False):
                speeds = measure_speed(model, controls, SAMPLE_RATE, compile_it)
                how = f"{row} {'Stream' if compile_it else 'PyTorch'}"
                error = max(speed.error for speed in speeds)
                print(
                    f"{how:30}" + "".join(f"{speed.speed_ratio:8.2f}" for speed in speeds) + f"   {error:.1e}",
                    flush=True,
                )
                if compile_it:
                    missed += [
                        f"{row} at {speed.buffer_frames}: {speed.speed_ratio:.1f} of {goal}"
                        for speed in speeds
                        for least, goal in GOALS.get(row, {}).items()
                        if speed.buffer_frames == least or (least == 32 and speed.buffer_frames > 32)
                        if speed.speed_ratio < goal
                    ]
                if compile_it and error > 1e-5:
                    missed.append(f"{how}: wrong by {error:.1e}")
    print("Goals met." if not missed else "Missed: " + "; ".join(missed))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Feeding training: clips from the decoded cache, beside FLAC files and beside what nobody can do without.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_windows.py [--songs 6] [--seconds 120] [--rounds 7]

A clip is 31 chunks of 4480 samples of one channel of dry and wet. CPU time of this process, alternated, medians; files
are in the system's memory. Bare: copying as many samples out of an array. Beside it one training step of S4 4/4, of
which a batch of clips gives 30.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from buscomp.tests.small_dataset import make_dataset
from buscomp.trainer.audio_cache import AudioCache
from buscomp.trainer.loss import training_loss
from buscomp.trainer.optimiser import make_optimiser
from buscomp.trainer.registry import build
from buscomp.trainer.windows import Windows

BATCH, CHUNK, CHUNKS = 8, 4480, 31
CLIP = CHUNK * CHUNKS


def medians_s(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each, alternated; the first round does not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            began = time.process_time()
            work()
            taken[name].append(time.process_time() - began)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def training_step() -> Callable[[], None]:
    """One step of S4 4/4 TVFiLM on a batch of chunks."""
    model = build("s4-4-4", "tvfilm", 5)
    optimiser = make_optimiser(model, 1e-3)
    x, controls = 0.1 * torch.randn(BATCH, 1, CHUNK), torch.rand(BATCH, 5)
    with torch.no_grad():
        _, state = model(x, controls)

    def step() -> None:
        y, _ = model(x, controls, state)
        optimiser.zero_grad()
        training_loss(y, 0.5 * x).backward()
        optimiser.step()

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(Path(folder) / "dataset", songs=given.songs, settings=4, seconds=given.seconds)
        cache = AudioCache(dataset)
        cached, decoded = Windows(dataset, "train", CLIP, cache=cache), Windows(dataset, "train", CLIP)
        size = sum(piece.bytes for piece in cached.pieces)
        began = time.process_time()
        cache.fill(cached.pieces, jobs=1)
        fill_s = time.process_time() - began
        random = np.random.default_rng(0)
        source, copied = np.ones((2, BATCH, 4 * CLIP), np.float32), np.empty((2, BATCH, CLIP), np.float32)
        taken = medians_s(
            {
                "bare": lambda: np.copyto(copied, source[..., CLIP : 2 * CLIP]),
                "cache": lambda: cached.draw(BATCH, random),
                "flac": lambda: decoded.draw(BATCH, random),
                "step": training_step(),
            },
            given.rounds,
        )
    audio_s = size / 4 / 2 / 44_100
    print(f"filling: {audio_s:.0f} s of stereo in {fill_s:.1f} s of CPU, {audio_s / fill_s:.0f} x real time,", end=" ")
    print(f"{size / 1e6:.0f} MB, {size / fill_s / 1e6:.0f} MB/s; once")
    for name in ("bare", "cache", "flac"):
        print(f"{name:6} {BATCH / taken[name]:8.0f} clips/s   {1e3 * taken[name] / BATCH:7.3f} ms a clip")
    step_s = taken["step"]
    print(
        f"the cache is {taken['flac'] / taken['cache']:.1f} x FLAC; a step of S4 4/4 at B{BATCH}: {1e3 * step_s:.0f} ms"
    )
    for name in ("cache", "flac"):
        share = taken[name] / (CHUNKS - 1) / step_s
        print(f"feeding from {name} adds {100 * share:.2f} % to it, in a thread of its own")


if __name__ == "__main__":
    main()

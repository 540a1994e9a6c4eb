"""How many times faster than real time the default annotations are, on one core: CPU time, median of three.

OMP_NUM_THREADS=1 python tests/benchmarks/bench_annotation_speed.py
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from buscomp.annotation.backend import DEFAULT, Choice, create
from buscomp.tests.small_dataset import music

RATE = 44_100
TRIALS = 3
LENGTHS_S = (45, 240)


def main() -> None:
    """One line a length: seconds of each backend, and the ratio of all together. The first run, which loads weights and
    compiles, is not counted."""
    backends = {name: create(Choice(name)) for name in DEFAULT}
    piece = music(15.0)
    for seconds in LENGTHS_S:
        audio = np.tile(piece, (seconds // 15, 1)).astype(np.float32)
        spent: dict[str, list[float]] = {name: [] for name in backends}
        for trial in range(TRIALS + 1):
            for name, backend in backends.items():
                began = time.process_time()
                backend.annotate(audio, RATE)
                if trial:
                    spent[name].append(time.process_time() - began)
        each = {name: median(times) for name, times in spent.items()}
        told = ", ".join(f"{name} {cpu_s:.2f} s" for name, cpu_s in each.items())
        print(f"{seconds} s of music: {told}; together {seconds / sum(each.values()):.0f} times real time")


if __name__ == "__main__":
    main()

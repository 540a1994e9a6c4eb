"""How fast `buscomp verify` is, beside the least that it could do: the FLAC decoder and SHA-256 alone.

    python tests/benchmarks/bench_verify.py [--takes 12] [--seconds 240] [--jobs 1,2]

First one core: each file is decoded whole and hashed, and then checked (hash, length, rate, peak, loudness, lag behind
its dry audio), turn by turn, in CPU time. Goal: at least 70 % of the speed. Then the whole verb over so many processes:
CPU time per file, with everything that a process costs, and wall time, which tells of linear growth only on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from buscomp.manifests.audio_check import check_audio
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.integrity import _check_tables, _expected, _takes, verify
from buscomp.manifests.parallel import BATCH, each
from buscomp.manifests.pcm import pcm_sha256, read_pcm
from buscomp.tests.small_dataset import make_dataset

SONGS = 2


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of `work`, this process's."""
    began = time.process_time()
    work()
    return time.process_time() - began


def one_core(dataset: Dataset) -> Iterator[str]:
    """Decoder and hash alone, and the check, in turn."""
    findings, tables = _check_tables(dataset)
    files = [one for one in _expected(tables, _takes(dataset, tables, findings), findings) if one.dry_path]
    root = str(dataset.root)
    assert check_audio(root, files[0]) == []  # compiled
    alone_s, check_s = [], []
    for one in files:
        path = dataset.root / one.path
        alone_s.append(cpu_s(lambda: pcm_sha256(read_pcm(path)[0])))  # noqa: B023  # called at once
        check_s.append(cpu_s(lambda: check_audio(root, one)))  # noqa: B023
    audio_s = float(np.median([(one.frames or 0) / (one.sample_rate or 1) for one in files]))
    for name, taken in (("decode + sha256 alone", alone_s), ("verify", check_s)):
        middle = float(np.median(taken))
        yield f"{name:24} {1000 * middle:7.1f} ms CPU per file, {audio_s / middle:6.0f} x real time"
    ratios = np.array(alone_s) / np.array(check_s)
    low, middle, high = np.percentile(100 * ratios, (25, 50, 75))
    yield f"{'speed of verify':24} {middle:7.0f} % of that (middle half {low:.0f} to {high:.0f}; goal 70)"


def many(dataset: Dataset, jobs: list[int]) -> Iterator[str]:
    """The whole of it, over processes. What it costs to begin them is told apart: a large dataset does not feel it."""
    one_cpu_s = one_wall_s = 0.0
    for count in jobs:
        before = _used_s()
        for _ in each(ready, range(count * 3 * BATCH), jobs=count):
            pass
        begin_s = _used_s() - before
        began, before = time.monotonic(), _used_s()
        findings, files = verify(dataset, jobs=count)
        wall_s, cpu_s_of_it = time.monotonic() - began, _used_s() - before - begin_s
        assert findings == []
        if count == jobs[0]:
            one_cpu_s, one_wall_s = cpu_s_of_it, wall_s
        yield (
            f"{count:3} processes {wall_s:7.2f} s wall ({one_wall_s / wall_s:.2f} x), "
            f"{1000 * cpu_s_of_it / files:7.1f} ms CPU per file "
            f"({one_cpu_s / cpu_s_of_it:.2f} of the speed per core), and {begin_s:.1f} s CPU to begin"
        )


def ready(_: int) -> None:
    """All that a process does once: imports, and compiled functions from their cache."""
    importlib.import_module("buscomp.manifests.audio_check")
    from buscomp.manifests import levels

    levels.loudness_lufs(np.zeros((44_100, 2), np.float32), 44_100)


def _used_s() -> float:
    """CPU time of this process and of those that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=240, help="of each song")
    parser.add_argument("--jobs", default="1,2", help="processes, by commas")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-verify-"))
    try:
        dataset = make_dataset(folder / "dataset", SONGS, max(2, given.takes // SONGS), given.seconds)
        print(
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; takes of {given.seconds:g} s, 24-bit stereo FLAC"
        )
        for line in one_core(dataset):
            print(line, flush=True)
        for line in many(dataset, [int(count) for count in given.jobs.split(",")]):
            print(line, flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

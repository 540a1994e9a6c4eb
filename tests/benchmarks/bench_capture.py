"""Virtual capture end to end, as a multiple of real time per core: simulate, record, examine, hash, FLAC, journal.

    python tests/benchmarks/bench_capture.py [--seconds 240] [--settings 4]

One song of the demo, at so many settings, through the real command with fingerprints off and on. CPU time of the
process (one thread of BLAS), less that of a capture which finds everything done already (start-up, imports).
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from buscomp.curation.demo_songs import DEMO_SONGS, render_song
from buscomp.manifests.pcm import Float32, quantise, write_wav

RATE = 44_100
THRESHOLDS = (-28, -24, -20, -16)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--seconds", type=float, default=240.0)
    words.add_argument("--settings", type=int, default=4, choices=(1, 2, 3, 4))
    words.add_argument("--seed", type=int, default=None, help="of a specimen with tolerances and harmonics")
    given = words.parse_args()
    print(f"{'fingerprints':<14}{'audio s':>9}{'CPU s':>8}{'x real time':>13}")
    audio = as_long_as(given.seconds)
    for fingerprint in (False, True):
        with tempfile.TemporaryDirectory(prefix="buscomp-bench-") as folder:
            root = Path(folder)
            write_wav(root / "songs" / "song.wav", quantise(audio), RATE)
            (root / "grid.yaml").write_text(
                "unit: ssl-500-bus\nfactors:\n"
                f"  threshold_db: {list(THRESHOLDS[: given.settings])}\n"
                "  attack_ms: [1]\n  release_s: [0.1]\n  ratio: [4]\n"
                f"expect: {given.settings}\nfingerprint: {str(fingerprint).lower()}\n"
            )
            seed = "null" if given.seed is None else str(given.seed)
            (root / "bench.yaml").write_text(f"kind: virtual\nspecimen_seed: {seed}\n")
            run(root, "catalog", "songs")
            whole_s = run(root, "capture", "--device", "bench", "--grid", "grid.yaml")
            idle_s = run(root, "capture", "--device", "bench", "--grid", "grid.yaml")
            audio_s = len(audio) / RATE * given.settings
            speed = audio_s / (whole_s - idle_s)
            print(f"{'on' if fingerprint else 'off':<14}{audio_s:>9.0f}{whole_s - idle_s:>8.1f}{speed:>13.0f}")


def as_long_as(seconds: float) -> Float32:
    """Music of so many seconds: the songs of the demo one after the other, as often as needed."""
    pieces = [render_song(song) for song in DEMO_SONGS]
    music = np.concatenate(pieces * math.ceil(seconds * RATE / sum(map(len, pieces))))
    return np.asarray(music[: round(seconds * RATE)], np.float32)


def run(root: Path, *words: str) -> float:
    """CPU seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
    subprocess.run(
        [sys.executable, "-m", "buscomp", *words], cwd=root, env=os.environ | threads, check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

"""Memory, descriptors and threads over 100,000 tiny takes: flat, or the daemon would not live for 105 days.

    python tests/benchmarks/campaign_memory.py                        100,000 takes without examination
    python tests/benchmarks/campaign_memory.py --takes 4000 --examined

Real: plan, session, playlist, attempts (WAV, FLAC, fsync), journal, manifests, state, log. The interface is one that
returns what it is sent, 137 samples later. Without `--examined` the examination of a recording is replaced by its
alignment alone and the rate is 8 kHz, since samples are most of the time of a take and nothing keeps them.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np

from buscomp.capture import capture as capture_module
from buscomp.capture import referee
from buscomp.capture.interface import Recording
from buscomp.capture.layout import TakeLayout
from buscomp.capture.staging import Staging
from buscomp.capture.take import Examined
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import Float32, pcm_sha256, quantise, write_flac
from buscomp.manifests.tables import write_table
from buscomp.tests import small_dataset
from buscomp.tests.benchmarks.campaign import BrokenPromiseError, capture, workshop

LATENCY_SAMPLES = 137
SONG_S = 0.1
SETTINGS = 50  # a snapshot after each
RATES = {True: 44_100, False: 8_000}  # Hz: examined or not
READINGS = 100  # in a run; the lowest of ten tells growth from what allocators keep back
ALLOWED_MB = 8.0  # growth of the lowest reading between the second tenth of the takes and the last one
DEVICE = """\
kind: virtual
sample_rate: {rate}
max_latency_samples: 512
"""
Reading = tuple[int, float, int, int]  # takes done, resident memory in MB, open descriptors, threads
GRID = """\
unit: ssl-500-bus
factors:
  threshold_db: [-28, -20]
  attack_ms: [0.1, 0.3, 1, 3, 10]
  release_s: [0.1]
  ratio: [1.5, 2, 3, 4, 5]
expect: 50
fingerprint: false
"""


class EchoInterface:
    """An `Interface` whose unit is a wire."""

    name = host_api = "echo"
    block_size = 1024

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._queued: deque[Float32] = deque()
        self._noise = np.random.default_rng(1).normal(0, 1e-5, (1 << 20, 2)).astype(np.float32)
        self._frame = 0

    def play(self, send: Float32) -> None:
        self._queued.append(send)

    def record(self) -> Recording:
        send = self._queued.popleft()
        audio = self._noise[: len(send)].copy()
        audio[LATENCY_SAMPLES:] += send[:-LATENCY_SAMPLES]
        frame, self._frame = self._frame, self._frame + len(send)
        return Recording(audio, stream_frame=frame)

    def withdraw(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to give back."""


class StillPanel:
    """A `Panel` that turns nothing."""

    hands_free = True

    def bring(self, *_: object) -> None:
        """Nothing to turn."""

    def close(self) -> None:
        """Nothing to give back."""


def make_songs(root: Path, count: int, rate: int) -> None:
    """A catalog of `count` songs of a tenth of a second, all of the same samples, and a grid and a device for them."""
    dataset = Dataset(root)
    row = small_dataset._song(dataset, 0, SONG_S)
    pcm = quantise(small_dataset.music(SONG_S, rate))
    row |= {"sample_rate": rate, "frames": len(pcm), "dry_sha256": pcm_sha256(pcm)}
    rows = []
    for number in range(count):
        song_id = f"song-{number:04d}"
        write_flac(root / dataset.dry_path(song_id), pcm, rate)
        rows.append({**row, "song_id": song_id, "dry_path": dataset.dry_path(song_id)})
    write_table(dataset.table_path("songs"), "songs", rows)
    (root / "grid.yaml").write_text(GRID)
    (root / "echo.yaml").write_text(DEVICE.format(rate=rate))


def aligned_only(
    dry: Float32, layout: TakeLayout, recording: Recording, staging: Staging, *_: object, **__: object
) -> Examined:
    """In the place of `take.examine`."""
    start = layout.song_start + LATENCY_SAMPLES
    wet = staging.trim(recording.audio[start : start + len(dry)])
    measured = {"sample_rate": layout.sample_rate, "frames": len(dry), "channels": 2}
    return Examined(quantise(wet), measured | {"integer_shift_samples": LATENCY_SAMPLES}, ())


def held() -> tuple[float, int, int]:
    """Resident memory in MB, open descriptors, threads."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free, but not given back
    status = Path("/proc/self/status").read_text()
    resident_kb = int(status.partition("VmRSS:")[2].split()[0])
    return resident_kb / 1024, len(os.listdir("/proc/self/fd")), threading.active_count()


def lowest(readings: list[Reading]) -> Reading:
    """The lowest of each figure."""
    takes, resident_mb, descriptors, threads = zip(*readings, strict=True)
    return min(takes), min(resident_mb), min(descriptors), min(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=100_000, help=f"a multiple of {SETTINGS}")
    parser.add_argument("--examined", action="store_true", help="examine every take in earnest")
    arguments = parser.parse_args()
    rate = RATES[arguments.examined]
    songs = max(arguments.takes // SETTINGS, 1)
    takes = songs * SETTINGS
    seen: list[Reading] = []
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done % max(takes // READINGS, 1) == 0:
            resident_mb, descriptors, threads = held()
            seen.append((done, resident_mb, descriptors, threads))
            minutes = (time.monotonic() - began) / 60
            if len(seen) % (READINGS // 10) == 0:
                print(f"{done:>7}  {resident_mb:>8.1f}  {descriptors:>11}  {threads:>7}  {minutes:>7.1f}", flush=True)

    capture_module.open_interface = lambda *_: EchoInterface(rate)
    capture_module.open_panels = lambda *_: (StillPanel(),)  # type: ignore[assignment]
    if not arguments.examined:
        referee.examine = aligned_only  # type: ignore[attr-defined]
    with workshop() as folder:
        make_songs(folder, songs, rate)
        began = time.monotonic()
        print(f"{takes} takes of {SONG_S} s, {'' if arguments.examined else 'not '}examined")
        print("  takes    RSS, MB  descriptors  threads  minutes")
        capture(folder, progress=lambda total: count, device=str(folder / "echo.yaml"))
        counts = Dataset(folder).journal().counts()
    if counts != {"accepted": takes}:
        raise BrokenPromiseError(f"not every take was accepted: {counts}")
    tenth = len(seen) // 10
    early, late = lowest(seen[tenth : 2 * tenth]), lowest(seen[-tenth:])
    grown_mb, descriptors, threads = late[1] - early[1], late[2] - early[2], late[3] - early[3]
    print(f"from {early[0]} to {late[0]} takes, the lowest of {tenth} readings each: {grown_mb:+.1f} MB, ", end="")
    print(f"{descriptors:+d} descriptors, {threads:+d} threads")
    if grown_mb > ALLOWED_MB or descriptors > 0 or threads > 0:
        raise BrokenPromiseError("something grows")


if __name__ == "__main__":
    main()

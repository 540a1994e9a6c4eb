"""The virtual compressor against pedalboard's: CPU time of 60 s of stereo music, alternated in one run, medians.

    python tests/benchmarks/bench_compressor.py [--trials N]

pedalboard's Compressor is feed-forward, without a knee and without AUTO: not the same processor, but what there is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pedalboard

from buscomp.capture.analogue import Colour, planar
from buscomp.capture.interface import play_and_record
from buscomp.capture.simulator import Knobs, compress, compress_lanes, gain_lanes, rested_state
from buscomp.capture.specimen import Specimen
from buscomp.capture.virtual import BLOCK_FRAMES, VirtualInterface
from buscomp.tests.capture_music import song

RATE, SECONDS = 44_100, 60
USUAL: dict[str, Any] = {"threshold_db": -28.0, "ratio": 4.0, "attack_ms": 1.0, "release_s": 0.2}
SETTINGS = [
    Knobs(threshold_db, ratio, attack_ms, release_s)
    for threshold_db in (-28, -24, -20, -16)
    for ratio in (2, 4)
    for attack_ms in (0.1, 0.3, 1, 3)
    for release_s in (0.1, None)
]
SINGLE_GOAL, LANES_GOAL = 0.8, 10.0  # times pedalboard
RECORD_GOAL_MS = 3.0  # of CPU per second of audio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5)
    trials = parser.parse_args().trials
    music = np.ascontiguousarray(np.tile(song(1, 6.0) * np.float32(1.78), (SECONDS // 6, 1)))
    turned, blocks = np.ascontiguousarray(music.T), np.array_split(music, SECONDS)
    peer = pedalboard.Compressor(threshold_db=-28, ratio=4, attack_ms=1, release_ms=200)
    specimen = Specimen.of_seed(1)

    def lanes(count: int, run: Callable[..., object]) -> Callable[[], None]:
        def whole_song() -> None:
            for block in blocks[:: len(blocks) // 12]:  # 12 s, a second at a time
                run(block, RATE, SETTINGS[:count])

        return whole_song

    def coloured() -> None:
        state, colour = rested_state(), Colour(specimen, RATE, 2)
        for begin in range(0, len(music), BLOCK_FRAMES):
            output, _ = compress(music[begin : begin + BLOCK_FRAMES], RATE, **USUAL, specimen=specimen, state=state)
            colour.through(planar(output))

    def recorded() -> None:
        interface = VirtualInterface(sample_rate=RATE, specimens=[specimen])
        interface.turn(USUAL)
        play_and_record(interface, music)

    candidates: dict[str, tuple[Callable[[], object], float]] = {  # and how many times 60 s they are
        "pedalboard Compressor": (lambda: peer.process(turned, RATE, reset=False), 1),
        "compress": (lambda: compress(music, RATE, **USUAL), 1),
        "compress, AUTO": (lambda: compress(music, RATE, **USUAL | {"release_s": None}), 1),
        "compress + harmonics + coupling": (coloured, 1),
        "VirtualInterface, everything": (recorded, 1),
    }
    for count in (16, 32, 64):
        candidates[f"compress_lanes, {count} settings"] = lanes(count, compress_lanes), count * 12 / SECONDS
        candidates[f"gain_lanes, {count} settings"] = lanes(count, gain_lanes), count * 12 / SECONDS
    spent: dict[str, list[float]] = {name: [] for name in candidates}
    for trial in range(trials + 1):
        for name, (run, amount) in candidates.items():
            begin = time.process_time()
            run()
            if trial:  # the first compiles
                spent[name].append((time.process_time() - begin) / amount)
    medians = {name: statistics.median(times) for name, times in spent.items()}
    print(f"{'':34} {'ms per 60 s':>12} {'x real time':>12} {'x pedalboard':>13}  goal")
    for name, median in medians.items():
        goal = LANES_GOAL if "lanes" in name else SINGLE_GOAL if name.startswith("compress") else None
        met = f">= {goal:g}" if goal else f"<= {RECORD_GOAL_MS:g} ms per s" if "everything" in name else ""
        ratio = medians["pedalboard Compressor"] / median
        print(f"{name:34} {1e3 * median:12.1f} {SECONDS / median:12.0f} {ratio:13.1f}  {met}")


if __name__ == "__main__":
    main()

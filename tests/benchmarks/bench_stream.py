"""What the stream's callback costs against a bare copy, and the software's time between takes on the rig.

    python tests/benchmarks/bench_stream.py [--trials 21] [--takes 20] [--no-rig]

Callback: CPU time of one block, `Player` against the two slice copies that nobody can do without, alternated, median;
the period at 44.1 kHz is the limit. Gap: frames between the end of a take and the next one, in real time on JACK, once
with the next take queued while the one before plays (and this process busy meanwhile), once one after the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from buscomp.capture.interface import Recording, play_and_record
from buscomp.capture.player import Player, Take
from buscomp.capture.portaudio import PortAudioInterface
from buscomp.manifests.pcm import Float32
from buscomp.tests.rig.conftest import one_rig_at_a_time
from buscomp.tests.rig.rig import missing

RATE = 44100
BLOCKS = 200  # callbacks measured at once
TAKE_S = 1.0
BUSY_S = 0.7  # this process computes for so long while the next take plays


class Count:
    value = 0


def callback_us(trials: int, channels: int, block_size: int) -> tuple[float, float]:
    """CPU time in us for one block: the player's, and that of a bare copy."""
    frames = BLOCKS * block_size
    send, returned = np.zeros((frames, channels), np.float32), np.zeros((frames, channels), np.float32)
    indata, outdata = np.ones((block_size, channels), np.float32), np.zeros((block_size, channels), np.float32)

    def play() -> None:
        player = Player(Count(), RATE)
        player.queue(Take(0, frames, send, returned))
        for _ in range(BLOCKS):
            player(indata, outdata, block_size, None, None)

    def copy() -> None:
        for begin in range(0, frames, block_size):
            outdata[:] = send[begin : begin + block_size]
            returned[begin : begin + block_size] = indata

    played, copied = [], []
    for _ in range(trials):
        played.append(_cpu_us(play))
        copied.append(_cpu_us(copy))
    return statistics.median(played) / BLOCKS, statistics.median(copied) / BLOCKS


def gaps_ms(recordings: list[Recording]) -> list[float]:
    """Stream time between the end of each take and the next."""
    return [
        1000 * (after.stream_frame - before.stream_frame - len(before.audio)) / RATE
        for before, after in pairwise(recordings)
    ]


def queued(interface: PortAudioInterface, send: Float32, takes: int) -> list[Recording]:
    """Take n+1 is queued before n is over; n is worked on while n+1 plays."""
    recordings: list[Recording] = []
    interface.play(send)
    for number in range(takes):
        if number + 1 < takes:
            interface.play(send)
        recordings.append(interface.record())
        end = time.monotonic() + BUSY_S
        while number + 1 < takes and time.monotonic() < end:
            np.sort(recordings[-1].audio[:, 0])
    return recordings


def _cpu_us(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return 1e6 * (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=21)
    parser.add_argument("--takes", type=int, default=20)
    parser.add_argument("--no-rig", action="store_true")
    words = parser.parse_args()

    print("callback, CPU us a block      player   copy  ratio   of the period")
    for channels, block_size in ((2, 64), (2, 256), (2, 1024), (8, 1024), (16, 1024)):
        player_us, copy_us = callback_us(words.trials, channels, block_size)
        share = 100 * player_us / (1e6 * block_size / RATE)
        print(
            f"  {channels:2d} channels x {block_size:4d} frames  {player_us:8.2f} {copy_us:6.2f}"
            f" {player_us / copy_us:6.2f}  {share:8.3f} %"
        )
    if words.no_rig or missing():
        return
    send = (0.1 * np.random.default_rng(1).standard_normal((round(TAKE_S * RATE), 2))).astype(np.float32)
    with one_rig_at_a_time() as start:
        rig = start()
        interface = PortAudioInterface(rig.profile, len(send))
        try:
            one_stream = queued(interface, send, words.takes)
            one_by_one = [play_and_record(interface, send) for _ in range(words.takes)]
        finally:
            interface.close()
    print(f"time between takes on the rig, ms    median     max   (goal 50; {words.takes} takes of {TAKE_S:g} s)")
    for name, recordings in (("queued while the one before plays", one_stream), ("one after the other", one_by_one)):
        gaps = gaps_ms(recordings)
        flags = sum(len(recording.xrun_frames) for recording in recordings)
        print(f"  {name:33s} {statistics.median(gaps):7.2f} {max(gaps):7.2f}   {flags} driver flags")


if __name__ == "__main__":
    main()

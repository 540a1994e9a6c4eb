"""Loudness, true peak and all other measures of a song: right, and how fast, beside libebur128, pyloudnorm and numpy.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_loudness.py [--seconds 240] [--times 5]

CPU time of this process, candidates alternated, medians. Two programmes: music with free peaks, and the same driven
12 dB into a limiter, where nearly every block reaches the peak and little can be skipped.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pyebur128
import pyloudnorm
import scipy.fft
import scipy.ndimage

from buscomp.curation.song_measures import clipped_runs, first_look, measure_song
from buscomp.manifests import levels
from buscomp.manifests.loudness import integrated_lufs, measure_loudness
from buscomp.manifests.pcm import Float32
from buscomp.manifests.true_peak import STANDARD, true_peak
from buscomp.tests.small_dataset import music

RATE = 44_100
Modes = pyebur128.MeasurementMode


def limited(audio: Float32, drive_db: float = 12.0) -> Float32:
    """`audio` driven into a limiter."""
    loud = audio / np.abs(audio).max() * levels.from_db(drive_db)
    gain = np.minimum(1, 1 / np.maximum(np.abs(loud).max(axis=1), 1e-9))
    gain = scipy.ndimage.uniform_filter1d(scipy.ndimage.minimum_filter1d(gain, 441), 441)
    return np.asarray(0.95 * loud * gain[:, np.newaxis], np.float32)


def libebur128(audio: Float32, modes: int) -> pyebur128.R128State:
    """Its state after `audio`."""
    state = pyebur128.R128State(audio.shape[1], RATE, modes)
    state.add_frames(audio.reshape(-1), len(audio))
    return state


def separately(audio: Float32) -> list[float]:
    """The measures of a song, one after the other, as they come to hand with numpy and libebur128."""
    state = libebur128(audio, Modes.MODE_I | Modes.MODE_LRA | Modes.MODE_TRUE_PEAK)
    magnitude = np.abs(audio)
    peak = float(magnitude.max())
    loud = np.flatnonzero(magnitude.max(axis=1) >= peak / 1000)
    moments = len(audio) // (RATE // 2)
    of_moments = magnitude[: moments * (RATE // 2)].reshape(moments, -1).max(axis=1)
    correlation = np.asarray(np.corrcoef(audio.T))
    return [
        pyebur128.get_loudness_global(state),
        pyebur128.get_loudness_range(state),
        max(pyebur128.get_true_peak(state, channel) for channel in range(audio.shape[1])),
        peak,
        float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))),
        float(np.abs(audio.mean(axis=0, dtype=np.float64)).max()),
        float(correlation[0, 1]),
        levels.clipped_runs(audio),
        float(loud[0]),
        float(len(audio) - 1 - loud[-1]),
        float(np.mean(of_moments >= peak * levels.from_db(-0.5))),
    ]


def together(audio: Float32) -> object:
    """The same, ours."""
    look = first_look(audio)
    return measure_song(audio, RATE, look), clipped_runs(audio, look)


def medians_ms(works: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Median CPU time of each, ms, alternated; the first round compiles and does not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(times + 1):
        for name, work in works.items():
            began = time.process_time()
            work()
            taken[name].append(1000 * (time.process_time() - began))
    return {name: float(np.median(each[1:])) for name, each in taken.items()}


def right(audio: Float32) -> None:
    """Print how far loudness and true peak are from their references."""
    state = libebur128(audio, Modes.MODE_I | Modes.MODE_LRA)
    ours = measure_loudness(audio, RATE)
    lufs, range_lu = pyebur128.get_loudness_global(state), pyebur128.get_loudness_range(state)
    peer = pyloudnorm.Meter(RATE).integrated_loudness(audio)
    print(f"    loudness {ours.integrated_lufs:.4f}, libebur128 {lufs:.4f}, pyloudnorm {peer:.4f} LUFS")
    print(f"    range {ours.range_lu:.3f}, libebur128 {range_lu:.3f} LU (it looks once a second, we ten times)")
    short = audio[: 10 * RATE]
    padded = np.pad(short, ((1024, 1024), (0, 0)))
    finer = 16 * np.abs(scipy.fft.irfft(scipy.fft.rfft(padded, axis=0), 16 * len(padded), axis=0)).max()
    phases = [*STANDARD, *STANDARD[:, ::-1]]
    standard = max(float(np.abs(np.convolve(channel, taps)).max()) for channel in short.T for taps in phases)
    found = levels.db(true_peak(short))
    print(f"    true peak of 10 s {found:.4f}, 48 taps {levels.db(standard):.4f}, 16 x {levels.db(finer):.4f} dBTP")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    song = music(given.seconds)
    for name, audio in (("music", song), ("limited music", limited(song))):
        print(f"{name}, {given.seconds} s stereo at {RATE} Hz")
        right(audio)
        meter = pyloudnorm.Meter(RATE)
        taken = medians_ms(
            {
                "loudness": partial(integrated_lufs, audio, RATE),
                "loudness, libebur128": partial(libebur128, audio, Modes.MODE_I),
                "loudness, pyloudnorm": partial(meter.integrated_loudness, audio),
                "true peak": partial(true_peak, audio),
                "all measures": partial(together, audio),
                "all, numpy and libebur128": partial(separately, audio),
            },
            given.times,
        )
        for work, ms in taken.items():
            print(f"    {work:26} {ms:8.1f} ms  {1000 * given.seconds / ms:8.0f} x real time")
        print(f"    loudness is {taken['loudness, libebur128'] / taken['loudness']:.1f} x libebur128,", end=" ")
        print(f"all measures {taken['all, numpy and libebur128'] / taken['all measures']:.1f} x numpy and libebur128")


if __name__ == "__main__":
    main()

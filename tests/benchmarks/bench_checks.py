"""Are faults found, each by its own reason, and are right takes left alone?

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_checks.py [--trials 50] [--clean 500] [--only drop,zero]

Every trial is a new take: a song, a unit, a setting, a latency and a place, drawn from its number, through the virtual
unit over a floor of -100 dBFS, the fault in it, then `examine`. Columns: any alarm; the right reason among the alarms;
the right reason alone; what came with it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyloudnorm

from buscomp.capture.faults import FAULTS, Place
from buscomp.capture.specimen import DETENTS, Specimen
from buscomp.capture.take import Examined, Expected
from buscomp.manifests.loudness import integrated_lufs
from buscomp.manifests.pcm import Float32
from buscomp.tests.capture_music import song
from buscomp.tests.capture_takes import VirtualTake, virtual_take

SONGS, SONG_S, WIDTHS = 24, 6.0, (1.0, 0.5, 0.2)
SONG_START_S = 1.206  # settle, chirp and gap before it
NOISE_DBFS = -100.0
LEAST_REDUCTION_DB = 1.5  # of the takes in which a bypass must show


@dataclass(frozen=True)
class Cell:
    """One fault, and the reason that it must get. `{at}` is a place in the song, in seconds of the recording."""

    fault: str
    reason: str
    loopback: bool = False
    flagged: bool = False


CELLS = [
    *(Cell(f"drop:{size}@{{at}}", "lost_samples") for size in (1, 2, 16, 64, 256, 4096)),
    *(Cell(f"insert:{size}@{{at}}", "inserted_samples") for size in (1, 2, 16, 64, 256, 4096)),
    *(Cell(f"zero:{size}@{{at}}", "zeroed_block") for size in (1, 2, 4, 8, 16, 64, 256)),
    *(Cell(f"zero:{size}@{{at}}", "zeroed_block", loopback=True) for size in (1, 2, 4)),
    *(Cell(f"repeat:{size}@{{at}}", "repeated_block") for size in (1, 2, 4, 8, 16, 64, 200, 256)),
    *(Cell(f"repeat:{size}@{{at}}", "repeated_block", loopback=True) for size in (1, 2, 4)),
    Cell("zero:256@{at}", "zeroed_block", flagged=True),
    Cell("repeat:256@{at}", "repeated_block", flagged=True),
    Cell("drop:256@{at}", "lost_samples", flagged=True),
    Cell("swap", "channel_swap"),
    *(Cell(f"polarity:{side}", f"polarity_{side}") for side in ("left", "right")),
    Cell("polarity:both", "polarity"),
    Cell("mono", "mono_return"),
    *(Cell(f"mute:{side}", "missing_return") for side in ("left", "right")),
    Cell("mute:both", "silent_return"),
    Cell("dead", "silent_return"),
    Cell("dead@{at}", "silent_return"),
    *(Cell(f"clip:{{peak}}-{below}", "clipped_return") for below in (1, 3, 6, 12)),
    *(Cell(f"dc:{level}", "dc_offset") for level in ("0.0006", "-0.01")),
    *(Cell(f"hum:{value}", "hum") for value in ("-78", "-60", "-78/60", "-60/60")),
    *(Cell(f"noise:{level}", "noise_floor") for level in (-92, -70)),
    *(Cell(f"gain:{level}", "static_gain") for level in (0.25, -0.25, -3)),
    *(Cell(f"imbalance:{level}", "static_gain") for level in (0.25, -1)),
    *(Cell(f"drift:{ppm}", "clock_drift") for ppm in (0.5, 1, -10, 100)),
    *(Cell(f"latency:{samples}", "latency_jump") for samples in (1, 64)),
    Cell("bypass", "bypass"),
    Cell("loopback", "bypass"),
    Cell("stale", "wrong_song"),
    Cell("xrun@{at}", ""),
]


@dataclass(frozen=True)
class Draw:
    """What one trial is made of."""

    dry: Float32
    values: Mapping[str, object]
    specimen: Specimen
    latency_samples: float
    at_s: float  # of the fault, in the recording
    seed: int

    @classmethod
    def of(cls, *numbers: int) -> Draw:
        """Of a trial with these numbers."""
        random = np.random.default_rng(numbers)
        dry = song(int(random.integers(SONGS)), SONG_S, width=WIDTHS[int(random.integers(len(WIDTHS)))])
        values = {
            name: DETENTS[name][int(random.integers(len(DETENTS[name])))]
            for name in ("threshold_db", "ratio", "attack_ms", "release_s")
        }
        return cls(
            dry,
            values,
            Specimen.of_seed(int(random.integers(1000))),
            float(random.uniform(400, 4000)),
            SONG_START_S + float(random.uniform(0.5, SONG_S - 0.5)),
            int(random.integers(1 << 30)),
        )

    @property
    def expected(self) -> Expected:
        """What a calibration of this unit would have told."""
        left_db, right_db = self.specimen.channel_gains_db
        return Expected((left_db + right_db) / 2, left_db - right_db, NOISE_DBFS, None, self.latency_samples)

    def take(self, faults: Iterable[str] = (), loopback: bool = False, before: Float32 | None = None) -> VirtualTake:
        """It, through the virtual unit."""
        return virtual_take(
            self.dry,
            self.values,
            faults=list(faults),
            latency_samples=self.latency_samples,
            noise_dbfs=NOISE_DBFS,
            seed=self.seed,
            loopback=loopback,
            specimen=self.specimen,
            before=before,
        )


def spoiled(cell: Cell, trial: int) -> Examined:
    """Trial number `trial` of a cell, examined."""
    draw = Draw.of(CELLS.index(cell), trial)
    expected, peak_db = draw.expected, 0.0
    name = cell.fault.partition(":")[0]
    before = song(trial % SONGS + 100, SONG_S) if name == "stale" else None
    if FAULTS[name].place is Place.UNIT if name in FAULTS else False:
        reduction_db, retry = 0.0, 0
        while reduction_db < LEAST_REDUCTION_DB:
            retry += 1
            draw = Draw.of(CELLS.index(cell), trial, retry)
            reduction_db = float(draw.take().examine().measured["gain_reduction_mean_db"])
        expected = replace(draw.expected, gain_reduction_db=reduction_db)
    if name == "clip":
        clean = draw.take()
        begin = clean.layout.song_start
        peak_db = float(20 * np.log10(np.abs(clean.recording.audio[begin : begin + len(draw.dry) + 4096]).max()))
    fault = cell.fault.format(at=f"{draw.at_s:.4f}", peak="")
    if name == "clip":
        fault = f"clip:{peak_db + float(fault.partition(':')[2]):.4f}"
    flags = [f"xrun@{draw.at_s:.4f}"] if cell.flagged else []
    return draw.take([fault, *flags], cell.loopback, before).examine(expected=expected)


def row(cell: Cell, trial: int) -> tuple[str, ...]:
    """The reasons of one trial."""
    return spoiled(cell, trial).reasons


def clean(trial: int) -> dict[str, str]:
    """The alarms of right take number `trial`, with what was told."""
    draw = Draw.of(1 << 20, trial)
    expected = draw.expected
    return draw.take(loopback=trial % 2 == 0).examine(expected=expected).details


def table(cells: list[Cell], trials: int, pool: ProcessPoolExecutor) -> Iterator[str]:
    """A line per cell."""
    yield f"{'fault':24} {'must be':18} {'found':>7} {'right':>7} {'alone':>7}  besides"
    for cell in cells:
        found = list(pool.map(partial(row, cell), range(trials), chunksize=max(1, trials // 8)))
        own = {cell.reason, *(["xrun"] if cell.flagged else [])} - {""}
        any_alarm, right, alone = (
            100 * sum(told) / trials
            for told in (
                [bool(codes) for codes in found],
                [cell.reason in codes or (not cell.reason and not codes) for codes in found],
                [set(codes) == own for codes in found],
            )
        )
        besides = Counter(code for codes in found for code in codes if code not in own)
        mark = " (loopback)" if cell.loopback else " (flagged)" if cell.flagged else ""
        name = cell.fault.replace("@{at}", "").replace("{peak}", "peak") + mark
        told = ", ".join(f"{code} {count}" for code, count in besides.most_common())
        yield f"{name:24} {cell.reason or 'nothing':18} {any_alarm:6.0f}% {right:6.0f}% {alone:6.0f}%  {told}"


def cpu_ms(work: Callable[[], object], times: int = 5) -> float:
    """Median CPU time of `work`, ms, once it is compiled."""
    work()
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - began))
    return float(np.median(taken))


def speed(seconds: int) -> Iterator[str]:
    """What an examination costs, and loudness beside its peer."""
    draw = replace(Draw.of(0), dry=np.tile(song(1, SONG_S), (round(seconds / SONG_S), 1)))
    alone, looped = draw.take(), draw.take(loopback=True)
    wet = alone.recording.audio
    for name, work in (("examination", alone.examine), ("with a loopback", looped.examine)):
        taken_ms = cpu_ms(work)
        yield f"{name:18} {taken_ms / seconds:6.2f} ms CPU per second, {1000 * seconds / taken_ms:.0f} x real time"
    meter = pyloudnorm.Meter(44_100)
    ours_ms, peer_ms = cpu_ms(lambda: integrated_lufs(wet, 44_100)), cpu_ms(lambda: meter.integrated_loudness(wet))
    yield f"{'loudness':18} {ours_ms / seconds:6.2f} ms CPU per second, {peer_ms / ours_ms:.1f} x as fast as pyloudnorm"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50, help="per fault")
    parser.add_argument("--clean", type=int, default=500, help="right takes")
    parser.add_argument("--only", default="", help="faults whose name begins with one of these, by commas")
    parser.add_argument("--seconds", type=int, default=240, help="of the take whose examination is timed; 0: none")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    cells = [cell for cell in CELLS if any(cell.fault.startswith(name) for name in given.only.split(","))]
    began = time.monotonic()
    with ProcessPoolExecutor(given.workers) as pool:
        for line in table(cells, given.trials, pool) if given.trials else ():
            print(line, flush=True)
        if given.clean:
            alarms = list(pool.map(clean, range(given.clean), chunksize=10))
            wrong = [(trial, told) for trial, told in enumerate(alarms) if told]
            print(f"{given.clean} right takes of varied songs, units and settings: {len(wrong)} false alarms")
            for trial, told in wrong:
                print(f"    {trial}: {told}")
    for line in speed(given.seconds) if given.seconds else ():
        print(line, flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

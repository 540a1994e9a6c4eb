"""How often a wrong knob is caught and named, and how often a right one is blamed. A script:

    python tests/benchmarks/bench_fingerprint.py [--trials 60] [--units feedback,feed-forward,pedalboard]

Units are simulated, each with a tolerance of its own behind every detent (threshold +-1 dB, ratio +-10 %, attack
+-20 %, release +-15 %, uniform) and, at each visit, level drift (+-0.05 dB at the input, +-0.05 dB at the output),
thermal drift (+-3 degrees at 0.33 % per degree), a fractional delay and noise at -95 dBFS. `feedback` is the loop that
the fitted model uses; `feed-forward` is another topology with another knee, detector and AUTO; `pedalboard` is the
compressor of JUCE, which nobody here wrote (it has no AUTO). Settings are those of the shipped grid.yaml, 144 + 76.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numba
import numpy as np
from scipy import signal

import buscomp.capture
from buscomp.capture.fingerprint import Fingerprint, measure_fingerprint
from buscomp.capture.fingerprint_model import fit_model
from buscomp.capture.fingerprint_signal import fingerprint_signal
from buscomp.capture.grid import load_grid
from buscomp.capture.latency import delay_by_fraction
from buscomp.capture.order import visit_order
from buscomp.capture.references import References
from buscomp.capture.simulator import Knobs, compress
from buscomp.capture.specimen import Specimen, WarmUp
from buscomp.capture.verdict import Verdict, judge, judge_and_learn
from buscomp.manifests.levels import from_db
from buscomp.manifests.pcm import FULL_SCALE
from buscomp.manifests.unit import AUTO, Position, Setting, Unit, load_unit

RATE = 44_100
NOISE_DBFS = -95.0
SPECIMENS, RIGHT = 3, 5  # right visits per wrong one of each kind
FIRST = 40  # settings of a new unit
ROOM = Path(buscomp.capture.__file__).parent
SENT = fingerprint_signal(RATE)
Values = Mapping[str, Position]


@numba.njit(cache=True)
def feed_forward(wave, threshold_db, slope, attack, release, slow, knee_db):
    """Gain in dB (frames,): rectified level, gain computer, then smoothing of the gain (Giannoulis et al. 2012, the
    branching log-domain design); `slow` above 0 blends a second release in, as an AUTO of its own kind."""
    gain_db = np.zeros(len(wave))
    first = second = 0.0
    for n in range(len(wave)):
        over = 20 * math.log10(max(abs(wave[n]), 1e-6)) - threshold_db
        if over <= -knee_db / 2:
            wanted = 0.0
        elif over < knee_db / 2:
            wanted = slope * (over + knee_db / 2) ** 2 / (2 * knee_db)
        else:
            wanted = slope * over
        first += (attack if wanted > first else release) * (wanted - first)
        second += (attack / 50 if wanted > second else slow) * (wanted - second)
        gain_db[n] = -max(first, second) if slow > 0 else -first
    return gain_db


class Built:
    """One unit as built: its own value behind each detent, its own drift at each visit."""

    def __init__(self, kind: str, unit: Unit, seed: int):
        self.kind, self.unit = kind, unit
        self.random = np.random.default_rng(seed)
        self.specimen = Specimen.of_seed(seed)
        draw = self.random.uniform
        self.true: dict[tuple[str, Position], float] = {}
        for position in unit.controls["threshold_db"].positions:
            self.true["threshold_db", position] = float(position) + draw(-1, 1)
        for name, share in (("ratio", 0.1), ("attack_ms", 0.2), ("release_s", 0.15)):
            for position in unit.controls[name].positions:
                if position != AUTO:
                    self.true[name, position] = float(position) * (1 + draw(-share, share))

    def visit(self, values: Values, threshold_offset_db: float = 0.0, makeup_db: float = 0.0) -> Fingerprint:
        """The fingerprint of one visit with the knobs at `values`."""
        draw = self.random.uniform
        threshold, ratio = (self.true[name, values[name]] for name in ("threshold_db", "ratio"))
        attack, release = (
            None if values[name] == AUTO else self.true[name, values[name]] for name in ("attack_ms", "release_s")
        )
        threshold_drift_db, warmth = threshold_offset_db + draw(-0.05, 0.05), draw(-3, 3)
        wave: np.ndarray = SENT[:, :1].astype(np.float64)
        if self.kind == "feedback":  # the virtual unit, whose specimens have tolerances of their own
            knobs = Knobs.of(values)
            gain_db = compress(
                SENT[:, :1],
                RATE,
                threshold_db=knobs.threshold_db,
                ratio=knobs.ratio,
                attack_ms=knobs.attack_ms,
                release_s=knobs.release_s,
                sidechain_hpf_hz=knobs.sidechain_hpf_hz,
                engaged=knobs.engaged,
                specimen=replace(
                    self.specimen,
                    threshold_errors_db=tuple(e + threshold_drift_db for e in self.specimen.threshold_errors_db),
                    warm_up=WarmUp(warmth, 1e12),
                ),
            )[1].astype(np.float64)
        elif values["engaged"] is False:
            gain_db = np.zeros(len(wave))
        else:
            corner = values["sidechain_hpf_hz"]
            heard = wave if corner == "off" else high_passed(wave, float(corner))
            ratio = 1 + (ratio - 1) * (1 + 0.0033 * warmth)
            gain_db = GAINS[self.kind](heard, threshold + threshold_drift_db, ratio, attack, release)
        wet = wave * 10 ** ((gain_db[:, None] + makeup_db + draw(-0.05, 0.05)) / 20)
        fraction = draw(-0.5, 0.5)
        delayed = delay_by_fraction(np.repeat(wet, 2, axis=1).astype(np.float32), fraction)
        noisy = delayed + from_db(NOISE_DBFS) * self.random.standard_normal(delayed.shape)
        returned = np.clip(np.rint(noisy * FULL_SCALE) / FULL_SCALE, -1, 1 - 1 / FULL_SCALE).astype(np.float32)
        return measure_fingerprint(SENT, returned, RATE, noise_dbfs=NOISE_DBFS, fraction_samples=fraction)


def high_passed(wave: np.ndarray, corner_hz: float) -> np.ndarray:
    sections = signal.butter(2, corner_hz, "highpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sections, wave, axis=0))


def feed_forward_gain(wave, threshold_db, ratio, attack_ms, release_s):
    def step(seconds: float) -> float:
        return -math.expm1(-1 / (seconds * RATE))

    release, slow = (step(0.06), step(3.0)) if release_s is None else (step(release_s), 0.0)
    return feed_forward(wave[:, 0], threshold_db, 1 - 1 / ratio, step(attack_ms / 1000), release, slow, 10.0)


def pedalboard_gain(wave, threshold_db, ratio, attack_ms, release_s):
    from pedalboard import Compressor

    board = Compressor(threshold_db, ratio, attack_ms, 1000 * release_s)
    wet = board(wave.T.astype(np.float32), RATE)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(np.abs(wave[:, 0]) > 1e-7, wet / wave[:, 0], 1.0)
    return 20 * np.log10(np.maximum(np.abs(gain), 1e-5))


GAINS: dict[str, Callable[..., np.ndarray]] = {
    "feed-forward": feed_forward_gain, "pedalboard": pedalboard_gain,
}  # fmt: skip


def wrong_visits(built: Built, setting: Setting) -> dict[str, Fingerprint]:
    """One fingerprint per way of getting `setting` wrong."""
    random, unit, found = built.random, built.unit, {}
    for name in ("threshold_db", "ratio", "attack_ms", "release_s"):
        positions = [p for p in unit.controls[name].positions if built.kind != "pedalboard" or p != AUTO]
        index = positions.index(setting.values[name])
        index += random.choice([step for step in (-1, 1) if 0 <= index + step < len(positions)])
        found[f"{name} detent"] = built.visit({**setting.values, name: positions[index]})
    found["threshold_db 0.5 dB"] = built.visit(setting.values, threshold_offset_db=random.choice([-0.5, 0.5]))
    found["makeup_db 1 dB"] = built.visit(setting.values, makeup_db=random.choice([-1.0, 1.0]))
    found["engaged off"] = built.visit({**setting.values, "engaged": False})
    found["sidechain_hpf_hz detent"] = built.visit({**setting.values, "sidechain_hpf_hz": random.choice([30, 60, 105])})
    return found


class Tally:
    """Counts per cell."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.cells: dict[str, list[tuple[Verdict, bool]]] = {}

    def add(self, cell: str, setting: Setting, verdict: Verdict, verbose: bool) -> None:
        """One trial. The first word of a cell is the knob that was wrong."""
        named = verdict.knob == cell.split()[0]
        self.cells.setdefault(cell, []).append((verdict, named))
        right = verdict.verdict == "match" if cell == "right" else verdict.verdict == "mismatch" and named
        if verbose and not right:
            print(f"  {cell}: {setting.setting_id} {verdict.verdict}: {verdict.told} ({verdict.distance_db:.3f} dB)")

    def show(self) -> None:
        print(f"\n{self.title}\n{'':28}{'n':>5}{'mismatch':>10}{'named':>8}{'unknown':>9}{'match':>7}")
        for cell, found in self.cells.items():
            n = len(found)
            caught = [named for verdict, named in found if verdict.verdict == "mismatch"]
            unknown = sum(verdict.verdict == "unknown" for verdict, _ in found)
            named = f"{sum(caught) / len(caught):8.1%}" if caught else f"{'-':>8}"
            rest = (n - len(caught) - unknown) / n
            print(f"{cell:28}{n:5}{len(caught) / n:10.1%}{named}{unknown / n:9.1%}{rest:7.1%}")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--trials", type=int, default=60, help="per kind of unit and cell")
    words.add_argument("--units", default="feedback,feed-forward,pedalboard")
    words.add_argument("--visited", type=int, default=60, help="settings that were visited before")
    words.add_argument("--verbose", action="store_true", help="every verdict that is not the best one")
    chosen = words.parse_args()
    unit = load_unit(ROOM / "ssl-500-bus.yaml")
    settings = load_grid(ROOM / "grid.yaml").settings(unit)
    for kind in chosen.units.split(","):
        bench(kind, unit, settings, chosen.trials, chosen.visited, chosen.verbose)


def from_the_first(built: Built, settings: Iterable[Setting], unit: Unit, tally: Tally) -> None:
    """Right settings only, from the very first visit of a unit on: what a capture meets."""
    references, model = References(unit.unit_id), None
    for setting in settings:
        fingerprint = built.visit(setting.values)
        verdict, model = judge_and_learn(fingerprint, setting, unit, references, model, RATE)
        tally.add("right", setting, verdict, verdict.verdict == "mismatch")
        references = references.with_visit(setting, fingerprint)


def bench(kind: str, unit: Unit, settings: list[Setting], trials: int, visited: int, verbose: bool) -> None:
    """Tables for one kind of unit, three specimens of it."""
    usable = [s for s in settings if kind != "pedalboard" or s.values["release_s"] != AUTO]
    with_own = Tally(f"{kind}: the setting was visited before, as were {visited - 1} others")
    fitted = Tally(f"{kind}: the setting is new, {visited} others were visited")
    nominal = Tally(f"{kind}: the unit is new")
    nothing = References(unit.unit_id)
    prior, judging = fit_model(unit, nothing, RATE), []
    for seed in range(SPECIMENS):
        built = Built(kind, unit, seed)
        order = built.random.permutation(len(usable))
        before, others = [usable[i] for i in order[:visited]], [usable[i] for i in order[visited:]]
        references = nothing
        for setting in before:
            references = references.with_visit(setting, built.visit(setting.values))
        began = time.process_time()
        model = fit_model(unit, references, RATE)
        fitting_s = time.process_time() - began
        more = references.with_visit(others[0], built.visit(others[0].values))
        began = time.process_time()
        fit_model(unit, more, RATE, model)
        explained = sum(model.explains(setting.values) for setting in usable) / len(usable)
        print(
            f"{kind} {seed}: fitted to {visited} settings in {fitting_s:.1f} s of CPU, one more in "
            f"{time.process_time() - began:.1f} s; explains {explained:.0%} of the settings, "
            f"{model.misfit_db:.3f} dB at those left out"
        )
        for tally, of, known, fit in (
            (with_own, before, references, model),
            (fitted, others, references, model),
            (nominal, others, nothing, prior),
        ):
            for _ in range(trials // SPECIMENS):
                setting = of[built.random.integers(len(of))]
                cells = [("right", built.visit(setting.values)) for _ in range(RIGHT)]
                for cell, fingerprint in [*cells, *wrong_visits(built, setting).items()]:
                    began = time.process_time()
                    verdict = judge(fingerprint, setting, unit, known, fit)
                    judging.append(time.process_time() - began)
                    tally.add(cell, setting, verdict, verbose and tally is not nominal)
    first = Tally(f"{kind}: the first {FIRST} settings of {SPECIMENS} new units, each visited once")
    in_order = Tally(f"{kind}: the same in the order of a capture, in which neighbours are alike")
    for seed in range(SPECIMENS, 2 * SPECIMENS):
        built = Built(kind, unit, seed)
        mixed = [usable[index] for index in built.random.permutation(len(usable))[:FIRST]]
        from_the_first(built, mixed, unit, first)
        from_the_first(built, visit_order(usable, unit)[:FIRST], unit, in_order)
    for tally in (with_own, fitted, nominal, first, in_order):
        tally.show()
    print(f"judging: median {np.median(judging):.2f} s, longest {max(judging):.2f} s of CPU\n", flush=True)


if __name__ == "__main__":
    main()

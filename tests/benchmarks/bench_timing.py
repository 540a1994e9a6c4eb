"""How exact delays are, and which samples lost, inserted, zeroed or repeated are found.

    python tests/benchmarks/bench_timing.py [--trials 50] [--clean 200] [--seconds 20]

Takes: songs of two makers at the settings of a bus compressor's grid, through coupling high-pass, harmonics, a delay
with a fraction, and white noise; rounded to 24 bits. Faults fall at random places of the middle 80 % of the song.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, signal

from buscomp.capture.damage import Damage, damage
from buscomp.capture.latency import KERNEL_HALF_FRAMES, combined, fractional_kernel, measure_latency, own_delay
from buscomp.capture.probe import make_probe
from buscomp.capture.simulator import Knobs, compress
from buscomp.capture.tracking import drift_ppm, slips, track_delay
from buscomp.curation.demo_songs import DEMO_SONGS, render_song
from buscomp.manifests.levels import from_db
from buscomp.manifests.pcm import FULL_SCALE, Float32
from buscomp.tests.capture_music import song

RATE = 44_100
GRID = [
    Knobs(threshold_db, ratio, attack_ms, release_s)
    for threshold_db in (-28, -24, -20, -16)
    for attack_ms in (0.1, 0.3, 1, 3)
    for release_s in (0.1, 0.4, 0.8, None)
    for ratio in (2, 4, 10)
]
SILENCE_FRAMES = 11_025


@dataclass(frozen=True)
class Take:
    sent: Float32
    returned: Float32
    silence: Float32
    fraction: float
    loopback: Float32  # one channel, gain 0.9
    name: str


@lru_cache(maxsize=16)
def music(number: int, seconds: float) -> Float32:
    """Songs 0, 2, 4, ... are drawn from a seed, 1, 3, 5, ... those of the demo."""
    if number % 2 == 0:
        return song(number // 2, seconds)
    mix = render_song(DEMO_SONGS[number // 2 % len(DEMO_SONGS)], seconds)
    return np.asarray(mix * from_db(-12) / np.abs(mix).max(), np.float32)


def converted(audio: np.ndarray, fraction: float, noise_dbfs: float, random: np.random.Generator) -> Float32:
    """Through coupling, cable and converter."""
    audio = signal.lfilter(*signal.butter(1, 5 / (RATE / 2), "high"), audio, axis=0)
    kernel = fractional_kernel(fraction)[:, None]
    audio = signal.oaconvolve(audio, kernel, axes=0)[KERNEL_HALF_FRAMES : KERNEL_HALF_FRAMES + len(audio)]
    audio = audio + from_db(noise_dbfs) * random.standard_normal(audio.shape)
    return np.asarray(np.clip(np.rint(audio * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1) / FULL_SCALE, np.float32)


def take(number: int, seconds: float, noise_dbfs: float = -100.0) -> Take:
    """Take `number`: another song each time, a setting drawn from the grid."""
    random = np.random.default_rng([number, 1])
    setting = GRID[random.integers(len(GRID))]
    sent = np.asarray(music(number // 3 % 32, seconds) * np.float32(from_db(5)), np.float32)
    wet = _compressed(sent, setting).astype(float)
    second, third = from_db(-70) * random.uniform(0, 3) / 0.25, from_db(-60) * random.uniform(0, 3) / 0.06
    wet += second * wet**2 - third * wet**3
    fraction = float(random.uniform(-0.5, 0.5))
    return Take(
        sent,
        converted(wet * 10 ** (random.uniform(-0.2, 0.2, 2) / 20), fraction, noise_dbfs, random),
        np.asarray(from_db(noise_dbfs) * random.standard_normal((SILENCE_FRAMES, 2)), np.float32),
        fraction,
        converted(0.9 * sent[:, :1], fraction, noise_dbfs, random),
        f"{number} {setting.threshold_db} dB {setting.ratio}:1 {setting.attack_ms} ms {setting.release_s} s",
    )


def _compressed(sent: Float32, knobs: Knobs) -> Float32:
    return compress(
        sent,
        RATE,
        threshold_db=knobs.threshold_db,
        ratio=knobs.ratio,
        attack_ms=knobs.attack_ms,
        release_s=knobs.release_s,
    )[0]


def slipped(audio: Float32, at: int, samples: int) -> Float32:
    """`samples` inserted (positive: the last ones again) or lost (negative) at `at`; as many frames."""
    moved = np.concatenate([audio[:at], audio[at - samples :]])
    return np.concatenate([moved, np.zeros((max(0, -samples), audio.shape[1]), np.float32)])[: len(audio)]


def harmed(audio: Float32, at: int, frames: int, kind: str) -> Float32:
    audio = audio.copy()
    audio[at : at + frames] = 0 if kind == "zeroed" else audio[at - frames : at].copy()
    return audio


Fault = Callable[[Take, int, Float32], tuple[Float32, list[int]]]  # what comes back, and the slips that it holds


def delays(trials: int) -> None:
    """Chirps through a unit and beside it through the converters, at 60 dB SNR."""
    probe = make_probe(RATE)
    frames = len(probe) + 4096
    frequency_hz = fft.rfftfreq(frames, 1 / RATE)

    def heard(late: float, random: np.random.Generator, high_pass_hz: float, low_pass_hz: float, cubic: float):
        sent = probe + cubic * probe**3 / np.abs(probe).max() ** 2
        spectrum = fft.rfft(sent, frames) * np.exp(-2j * np.pi * frequency_hz / RATE * late)
        spectrum *= 1j * frequency_hz / (1j * frequency_hz + high_pass_hz) / (1 + 1j * frequency_hz / low_pass_hz)
        return fft.irfft(spectrum, frames) + probe.std() * from_db(-60) * random.standard_normal(frames)

    print(f"\n{'delay of a chirp, 60 dB SNR':46} {'worst error':>12} {'stated std':>11} {'worst z':>8} {'std of z':>9}")
    cases = {
        "fraction only": (1e-6, 1e12, 0.0),
        "high-pass 5 Hz": (5.0, 1e12, 0.0),
        "high-pass 5 Hz, third harmonic 0.3 %": (5.0, 1e12, 0.012),
        "high-pass 20 Hz, low-pass 80 kHz": (20.0, 80e3, 0.0),
    }
    for name, (high_pass_hz, low_pass_hz, cubic) in cases.items():
        errors, stds = [], []
        for trial in range(trials):
            random = np.random.default_rng([trial, 2])
            late = random.uniform(100, 2000)
            found = measure_latency(heard(late, random, high_pass_hz, low_pass_hz, cubic), probe, 2048, RATE)
            if found is None:
                raise SystemExit(f"{name}: the probe of trial {trial}, {late:.1f} samples late, was not found")
            errors.append(found.samples - late - RATE / (2 * np.pi * low_pass_hz))
            stds.append(found.std_samples)
        print(_row(name, errors, stds))
    errors, stds = [], []
    for trial in range(trials):
        random = np.random.default_rng([trial, 3])
        trip, own = random.uniform(100, 2000), random.uniform(0, 3)
        ends = [measure_latency(heard(trip, random, 3.0, 60e3, 0.0), probe, 2048, RATE) for _ in range(2)]
        unit = [measure_latency(heard(trip + own, random, 8.0, 60e3, 0.003), probe, 2048, RATE) for _ in range(4)]
        result = own_delay(combined([one for one in unit if one]), combined([one for one in ends if one]))
        errors.append(result.samples - own)
        stds.append(result.std_samples)
    print(_row("unit less loopback, both behind 60 kHz", errors, stds))


def _row(name: str, errors: list[float], stds: list[float]) -> str:
    worst, std, scores = np.abs(errors).max(), np.median(stds), np.array(errors) / stds
    return f"{name:46} {worst:12.1e} {std:11.1e} {np.abs(scores).max():8.2f} {scores.std():9.2f}"


def places(take: Take, trials: int, seed: int) -> np.ndarray:
    frames = len(take.sent)
    return np.random.default_rng([seed, 4]).integers(frames // 10, frames * 9 // 10, trials)


def slip_table(takes: list[Take], trials: int) -> None:
    """`caught`: the take is rejected, by slips or by damage."""
    print(f"\n{'slips':46} {'found':>12} {'located <= 0.5 s':>17} {'worst, s':>9} {'caught':>12}")

    def row(name: str, fault: Fault, loop: bool, after_s: float = 0.0) -> None:
        found, located, worst, caught = 0, 0, 0.0, 0
        for trial in range(trials):
            one = takes[trial % len(takes)]
            at = max(int(places(one, 1, trial)[0]), len(one.sent) // 10 + round(after_s * RATE))
            heard, samples = fault(one, at, one.loopback if loop else one.returned)
            sent = one.sent[:, :1] if loop else one.sent
            result = slips(track_delay(sent, heard, RATE, one.fraction))
            right = [slip.samples for slip in result] == samples
            found += right
            if right:
                error_s = abs(result[-1].at_s - at / RATE)
                located += error_s <= 0.5
                worst = max(worst, error_s)
            caught += bool(result or damage_of(one, *((None, heard) if loop else (heard, None))))
        counts = f"{found:6d} / {trials:3d} {located:11d} / {trials:3d} {worst:9.2f} {caught:6d} / {trials:3d}"
        print(f"{name:46} {counts}", flush=True)

    def slip(samples: int) -> Fault:
        return lambda one, at, heard: (slipped(heard, at, samples), [samples])

    def pair(gap: int) -> Fault:
        return lambda one, at, heard: (slipped(slipped(heard, at - gap, -1), at, 1), [-1, 1])

    for loop in (False, True):
        where = "loopback: " if loop else ""
        for count in (1, 2, 16, 64, 256):
            row(f"{where}{count} lost", slip(-count), loop)
            row(f"{where}{count} inserted", slip(count), loop)
        for gap_s in (0.9, 0.5, 0.1):
            row(f"{where}1 lost, 1 inserted {gap_s:g} s later", pair(round(gap_s * RATE)), loop, gap_s)


def drift_table(trials: int, seconds: float) -> None:
    errors, false = [], 0
    for trial in range(trials):
        one = take(trial, seconds)
        frames = len(one.sent)
        late = np.arange(frames) - np.arange(frames) * 1e-6
        slow = np.stack([np.interp(late, np.arange(frames), channel) for channel in one.returned.T], axis=1)
        track = track_delay(one.sent, slow.astype(np.float32), RATE, one.fraction)
        errors.append((drift_ppm(track) or 0) - 1)
        false += len(slips(track))
    worst = np.abs(errors).max()
    print(f"\nclock 1 ppm slow, {seconds:g} s, {trials} takes: worst error {worst:.3f} ppm, {false} false slips")


def damage_of(one: Take, returned: Float32 | None, loopback: Float32 | None) -> tuple[Damage, ...]:
    found: tuple[Damage, ...] = ()
    if returned is not None:
        found += damage(one.sent, returned, one.fraction, one.silence, RATE)
    if loopback is not None:
        found += damage(one.sent[:, :1], loopback, one.fraction, one.silence[:, :1], RATE, gain=0.9)
    return found


def damage_table(takes: dict[float, list[Take]], trials: int) -> None:
    """`heard`: faults whose error is 20 dB above the noise; the others change next to nothing."""
    print(
        f"\n{'damage without slip':46} {'unit: all':>12} {'heard':>10} {'named':>7} {'loopback: all':>14} {'heard':>10}"
    )
    for noise_dbfs, frames, kind in itertools.product(takes, (1, 8, 32, 64, 256), ("zeroed", "repeated")):
        counts = np.zeros(7, int)
        for trial in range(trials):
            one = takes[noise_dbfs][trial % len(takes[noise_dbfs])]
            at = int(places(one, 1, trial + 1000)[0])
            for loop in (False, True):
                healthy = one.loopback if loop else one.returned
                bad = harmed(healthy, at, frames, kind)
                heard = np.abs(bad - healthy).max() > 10 * from_db(noise_dbfs)
                found = damage_of(one, None, bad) if loop else damage_of(one, bad, None)
                hit = [each for each in found if -32 < each.at_s * RATE - at < frames + 32]
                counts[3 * loop : 3 * loop + 3] += bool(hit), bool(hit) and heard, heard
                counts[6] += bool(hit) and not loop and hit[0].kind == kind
        name = f"{frames} {kind}, noise {noise_dbfs:g} dBFS"
        print(
            f"{name:46} {counts[0]:6d} / {trials:3d} {counts[1]:4d} / {counts[2]:3d} {counts[6]:7d} "
            f"{counts[3]:8d} / {trials:3d} {counts[4]:4d} / {counts[5]:3d}"
        )


def clean_table(count: int, seconds: float) -> None:
    alarms, loopback_alarms, worst_delay, cpu_s, sound_s = [], 0, 0.0, 0.0, 0.0
    for number in range(count):
        one = take(number, seconds, -80.0 if number % 3 == 0 else -100.0)
        if number == 0:
            damage_of(one, one.returned, None)
            track_delay(one.sent, one.returned, RATE, one.fraction)
        begin = time.process_time()
        found = damage_of(one, one.returned, None)
        track = track_delay(one.sent, one.returned, RATE, one.fraction)
        cpu_s += time.process_time() - begin
        sound_s += seconds
        if found or slips(track):
            alarms.append((one.name, found, slips(track)))
        worst_delay = max(worst_delay, np.abs(track.delay_samples - one.fraction)[track.valid].max())
        loopback_alarms += bool(damage_of(one, None, one.loopback))
    print(
        f"\nfalse alarms: {len(alarms)} of {count} clean takes of {seconds:g} s, {loopback_alarms} of their loopbacks"
    )
    for alarm in alarms:
        print("   ", *alarm)
    print(f"worst delay of a window {worst_delay:.2f} sample; CPU {1e3 * cpu_s / sound_s:.2f} ms per second of stereo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--clean", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    delays(options.trials)
    takes = {noise_dbfs: [take(7 * n, 10.0, noise_dbfs) for n in range(25)] for noise_dbfs in (-100.0, -80.0)}
    slip_table(takes[-100.0], options.trials)
    drift_table(options.trials, 60.0)
    damage_table(takes, options.trials)
    clean_table(options.clean, options.seconds)


if __name__ == "__main__":
    main()

"""Drums and cymbals for the demo songs: decaying modes, swept sines and filtered noise.

A drum is a function of a random generator: two strokes of one drum are alike, never the same. Peaks lie near 1; how
hard it is struck is a gain, given by whoever plays it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .synthesis import TWO_PI, Random, Sound, band, partials, seconds_axis, shaped

Drum = Callable[[Random], Sound]


def _noise(random: Random, time: Sound, low_hz: float | None, high_hz: float | None) -> Sound:
    noise = band(random.standard_normal(len(time)), low_hz, high_hz)
    return np.asarray(noise / noise.std())


def _skin(time: Sound, low_hz: float, sweep_hz: float, sweep_s: float, decay_s: float) -> Sound:
    """A struck skin: its pitch falls from low_hz + sweep_hz to low_hz, its level by 1/e in decay_s."""
    phase = TWO_PI * (low_hz * time + sweep_hz * sweep_s * (1 - np.exp(-time / sweep_s)))
    return np.asarray(np.sin(phase) * np.exp(-time / decay_s))


def kick(random: Random) -> Sound:
    """Bass drum with a beater click."""
    time = seconds_axis(0.42)
    click = 0.09 * _noise(random, time, 1500, 6000) * np.exp(-time / 0.004)
    return shaped(_skin(time, 50, 150 + random.normal(0, 3), 0.022, 0.11) + click, 0.0006, 0.1)


def deep_kick(random: Random) -> Sound:
    """Drum-machine bass drum: longer, rounder."""
    time = seconds_axis(0.55)
    click = 0.05 * _noise(random, time, 1000, 4000) * np.exp(-time / 0.003)
    return shaped(_skin(time, 46, 190, 0.018, 0.16) + click, 0.0006, 0.15)


def snare(random: Random) -> Sound:
    """Two modes of the shell and the wires under it."""
    time = seconds_axis(0.38)
    shell = _skin(time, 186 + random.normal(0, 1.5), 60, 0.012, 0.055) + 0.5 * _skin(time, 331, 80, 0.01, 0.035)
    wires = _noise(random, time, 1600, 11_000) * (0.2 * np.exp(-time / 0.08) + 0.1 * np.exp(-time / 0.012))
    return shaped(np.tanh(0.7 * shell + wires), 0.0006, 0.12)  # a hard stroke gives way


def brush(random: Random) -> Sound:
    """Brush on a snare: no shell to speak of, a soft swish."""
    time = seconds_axis(0.3)
    swish = _noise(random, time, 1100, 8000) * np.exp(-time / 0.06)
    return shaped(0.3 * swish + 0.12 * _skin(time, 190, 20, 0.01, 0.05), 0.006, 0.1)


def clap(random: Random) -> Sound:
    """Four hands that do not quite agree."""
    time = seconds_axis(0.35)
    hands = np.exp(-time / 0.07)
    for delay_s in (0.009, 0.018, 0.026):
        hands += np.where(time >= delay_s, np.exp(-(time - delay_s) / 0.006), 0) * random.uniform(0.6, 1.0)
    return shaped(np.tanh(0.22 * _noise(random, time, 850, 5500) * hands), 0.001, 0.12)


def rim(random: Random) -> Sound:
    """Stick across the rim."""
    time = seconds_axis(0.12)
    wood = partials(
        [445 + random.normal(0, 3), 1010, 1720, 2480], [0.4, 0.8, 1.0, 0.35], [0.09, 0.07, 0.06, 0.04], time
    )
    return shaped(0.5 * wood, 0.0004, 0.04)


def _metal(random: Random, time: Sound, ring_s: float) -> Sound:
    """The crowd of unmusical partials of thin bronze: forty between 2 and 12 kHz, none loud enough to whistle."""
    frequency_hz = 2000 * 6 ** (0.618034 * np.arange(40) % 1)
    decay_s = ring_s * random.uniform(0.3, 1.0, 40)
    return partials(frequency_hz, random.normal(0, 0.35, 40), decay_s, time)


def closed_hat(random: Random) -> Sound:
    """Closed hi-hat."""
    time = seconds_axis(0.14)
    return shaped(0.25 * _noise(random, time, 7000, 16_000) * np.exp(-time / 0.022), 0.0006, 0.05)


def open_hat(random: Random) -> Sound:
    """Open hi-hat."""
    time = seconds_axis(0.5)
    noise = 0.25 * _noise(random, time, 6000, 15_000) * np.exp(-time / 0.12)
    return shaped(noise + 0.03 * _metal(random, time, 0.5), 0.0008, 0.25)


def ride(random: Random) -> Sound:
    """Ride cymbal: a ping over a wash."""
    time = seconds_axis(1.2)
    ping = 0.11 * _metal(random, time, 1.0)
    stick = 0.2 * _noise(random, time, 3000, 12_000) * np.exp(-time / 0.01)
    return shaped(ping + stick + 0.05 * _noise(random, time, 5000, 13_000) * np.exp(-time / 0.3), 0.0006, 0.5)


def crash(random: Random) -> Sound:
    """Crash cymbal."""
    time = seconds_axis(2.2)
    wash = 0.22 * _noise(random, time, 2500, 14_000) * np.exp(-time / 0.5)
    return shaped(wash + 0.03 * _metal(random, time, 2.5), 0.003, 0.9)


def shaker(random: Random) -> Sound:
    """Shaker: beads take a moment to arrive."""
    time = seconds_axis(0.12)
    return shaped(0.3 * _noise(random, time, 4500, 11_000) * np.exp(-time / 0.028), 0.018, 0.05)


def tom(random: Random) -> Sound:
    """Floor tom."""
    time = seconds_axis(0.55)
    stick = 0.08 * _noise(random, time, 800, 4000) * np.exp(-time / 0.006)
    return shaped(_skin(time, 92 + random.normal(0, 1), 45, 0.05, 0.16) + stick, 0.0008, 0.2)


DRUMS: dict[str, Drum] = {
    "kick": kick,
    "deep kick": deep_kick,
    "snare": snare,
    "brush": brush,
    "clap": clap,
    "rim": rim,
    "closed hat": closed_hat,
    "open hat": open_hat,
    "ride": ride,
    "crash": crash,
    "shaker": shaker,
    "tom": tom,
}

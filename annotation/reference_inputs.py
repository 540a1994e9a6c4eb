"""What other datasets of compressors play through their units, made anew: noise, test tones, plucked instruments.

They stand beside a dataset's songs in its figure of diversity, as in figure 4 of the Solid State Bus-Comp paper. All
are mono at 44.1 kHz with a peak of -12 dBFS, and the same on every machine with the same numpy and scipy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

from ..manifests.levels import from_db
from ..manifests.pcm import Float32

SAMPLE_RATE = 44_100
SECONDS = 10.0
PEAK_DBFS = -12.0
KINDS = ("noise", "tones", "plucked")
COUNT = 24  # of each kind
Samples = npt.NDArray[np.float64]
SCALES = ((0, 4, 7), (0, 3, 7), (0, 5, 7, 10), (0, 2, 4, 7, 9))
OPEN_STRINGS_HZ = {"guitar": 110.0, "bass": 41.2}
DAMPING = {"guitar": 0.996, "bass": 0.998}


def reference_input(kind: str, number: int, seconds: float = SECONDS) -> tuple[str, Float32]:
    """The input of `kind` (noise, tones or plucked) with this `number`, from 0, of which `COUNT` differ: its name, and
    audio (frames, 1) at 44.1 kHz. `ValueError` for another kind."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind}")
    make = {"noise": noise, "tones": tone, "plucked": plucked}[kind]
    name, samples = make(number, round(seconds * SAMPLE_RATE))
    return name, at_peak(np.asarray(samples, np.float32)[:, None])


def at_peak(audio: Float32) -> Float32:
    """`audio` (frames, channels) with its peak at -12 dBFS, as songs have it; silence stays."""
    loudest = float(np.abs(audio).max(initial=0.0))
    return np.asarray(audio * np.float32(from_db(PEAK_DBFS) / loudest), np.float32) if loudest else audio


def noise(number: int, frames: int) -> tuple[str, Samples]:
    """White, pink (-3 dB an octave) and brown (-6 dB an octave) noise in turn, each from another seed."""
    colour = ("white", "pink", "brown")[number % 3]
    white = np.random.default_rng(number).standard_normal(frames)
    spectrum = np.fft.rfft(white)
    steepness = {"white": 0.0, "pink": 0.5, "brown": 1.0}[colour]
    spectrum[1:] /= np.arange(1, len(spectrum)) ** steepness
    spectrum[0] = 0
    return f"{colour}-{number}", np.fft.irfft(spectrum, frames)


def tone(number: int, frames: int) -> tuple[str, Samples]:
    """Sine, square and saw in turn on the octaves from 55 Hz to 1760 Hz, and logarithmic sweeps up to 20 kHz."""
    shape = ("sine", "square", "saw", "sweep")[number % 4]
    time_s = np.arange(frames) / SAMPLE_RATE
    octave = number // 4 % 6
    if shape == "sweep":
        return f"sweep-{number}", signal.chirp(time_s, 20 * 2**octave, time_s[-1], 20_000, "logarithmic")
    hz = 55 * 2**octave
    make = {"sine": np.sin, "square": signal.square, "saw": signal.sawtooth}[shape]
    return f"{shape}-{hz}-{number}", make(2 * np.pi * hz * time_s)


def plucked(number: int, frames: int) -> tuple[str, Samples]:
    """A phrase on a plucked string, guitar and bass in turn: eighth notes of a scale at a steady tempo, with rests."""
    instrument = ("guitar", "bass")[number % 2]
    draw = np.random.default_rng(1000 + number)
    step = round(60 / draw.uniform(70, 160) / 2 * SAMPLE_RATE)  # eighth notes
    root = OPEN_STRINGS_HZ[instrument] * 2 ** (draw.integers(12) / 12)
    scale = SCALES[number % len(SCALES)]
    phrase = np.zeros(frames)
    for start in range(0, frames, step):
        if draw.random() < 0.2:
            continue  # a rest
        semitones = scale[draw.integers(len(scale))] + 12 * draw.integers(2)
        length = min(4 * step, frames - start)
        phrase[start : start + length] += string(root * 2 ** (semitones / 12), length, DAMPING[instrument], draw)
    return f"{instrument}-{number}", phrase


def string(hz: float, frames: int, damping: float, draw: np.random.Generator) -> Samples:
    """A plucked string (frames,): noise round a loop of one period that averages two neighbours at each turn
    (K. Karplus and A. Strong, "Digital synthesis of plucked-string and drum timbres", Computer Music Journal, 1983).
    Tuned to a whole period, so off by 1 % at most below 440 Hz."""
    period = round(SAMPLE_RATE / hz - 0.5)
    turns = -(-frames // period)
    sound = np.zeros((turns + 1) * period)  # a turn of silence, then the pluck
    sound[period : 2 * period] = draw.uniform(-1, 1, period)
    for start in range(2 * period, len(sound), period):
        before = sound[start - period - 1 : start]
        sound[start : start + period] = damping / 2 * (before[1:] + before[:-1])
    return sound[period : period + frames]

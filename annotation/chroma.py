"""Which pitch classes sound, when, and in which register: peaks of the spectrum, corrected for tuning.

The harmonic pitch class profile of E. Gomez ("Tonal description of polyphonic audio", 2006): every peak of the
spectrum counts for the notes of which it may be a partial. Peaks must last over two frames, which drums do not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft
import soxr

from ..manifests.pcm import Float32
from .mono import ANALYSIS_RATE

Floats = npt.NDArray[np.float64]

RATE = 11_025
WINDOW, HOP = 8192, 4096  # 0.74 s and 0.37 s
LOWEST_HZ, SPLIT_HZ, HIGHEST_HZ = 62.0, 250.0, 2200.0
PARTIALS = 5
PARTIAL_WEIGHT = 0.6  # of the second partial; its square of the third, ...
FLOOR = 10 ** (-50 / 20)  # of the loudest peak of the song


def pitch_classes(song: Float32) -> Floats:
    """Strength (2, frames, 12) of the pitch classes from C in `song` (samples,) at 22,050 Hz, 2.7 frames a second.

    First the bass (62 to 250 Hz, fundamentals only), then what is above. All zero where nothing is pitched.
    """
    low = soxr.resample(song, ANALYSIS_RATE, RATE)
    padded = np.pad(low, (WINDOW // 2, WINDOW // 2 + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    first, last = int(LOWEST_HZ * WINDOW / RATE), int(HIGHEST_HZ * WINDOW / RATE)
    window = np.blackman(WINDOW).astype(np.float32)
    magnitude = np.abs(scipy.fft.rfft(frames * window, axis=1)[:, first - 1 : last + 2])
    steady = np.minimum(magnitude, np.maximum(np.roll(magnitude, 1, axis=0), np.roll(magnitude, -1, axis=0)))
    middle = magnitude[:, 1:-1]
    peaks = (
        (middle > magnitude[:, :-2])
        & (middle >= magnitude[:, 2:])
        & (middle > FLOOR * max(float(magnitude.max()), 1e-9))
    )
    frame, place = np.nonzero(peaks)
    if not len(frame):
        return np.zeros((2, len(frames), 12))
    left, centre, right = (np.log(magnitude[frame, place + n] + 1e-12).astype(np.float64) for n in (0, 1, 2))
    curve = left - 2 * centre + right
    hz = (first + place + 0.5 * (left - right) / np.where(curve < -1e-9, curve, -1.0)) * RATE / WINDOW
    strength = np.sqrt(steady[frame, place + 1].astype(np.float64))
    semitones = 12 * np.log2(hz / 261.6256)
    semitones -= _tuning(semitones, strength)
    classes = np.zeros((2, len(frames), 12))
    bass = hz < SPLIT_HZ
    _count(classes[0], frame[bass], semitones[bass], strength[bass])
    for partial in range(1, PARTIALS + 1):
        weight = strength[~bass] * PARTIAL_WEIGHT ** (partial - 1)
        _count(classes[1], frame[~bass], semitones[~bass] - 12 * np.log2(partial), weight)
    return classes


def seconds_of(frames: int) -> float:
    """How long, to 0.4 s, a song is whose pitch classes have so many frames."""
    return (frames - 1.5) * HOP / RATE


def _tuning(semitones: Floats, strength: Floats) -> float:
    """How far the peaks lie above equal temperament at A4 = 440 Hz, -0.5 to 0.5 semitones."""
    return float(np.angle(np.sum(strength * np.exp(2j * np.pi * semitones))) / (2 * np.pi))


def _count(classes: Floats, frame: npt.NDArray[np.intp], semitones: Floats, weight: Floats) -> None:
    """Add each peak to the class it is nearest to, less the farther it is off."""
    nearest = np.round(semitones)
    closeness = np.cos(np.pi * np.clip(semitones - nearest, -0.5, 0.5)) ** 2
    np.add.at(classes, (frame, nearest.astype(int) % 12), weight * closeness)

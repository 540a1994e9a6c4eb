"""Songs for tests of detectors: kick, bass, chords, melody and hats, drawn from a seed; stereo, dry at -12 dBFS."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from buscomp.manifests.levels import from_db
from buscomp.manifests.pcm import Float32, quantise, to_float

CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14), (2, 5, 9), (4, 7, 11))
SCALE = (0, 2, 4, 7, 9, 12, 14, 16)


@lru_cache(maxsize=80)
def song(seed: int, seconds: float = 6.0, sample_rate: int = 44_100, width: float = 1.0) -> Float32:
    """A song `(frames, 2)` of 24-bit samples. Tempo, key, chords, tune, panning and balance follow from `seed`;
    `width` 0 is mono, 0.02 near-mono, 1 as panned. The first note falls at 0.2 s."""
    random = np.random.default_rng(seed)
    mix = np.zeros((round(seconds * sample_rate) + sample_rate, 2))
    tempo_bpm, tonic_hz = random.uniform(70, 150), 110 * 2 ** (random.integers(0, 12) / 12)
    beat_s = 60 / tempo_bpm
    pans = random.uniform(-0.8, 0.8, 8) * width
    gains = from_db(-6) * random.uniform(0.5, 1.0, 5)

    def put(at_s: float, sound: np.ndarray, gain: float, pan: float) -> None:
        begin = round((0.2 + at_s) * sample_rate)
        piece = sound[: max(0, len(mix) - begin)]
        mix[begin : begin + len(piece)] += gain * piece[:, None] * np.sqrt([1 - pan, 1 + pan])

    def tone(hz: float, lasts_s: float, partials: int, attack_s: float) -> np.ndarray:
        time = np.arange(round(lasts_s * sample_rate)) / sample_rate
        wave = np.zeros(len(time))
        for k in range(1, partials + 1):
            wave += np.sin(2 * np.pi * hz * k * time + k) / k**1.3
        return wave * np.minimum(1, time / attack_s) * np.exp(-3 * time / lasts_s)

    chord = CHORDS[0]
    kick_time = np.arange(round(0.25 * sample_rate)) / sample_rate
    kick = np.sin(2 * np.pi * (48 * kick_time + 3 * (1 - np.exp(-kick_time / 0.02)))) * np.exp(-kick_time / 0.08)
    for beat in range(int(seconds / beat_s) + 1):
        if beat % 4 == 0:
            chord = CHORDS[random.integers(len(CHORDS))]
        at_s = beat * beat_s
        if beat % 2 == 0 or random.random() < 0.3:
            put(at_s, kick, 1.6 * gains[0], 0.0)
        put(at_s, tone(tonic_hz / 2 * 2 ** (chord[0] / 12), 0.9 * beat_s, 6, 0.004), gains[1], pans[0] * 0.2)
        for voice, semitone in enumerate(chord):
            if beat % 2 == 0:
                put(at_s, tone(2 * tonic_hz * 2 ** (semitone / 12), 2 * beat_s, 8, 0.01), 0.35 * gains[2], pans[voice])
        for half in (0.0, 0.5):
            step = SCALE[random.integers(len(SCALE))]
            if random.random() < 0.7:
                hz = 4 * tonic_hz * 2 ** (step / 12)
                put(at_s + half * beat_s, tone(hz, 0.6 * beat_s, 5, 0.003), 0.4 * gains[3], pans[4])
            hat = random.standard_normal(2000) * np.exp(-np.arange(2000) / 350)
            put(at_s + half * beat_s, np.diff(hat, prepend=0), 0.15 * gains[4], pans[5])
    mix = mix[: round(seconds * sample_rate)]
    dry = to_float(quantise(mix * from_db(-12) / np.abs(mix).max()))
    dry.flags.writeable = False  # it is kept and handed out again
    return dry

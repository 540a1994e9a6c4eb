"""Pitched instruments and a room, for the demo songs.

A voice is a function (frequency in Hz, seconds held, velocity 0..1, random generator) -> mono sound, a little longer
than it was held because it dies away. Nothing here aliases: every sound is a sum of partials that stays below half
the sample rate, or a filtered string. A = 440 Hz, twelve equal steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike
from scipy import signal

SAMPLE_RATE = 44_100
TWO_PI = 2 * np.pi
Sound = npt.NDArray[np.float64]
Random = np.random.Generator
Voice = Callable[[float, float, float, Random], Sound]


def frequency_of(midi: float) -> float:
    """Frequency in Hz of a MIDI note number: 69 gives 440."""
    return float(440.0 * 2 ** ((midi - 69) / 12))


def seconds_axis(seconds: float) -> Sound:
    """Time of every sample of a sound of that length."""
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def shaped(sound: Sound, attack_s: float, release_s: float) -> Sound:
    """The sound with raised-cosine ends, so that it starts and stops without a click."""
    for length_s, end in ((attack_s, slice(None)), (release_s, slice(None, None, -1))):
        frames = min(len(sound), max(2, round(length_s * SAMPLE_RATE)))
        sound[end][:frames] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(frames) / frames)
    return sound


def band(sound: Sound, low_hz: float | None, high_hz: float | None, order: int = 2) -> Sound:
    """Butterworth band of a sound; None leaves that side open."""
    edges: float | list[float]
    if low_hz and high_hz:
        edges, kind = [low_hz, high_hz], "bandpass"
    else:
        edges, kind = (low_hz, "highpass") if low_hz else (high_hz or SAMPLE_RATE / 2.01, "lowpass")
    sections = signal.butter(order, edges, kind, fs=SAMPLE_RATE, output="sos")
    return np.asarray(signal.sosfilt(sections, sound, axis=0), np.float64)


def turning(frequency_hz: float, time: Sound, vibrato_cents: float = 0.0, rate_hz: float = 5.3) -> Sound:
    """Phase in radians of a tone, with a vibrato that sets in after a third of a second."""
    phase = TWO_PI * frequency_hz * time
    if vibrato_cents:
        deviation = frequency_hz / rate_hz * (2 ** (vibrato_cents / 1200) - 1)
        phase += deviation * np.clip((time - 0.15) / 0.35, 0, 1) * np.sin(TWO_PI * rate_hz * time)
    return phase


def bright_tone(phase: Sound, frequency_hz: float, brightness: Sound | float) -> Sound:
    """All harmonics, the k-th as strong as brightness^k, in closed form; RMS 0.7 at any brightness below 1.

    Moorer, "The synthesis of complex audio spectra by means of discrete summation formulae", JAES 24 (1976). The
    brightness is held where the harmonics beyond half the sample rate stay 70 dB down.
    """
    ceiling = 10 ** (-70 / 20 * frequency_hz / (SAMPLE_RATE / 2))
    r = np.minimum(brightness, ceiling)
    turns = phase / TWO_PI
    wrapped = (TWO_PI * (turns - np.floor(turns))).astype(np.float32)  # numpy's float32 sine is several times faster
    return np.asarray(np.sqrt(1 - r * r) * np.sin(wrapped) / (1 - 2 * r * np.cos(wrapped) + r * r), np.float64)


def partials(frequencies_hz: ArrayLike, levels: ArrayLike, decays_s: ArrayLike, time: Sound) -> Sound:
    """Struck partials, each dying by 60 dB in its decay; those above 18 kHz are left out.

    exp(s (a + b)) = exp(s a) exp(s b): with time cut into blocks, all partials at all times are one matrix product.
    """
    frequency_hz, level, decay_s = (np.asarray(value, np.float64) for value in (frequencies_hz, levels, decays_s))
    heard = frequency_hz < 18_000
    s = (-3 * np.log(10) / decay_s + 1j * TWO_PI * frequency_hz)[heard] / SAMPLE_RATE
    block = max(1, round(np.sqrt(len(time))))
    rows = 8 * (len(time) // (8 * block) + 1)
    starts = level[heard] * np.exp(np.outer(block * np.arange(rows), s))
    within = np.exp(np.outer(s, np.arange(block)))
    # eight rows a product: small enough that BLAS does not wake its threads, which would cost seven times as much
    sound = np.hstack([starts.real, starts.imag]).reshape(rows // 8, 8, -1) @ np.vstack([within.imag, within.real])
    return np.asarray(sound.ravel()[: len(time)])


def plucked(ring_s: float, damping: float, pick: float, tone_hz: float, release_s: float = 0.09) -> Voice:
    """A string after Karplus and Strong (CMJ 7, 1983), tuned by a third-order Lagrange delay.

    ring_s: time to fall by 60 dB; damping: 0 (steel) .. 0.9 (gut), loss of the high partials at each turn;
    pick: where it is plucked, as a fraction of its length; tone_hz: how bright a hard pluck is.
    """

    def voice(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
        period = SAMPLE_RATE / frequency_hz
        whole = int(period - 1) - 1  # the damping filter delays by one sample, the Lagrange part by one to two
        d = period - 1 - whole
        lagrange = [np.prod([(d - m) / (k - m) for m in range(4) if m != k]) for k in range(4)]
        loop = 10 ** (-3 / (ring_s * frequency_hz)) * np.convolve([damping / 2, 1 - damping, damping / 2], lagrange)
        burst = random.standard_normal(round(period))
        burst -= np.roll(burst, round(period * pick))
        burst = band(np.tile(burst, 2), None, tone_hz * (0.3 + 0.7 * velocity), 1)[len(burst) :]
        past = whole + len(loop)
        string = np.zeros(past + round((seconds + release_s) * SAMPLE_RATE))
        burst = burst[: len(string) - past]
        string[past : past + len(burst)] = (burst - burst.mean()) / (burst.std() + 1e-9)
        for start in range(past, len(string), whole):  # a whole turn of the string at once
            stop = min(start + whole, len(string))
            string[start:stop] += np.convolve(string[start - past + 1 : stop - whole], loop, "valid")
        return shaped(string[past:], 0.002, release_s) * velocity

    return voice


def electric_piano(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Tine and reed by frequency modulation (Chowning, JAES 21, 1973), softer and darker at low velocity."""
    time = seconds_axis(seconds + 0.15)
    phase = TWO_PI * frequency_hz * time + random.uniform(0, TWO_PI)
    index = velocity * min(1.4, 500 / frequency_hz) * np.exp(-time / 0.5)
    body = np.sin(phase + index * np.sin(phase)) * np.exp(-time / (1.1 * (440 / frequency_hz) ** 0.3))
    tine_hz = min(14 * frequency_hz, 6500.0)
    tine = 0.06 * velocity * np.exp(-time / 0.06) * np.sin(TWO_PI * tine_hz * time)
    return shaped(body + tine, 0.003, 0.14) * velocity


def piano(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Stiff strings a cent apart, one dying sooner, so that the tone falls fast, then slowly; a felt hammer, harder
    at high velocity, and its knock."""
    time = seconds_axis(seconds + 0.18)
    order = np.arange(1, 1 + int(min(18, 9000 / frequency_hz)))
    stretched = frequency_hz * order * np.sqrt(1 + 0.0003 * order**2)
    hammer = np.sin(np.pi * order / 8.3) ** 2 + 0.05
    level = hammer / order * np.exp(-order * frequency_hz / (1200 + 2600 * velocity))
    level *= random.choice([-1.0, 1.0], len(order))  # a hammer is not a pulse: partials do not all rise together
    decay_s = 7.0 * (220 / frequency_hz) ** 0.5 / (1 + 0.18 * order)
    sound = partials(stretched * 1.0003, level, decay_s, time)
    sound += partials(stretched[:5] * 0.9997, level[:5], decay_s[:5] * 0.4, time)
    start = time[: SAMPLE_RATE // 10]
    sound[: len(start)] += (
        0.04 * velocity * band(random.standard_normal(len(start)), 90, 900, 1) * np.exp(-start / 0.012)
    )
    return shaped(sound, 0.002, 0.16) * velocity


def vibraphone(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Tuned bar with the partials 1 : 4 : 10 and a slow motor."""
    time = seconds_axis(seconds + 0.5)
    levels = [1.0, 0.22 * velocity, 0.05 * velocity]
    sound = partials([frequency_hz, 3.98 * frequency_hz, 9.9 * frequency_hz], levels, [4.5, 1.2, 0.3], time)
    motor = 1 - 0.16 * (1 + np.sin(TWO_PI * 4.6 * time + random.uniform(0, TWO_PI)))
    return shaped(sound * motor, 0.002, 0.45) * velocity


def organ(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Drawbars 16', 8', 5 1/3', 4', 2' through a slow rotor."""
    time = seconds_axis(seconds + 0.06)
    phase = turning(frequency_hz, time, 5.0, 5.9 + 0.3 * random.random()) + random.uniform(0, TWO_PI)
    bars = zip((0.5, 1, 1.5, 2, 4), (0.5, 1.0, 0.45, 0.4, 0.15), strict=True)
    sound = sum((level * np.sin(pitch * phase) for pitch, level in bars), np.zeros(len(time)))
    return shaped(sound, 0.008, 0.05) * velocity


def pad(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Three detuned oscillators that open slowly."""
    time = seconds_axis(seconds + 0.7)
    opening = 0.35 + 0.35 * np.clip(time / 1.5, 0, 1)
    sound = np.zeros(len(time))
    for cents in (-7, 0, 6):
        phase = TWO_PI * frequency_hz * 2 ** (cents / 1200) * time + random.uniform(0, TWO_PI)
        sound += bright_tone(phase, frequency_hz, opening)
    return shaped(sound, 0.35, 0.7) * velocity


def electric_bass(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Finger on a round-wound string: bright for a moment, then mostly fundamental and second harmonic."""
    time = seconds_axis(seconds + 0.05)
    phase = TWO_PI * frequency_hz * time
    tone = bright_tone(phase, frequency_hz, 0.42 + 0.4 * velocity * np.exp(-time / 0.12))
    thump = 0.1 * velocity * band(random.standard_normal(len(time)), 300, 2500, 1) * np.exp(-time / 0.008)
    return shaped(tone * np.exp(-time / 1.6) + thump, 0.004, 0.045) * velocity


def upright_bass(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Gut string on a wooden body: round, with a soft knock, gone sooner than the electric one."""
    time = seconds_axis(seconds + 0.08)
    slide = TWO_PI * frequency_hz * (time - 0.012 * 0.02 * np.exp(-time / 0.02))  # lands on the pitch from above
    tone = bright_tone(slide, frequency_hz, 0.28 + 0.35 * velocity * np.exp(-time / 0.07))
    knock = 0.25 * band(random.standard_normal(len(time)), 120, 700, 1) * np.exp(-time / 0.02)
    return shaped(tone * np.exp(-time / 0.55) + knock, 0.006, 0.07) * velocity


def sub_bass(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Almost a sine, with enough second and third harmonic to be heard on small speakers."""
    time = seconds_axis(seconds + 0.05)
    return shaped(bright_tone(TWO_PI * frequency_hz * time, frequency_hz, 0.22), 0.008, 0.05) * velocity


def synth_bass(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Two oscillators under a filter that closes quickly."""
    time = seconds_axis(seconds + 0.04)
    closing = 0.4 + 0.48 * velocity * np.exp(-time / 0.11)
    sound = np.zeros(len(time))
    for cents in (0, 4):
        sound += bright_tone(TWO_PI * frequency_hz * 2 ** (cents / 1200) * time, frequency_hz, closing)
    return shaped(sound, 0.004, 0.035) * velocity


def synth_pluck(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Short bright stab that closes and falls together."""
    time = seconds_axis(seconds + 0.35)
    fall = np.exp(-time / 0.18)
    phase = TWO_PI * frequency_hz * time + random.uniform(0, TWO_PI)
    tone = bright_tone(phase, frequency_hz, 0.3 + 0.5 * velocity * fall)
    return shaped((tone + 0.5 * np.sin(1.004 * phase)) * fall, 0.003, 0.15) * velocity


def sung_lead(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Soft monophonic lead with a late vibrato."""
    time = seconds_axis(seconds + 0.09)
    tone = bright_tone(turning(frequency_hz, time, 16), frequency_hz, 0.3 + 0.28 * velocity * np.exp(-time / 0.6))
    return shaped(tone, 0.02, 0.09) * velocity


def reed(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Saxophone-like: the tone grows brighter as it swells, with breath around it."""
    time = seconds_axis(seconds + 0.07)
    swell = 1 - np.exp(-time / 0.05)
    tone = bright_tone(turning(frequency_hz, time, 18, 4.9), frequency_hz, (0.3 + 0.38 * velocity) * swell)
    breath = 0.05 * band(random.standard_normal(len(time)), 1200, 5000, 1)
    return shaped((tone + breath) * (0.75 + 0.25 * np.exp(-time / 0.4)), 0.025, 0.07) * velocity


def brass(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Small section: three players, bright on the attack, falling back while they hold."""
    time = seconds_axis(seconds + 0.08)
    bite = (0.35 + 0.45 * velocity * np.exp(-time / 0.25)) * (1 - np.exp(-time / 0.018))
    sound = np.zeros(len(time))
    for cents in random.normal(0, 5, 3):
        phase = turning(frequency_hz * 2 ** (cents / 1200), time, 10, 5.0) + random.uniform(0, TWO_PI)
        sound += bright_tone(phase, frequency_hz, bite)
    return shaped(sound, 0.018, 0.08) * velocity


def flute(frequency_hz: float, seconds: float, velocity: float, random: Random) -> Sound:
    """Wooden flute: few harmonics, breath, vibrato on long notes."""
    time = seconds_axis(seconds + 0.08)
    phase = turning(frequency_hz, time, 12, 5.0)
    tone = np.sin(phase) + 0.32 * velocity * np.sin(2 * phase) + 0.14 * velocity * np.sin(3 * phase)
    breath = band(random.standard_normal(len(time)), 1500, 7000, 1) * (0.05 + 0.12 * np.exp(-time / 0.03))
    return shaped(tone + breath, 0.035, 0.08) * velocity


VOICES: dict[str, Voice] = {
    "acoustic guitar": plucked(ring_s=3.2, damping=0.32, pick=0.17, tone_hz=3600),
    "electric guitar": plucked(ring_s=4.0, damping=0.40, pick=0.12, tone_hz=4000, release_s=0.05),
    "muted guitar": plucked(ring_s=0.5, damping=0.30, pick=0.08, tone_hz=7000, release_s=0.03),
    "electric piano": electric_piano,
    "piano": piano,
    "vibraphone": vibraphone,
    "organ": organ,
    "pad": pad,
    "electric bass": electric_bass,
    "upright bass": upright_bass,
    "sub bass": sub_bass,
    "synth bass": synth_bass,
    "synth pluck": synth_pluck,
    "sung lead": sung_lead,
    "reed": reed,
    "brass": brass,
    "flute": flute,
}


def room(reverberation_s: float, random: Random) -> Sound:
    """Impulse response `(frames, 2)` of a room: independent decaying noise left and right, the treble dying sooner,
    after 12 ms of silence; energy 1 in each channel. reverberation_s: time in which the low middle falls by 60 dB."""
    time = seconds_axis(reverberation_s)[:, None]
    response = np.zeros((len(time), 2))
    for low_hz, high_hz, share in ((180, 700, 1.0), (700, 2800, 0.85), (2800, 9000, 0.5)):
        noise = band(random.standard_normal(response.shape), low_hz, high_hz, 1)
        response += noise * 10 ** (-3 * time / (reverberation_s * share))
    response *= 1 - np.exp(-time / 0.004)
    response /= np.sqrt(np.sum(response**2, axis=0))
    return np.concatenate([np.zeros((round(0.012 * SAMPLE_RATE), 2)), response])

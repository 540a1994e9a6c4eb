"""Signals for the rig, and an open interface that is given back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from buscomp.capture.device import DeviceProfile
from buscomp.capture.portaudio import PortAudioInterface
from buscomp.manifests.pcm import Float32
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, Rig

FIREFACE = DeviceProfile(match="fireface")


def plucks(seconds: float) -> Float32:
    """Decaying stereo tones twice a second, -12 dBFS: a compressor's attack and release never rest."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    decay = np.exp(-8 * (time_s % 0.5))
    left = np.sin(2 * np.pi * 220 * time_s) + 0.3 * np.sin(2 * np.pi * 1760 * time_s)
    right = np.sin(2 * np.pi * 330 * time_s)
    return np.asarray(0.25 * decay[:, None] * np.stack([left, right], axis=1) / 1.3, np.float32)


def after_silence(audio: Float32, silence_s: float) -> Float32:
    """`audio` after `silence_s` of silence, with a tail in which the return can end."""
    silence = np.zeros((round(silence_s * SAMPLE_RATE), 2), np.float32)
    return np.concatenate([silence, audio, np.zeros((4 * PERIOD, 2), np.float32)])


@contextmanager
def opened(profile: DeviceProfile = FIREFACE, longest_frames: int = 0) -> Iterator[PortAudioInterface]:
    interface = PortAudioInterface(profile, longest_frames)
    try:
        yield interface
    finally:
        interface.close()


def paused(rig: Rig, seconds: float) -> None:
    """Stop the server, and let it go on after `seconds`."""
    rig.server.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    rig.server.send_signal(signal.SIGCONT)


def in_a_second(action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(1.0, action)
    timer.start()
    return timer

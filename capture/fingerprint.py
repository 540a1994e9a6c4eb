"""What a fingerprint measures: the unit's gain over time, window by window, and how sure each figure is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..manifests.errors import DatasetError
from ..manifests.levels import db, from_db
from ..manifests.pcm import FULL_SCALE, Float32
from .fingerprint_signal import FingerprintSignal, fingerprint_parts
from .latency import delay_by_fraction

Features = npt.NDArray[np.float64]
CLIPPED = 1 - 2 / FULL_SCALE  # a return that reaches it was cut off
LEAST_GAIN = 1e-5  # a window without signal reads -100 dB


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """One measurement of one setting. Two of the same setting differ by noise and drift only."""

    sample_rate: int  # Hz
    gains_db: Features  # (windows,): re the quiet tone of the same frequency, which is under every threshold
    static_gain_db: float  # of the quiet tone at the carrier: make-up, cables, converters
    noise_dbfs: float  # RMS of the silence before
    clipped: bool = False  # the return reached full scale: loud windows read too little

    @property
    def signal(self) -> FingerprintSignal:
        return fingerprint_parts(self.sample_rate)

    @cached_property
    def std_db(self) -> Features:
        """(windows,): standard deviation of `gains_db` from the noise; channels are not averaged out, as hum and
        the converter's distortion are the same on both."""
        amplitude = np.maximum(10 ** ((self.gains_db + self.static_gain_db) / 20), LEAST_GAIN)
        relative = from_db(self.noise_dbfs) / (np.sqrt(self.signal.energies) * amplitude)
        return np.asarray(20 / np.log(10) * np.hypot(relative, relative[self.signal.baselines]), np.float64)

    def to_texts(self) -> list[str]:
        """The column `features`: `name=value`, dB. `from_texts` is its inverse, to 0.0001 dB."""
        scalars = {"static_gain": self.static_gain_db, "noise_dbfs": self.noise_dbfs, "clipped": float(self.clipped)}
        named = dict(zip(self.signal.names, self.gains_db, strict=True))
        return [
            f"sample_rate={self.sample_rate}",
            *(f"{name}={value:.4f}" for name, value in (scalars | named).items()),
        ]

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> Fingerprint:
        """`DatasetError` when another version of the signal was measured: measure its audio again then."""
        values = {name: float(value) for name, _, value in (text.rpartition("=") for text in texts)}
        try:
            sample_rate = int(values.pop("sample_rate"))
            static, noise, clipped = (values.pop(name) for name in ("static_gain", "noise_dbfs", "clipped"))
        except KeyError as missing:
            raise DatasetError(f"a stored fingerprint has no {missing.args[0]}") from None
        if tuple(values) != fingerprint_parts(sample_rate).names:
            raise DatasetError(
                "a stored fingerprint was made with another signal",
                got=f"{len(values)} windows",
                allowed=str(len(fingerprint_parts(sample_rate).names)),
                mend="measure it again from its audio, or visit the setting again",
            )
        return cls(sample_rate, np.array(list(values.values())), static, noise, bool(clipped))


def measure_fingerprint(
    sent: Float32, returned: Float32, sample_rate: int, *, noise_dbfs: float, fraction_samples: float = 0.0
) -> Fingerprint:
    """The fingerprint in `returned` (frames, channels), what came back for `sent` = `fingerprint_signal(...)`.

    `returned` is aligned by whole samples, as a take is, and `fraction_samples` (-0.5 to 0.5) is the rest of the
    latency: the windows are as short as 5 samples, so it is taken out here, in memory. `noise_dbfs` is the RMS of the
    silence before. Gains are of the channels' mean; polarity does not matter."""
    signal = fingerprint_parts(sample_rate)
    if sent.shape != returned.shape or len(sent) != len(signal.wave):
        raise ValueError(f"fingerprint of {len(signal.wave)} frames: sent {sent.shape}, returned {returned.shape}")
    clipped = bool(np.abs(returned).max() >= CLIPPED)
    aligned = delay_by_fraction(returned, -fraction_samples) if fraction_samples else returned
    amplitudes = [signal.project(channel) for channel in aligned.T]
    mean = np.mean([amplitude * np.sign(amplitude[0] or 1.0) for amplitude in amplitudes], axis=0)
    gains_db = ratios_db(signal, mean)
    return Fingerprint(sample_rate, gains_db, db(abs(float(mean[0]))), noise_dbfs, clipped)


def ratios_db(signal: FingerprintSignal, amplitudes: Features) -> Features:
    """Gain of each window (last axis) re the window that is its baseline."""
    held = np.maximum(amplitudes, LEAST_GAIN)
    return np.asarray(20 * np.log10(held / held[..., signal.baselines]), np.float64)


def replicate_esr(now: Fingerprint, before: Fingerprint) -> float:
    """Error energy over signal energy of the gain envelope, windows weighted by the energy they return: the ESR of two
    aligned returns whose static gains were made equal, without their noise. 1e-4 is 0.087 dB of gain."""
    weight = now.signal.energies
    mine, others = 10 ** (now.gains_db / 20), 10 ** (before.gains_db / 20)
    noise = np.sum(weight * (mine**2 * now.std_db**2 + others**2 * before.std_db**2)) * (np.log(10) / 20) ** 2
    error = float(np.sum(weight * (mine - others) ** 2) - noise)
    return max(0.0, error) / float(np.sum(weight * others**2))

"""What is played to calibrate, and what its return says. Sweeps stay below every threshold, at -46 dBFS peak.

    chirps (frames,)    silence | probe | gap | probe | gap ...    latency, gain, polarity, crosstalk
    sweep (frames,)     silence | 15 Hz ... 21 kHz | tail          frequency response
    tone (frames,)      1 kHz, whole periods                       levels

Sources: exponential sweep after Farina, AES 108th Convention (2000), eq. 2; bands by ISO 266.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..manifests.levels import db, from_db
from ..manifests.pcm import Float32
from .calibration import Response
from .latency import BAND_HZ, Latency, measure_latency
from .probe import PROBE_PEAK_DBFS, make_probe

CHIRPS = 6
GAP_S = 0.05  # beside the longest latency
SWEEP_S, SWEEP_LOW_HZ, SWEEP_HIGH_HZ, SWEEP_FADE_S = 4.0, 15.0, 21_000.0, 0.02
TAIL_S = 0.5  # for what rings on after a sweep
HIGHEST_BAND = 0.46  # of the sample rate
TONE_HZ = 1000
BANDS_HZ = (
    *(20.0, 25.0, 31.5, 40.0, 50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0, 500.0, 630.0),
    *(800.0, 1000.0, 1250.0, 1600.0, 2000.0, 2500.0, 3150.0, 4000.0, 5000.0, 6300.0, 8000.0, 10000.0, 12500.0),
    *(16000.0, 20000.0),
)
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """What a return heard of some chirps."""

    latency_samples: float
    latency_std_samples: float  # of one chirp: scatter of them all, or what each says of itself, whichever is more
    gain_db: float
    inverted: bool


@dataclass(frozen=True)
class Chirps:
    """Several probes with room for the latency between them."""

    sample_rate: int
    max_latency_samples: int

    @property
    def starts(self) -> list[int]:
        """First frame of each."""
        room = self.max_latency_samples + round(GAP_S * self.sample_rate)
        return [room + number * (len(make_probe(self.sample_rate)) + room) for number in range(CHIRPS)]

    def send(self) -> Float32:
        """What is played (frames,)."""
        probe, starts = make_probe(self.sample_rate), self.starts
        sent = np.zeros(starts[-1] + len(probe) + starts[0], np.float32)
        for start in starts:
            sent[start : start + len(probe)] = probe
        return sent

    def heard(self, returned: Float32) -> Heard | None:
        """What `returned` (frames,) holds of them; None unless every chirp is found."""
        probe = make_probe(self.sample_rate)
        found = [measure_latency(returned[s:], probe, self.max_latency_samples, self.sample_rate) for s in self.starts]
        each = [latency for latency in found if isinstance(latency, Latency)]
        if len(each) < len(found):
            return None
        samples = np.array([latency.samples for latency in each])
        told_std = float(np.sqrt(np.mean([latency.std_samples**2 for latency in each])))
        return Heard(
            latency_samples=float(samples.mean()),
            latency_std_samples=max(float(samples.std(ddof=1)), told_std),
            gain_db=float(np.mean([latency.gain_db for latency in each])),
            inverted=sum(latency.inverted for latency in each) > len(each) / 2,
        )

    def gain_db_at(self, returned: Float32, latency_samples: float) -> float:
        """Level of the chirps in `returned` (frames,) at a known latency, re the send, 2-15 kHz; noise at -100 dBFS
        reads about -94 dB. For crosstalk, which is too quiet to be searched for."""
        probe = np.asarray(make_probe(self.sample_rate), np.float64)
        whole = round(latency_samples)
        mean = np.mean([returned[start + whole :][: len(probe)] for start in self.starts], axis=0)
        hz = np.fft.rfftfreq(len(probe), 1 / self.sample_rate)
        band = (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])
        sent, heard = np.fft.rfft(probe)[band], np.fft.rfft(mean)[band]
        turned = np.exp(2j * np.pi * hz[band] / self.sample_rate * (latency_samples - whole))
        return db(float(abs(np.sum(heard * np.conj(sent) * turned)) / np.sum(np.abs(sent) ** 2)))


@dataclass(frozen=True)
class Sweep:
    """One long sweep for the frequency response."""

    sample_rate: int
    max_latency_samples: int

    def send(self) -> Float32:
        """What is played (frames,)."""
        rate, high_hz = self.sample_rate, min(SWEEP_HIGH_HZ, 0.476 * self.sample_rate)
        time_s = np.arange(round(SWEEP_S * rate)) / rate
        span = np.log(high_hz / SWEEP_LOW_HZ)
        sweep = np.sin(2 * np.pi * SWEEP_LOW_HZ * SWEEP_S / span * np.expm1(time_s / SWEEP_S * span))
        fade = np.sin(np.linspace(0, np.pi / 2, round(SWEEP_FADE_S * rate))) ** 2
        sweep[: len(fade)] *= fade
        sweep[-len(fade) :] *= fade[::-1]
        before, after = round(GAP_S * rate), self.max_latency_samples + round(TAIL_S * rate)
        return np.pad(from_db(PROBE_PEAK_DBFS) * sweep, (before, after)).astype(np.float32)

    def response(self, returned: Float32, latency_samples: float) -> Response:
        """Gain from send to `returned` (frames,) in thirds of an octave: what of the return is coherent with the
        send, after its latency; noise and hum do not add to it."""
        sent = np.fft.rfft(self.send())
        hz = np.fft.rfftfreq(len(returned), 1 / self.sample_rate)
        turned = np.exp(2j * np.pi * hz / self.sample_rate * latency_samples)
        product = np.fft.rfft(returned) * np.conj(sent) * turned
        power = np.abs(sent) ** 2
        found = []
        for band_hz in BANDS_HZ:
            if band_hz <= HIGHEST_BAND * self.sample_rate:
                inside = (hz > band_hz * 2 ** (-1 / 6)) & (hz < band_hz * 2 ** (1 / 6))
                gain_db = db(float(abs(product[inside].sum()) / power[inside].sum()))
                found.append((band_hz, round(gain_db, 4) + 0.0))  # no minus before a zero
        return tuple(found)


def tone(sample_rate: int, peak_dbfs: float) -> Float32:
    """A second of 1 kHz (frames,): whole periods, so that it can be repeated without a seam."""
    angle = 2 * np.pi * TONE_HZ * np.arange(sample_rate) / sample_rate
    return np.asarray(from_db(peak_dbfs) * np.sin(angle), np.float32)


def tone_peak_dbfs(returned: Float32, sample_rate: int) -> Float64:
    """Peak level of the tone in the last half of `returned` (frames, inputs), per input: noise, hum and distortion do
    not count."""
    late = np.asarray(returned[-(sample_rate // 2) :], np.float64)
    turning = np.exp(-2j * np.pi * TONE_HZ * np.arange(len(late)) / sample_rate)
    return np.array([db(2 * abs(amplitude) / len(late)) for amplitude in turning @ late])

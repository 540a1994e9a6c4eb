"""The delay of the song from window to window: samples lost or inserted on the way, and clocks that are not shared.

Chirps before and after a song see what is left at its end; a loss and an equal insertion in between they do not. Each
window of 0.2 s gives the slope of the phase of the cross-spectrum, 200 Hz to 15 kHz, its magnitudes whitened (PHAT), so
that no loud bass and no gain that moves with it decides. Under compression a window is 0.03 sample off, 0.12 at the
worst of hundreds of takes; through a loopback pair 1e-4. A step of one sample is certain in either.

Sign: positive delay means wet lags dry, so lost samples are negative slips.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy import fft

from ..manifests.pcm import Float32

WINDOW_FRAMES, HOP_FRAMES = 1 << 13, 1 << 14
BAND_HZ = (200.0, 15_000.0)
WHITENED = 0.1  # of the mean magnitude: bins well below it count for less
FOLLOWED = 0.9  # coherence above which the last delay is the right start for the next
VALID = 0.5  # coherence; another song, or noise, has 0.1
STEPS, CONVERGED = 4, 1e-3  # of Newton's method; samples
MOVED = 0.4  # samples from one window to the next, where more windows are looked at
SLIP_SAMPLES = 0.5
WHOLE = 0.3  # a slip is a whole number of samples, give or take this
RECENT = 5  # windows whose median is the delay so far
LEAST_WINDOWS = 6  # for a drift


@dataclass(frozen=True)
class DelayTrack:
    """Delay of the return in every window; what silence or damage hides is not valid."""

    times_s: npt.NDArray[np.float64]  # centres of the windows, re the song's first sample
    delay_samples: npt.NDArray[np.float64]  # re the alignment in which the audio was given
    coherence: npt.NDArray[np.float64]  # 1: every frequency agrees on the delay
    sample_rate: int

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Windows whose delay can be believed."""
        return np.asarray(self.coherence > VALID)


@dataclass(frozen=True)
class Slip:
    """Samples that were lost (negative) or inserted (positive)."""

    at_s: float  # re the song's first sample, within 0.4 s where the song sounds
    samples: int


def track_delay(
    sent: Float32, returned: Float32, sample_rate: int, fraction: float = 0.0, hop_frames: int = HOP_FRAMES
) -> DelayTrack:
    """The delay of `returned` (frames, channels) against `sent`, aligned to whole samples, every 0.37 s, and four times
    as often where it moves. `fraction`: what the chirp before the song says, where the search begins."""
    windows = _Windows(sent, returned, sample_rate)
    found: dict[int, tuple[float, float]] = {}  # coherence and delay by first frame
    last = fraction
    for start in range(0, max(1, len(sent) - WINDOW_FRAMES + 1), hop_frames):
        found[start] = windows.measure(start, last)
        if found[start][0] > FOLLOWED:
            last = found[start][1]
    believed = [start for start, (coherence, _) in found.items() if coherence > VALID]
    for one, other in itertools.pairwise(believed):
        if abs(found[other][1] - found[one][1]) > MOVED:
            for start in range(one + hop_frames // 4, other, hop_frames // 4):
                found[start] = windows.measure(start, found[one][1])
    starts = np.array(sorted(found))
    coherence, delay = np.array([found[start] for start in starts]).T
    return DelayTrack((starts + WINDOW_FRAMES / 2) / sample_rate, delay, coherence, sample_rate)


def drift_ppm(track: DelayTrack) -> float | None:
    """How much slower the clock of the return is, in parts per million: the median slope between windows (Theil and
    Sen), free of slips. None with fewer than 6 windows to say."""
    times_s, delay = track.times_s[track.valid], track.delay_samples[track.valid].copy()
    if len(times_s) < LEAST_WINDOWS:
        return None
    for slip in slips(track):
        delay[times_s > slip.at_s] -= slip.samples
    return _slope(times_s, delay) / track.sample_rate * 1e6


def slips(track: DelayTrack) -> tuple[Slip, ...]:
    """Where the delay changed at once by a whole number of samples, in the order of time.

    Two successive windows must agree on the new delay; one alone must be coherent, too. A steady drift is no slip."""
    times_s, delay = track.times_s[track.valid], track.delay_samples[track.valid].copy()
    certain = track.coherence[track.valid] > FOLLOWED
    if len(times_s) < 2:
        return ()
    steps = np.diff(delay) / np.diff(times_s)
    delay -= float(np.median(steps)) * times_s if len(times_s) >= LEAST_WINDOWS else 0.0
    found: list[Slip] = []
    recent, last_s = [delay[0]], times_s[0]
    for i in range(1, len(delay)):
        step = delay[i] - float(np.median(recent))
        if abs(step) <= SLIP_SAMPLES:
            recent, last_s = [*recent[1 - RECENT :], delay[i]], times_s[i]
            continue
        agreed = i + 1 < len(delay) and abs(delay[i + 1] - delay[i]) < WHOLE
        if abs(step - round(step)) < WHOLE and (agreed or certain[i]):
            found.append(Slip(float(last_s + times_s[i]) / 2, round(step)))
            recent, last_s = [delay[i]], times_s[i]
    return tuple(found)


def _slope(times_s: npt.NDArray[np.float64], delay: npt.NDArray[np.float64]) -> float:
    first, second = np.triu_indices(len(times_s), max(1, len(times_s) // 4))
    return float(np.median((delay[second] - delay[first]) / (times_s[second] - times_s[first])))


class _Windows:
    """The whitened cross-spectra of two signals, window by window."""

    def __init__(self, sent: Float32, returned: Float32, sample_rate: int):
        frequency_hz = fft.rfftfreq(WINDOW_FRAMES, 1 / sample_rate)
        self._band = slice(*np.searchsorted(frequency_hz, BAND_HZ))
        self._omega = (2 * np.pi / sample_rate * frequency_hz[self._band]).astype(np.float32)
        self._window = np.sin(np.pi * (np.arange(WINDOW_FRAMES, dtype=np.float32) + 0.5) / WINDOW_FRAMES) ** 2
        self._pair = np.zeros((2, WINDOW_FRAMES), np.float32)
        self._product = np.empty(len(self._omega), np.complex64)
        self._signals = (sent, returned)
        opposite = sent.shape[1] == 2 and np.dot(sent[::16, 0], sent[::16, 1]) < 0
        self._signs = (1, -1) if opposite else (1,) * sent.shape[1]  # the louder of sum and difference

    def measure(self, start: int, delay: float) -> tuple[float, float]:
        """Coherence and delay of the window that begins at frame `start`, sought next to `delay` first."""
        for row, audio in zip(self._pair, self._signals, strict=True):
            piece = audio[start : start + WINDOW_FRAMES]
            row[len(piece) :] = 0
            row[: len(piece)] = piece[:, 0]
            for channel, sign in enumerate(self._signs[1:], start=1):
                row[: len(piece)] += sign * piece[:, channel]
        spectra = fft.rfft(self._pair * self._window)[:, self._band]
        coherence, found = _follow(spectra, self._omega, delay, self._product)
        if coherence < FOLLOWED and self._product.any():
            coherence, found = max((coherence, found), self._search())
        return coherence, found

    def _search(self) -> tuple[float, float]:
        """The same anywhere within half a window, by the inverse transform of the whitened product."""
        spectrum = np.zeros(2 * WINDOW_FRAMES + 1, np.complex64)  # in steps of a quarter of a sample
        spectrum[self._band] = self._product
        correlation = fft.irfft(spectrum)
        at = int(correlation.argmax())
        start = (at if at < len(correlation) // 2 else at - len(correlation)) / 4
        coherence, delay = _newton(self._product, self._omega, start)
        return coherence, delay


def _climb(product: npt.NDArray[np.complex64], omega: Float32, delay: float) -> tuple[float, float]:
    """Coherence and delay at the maximum of the correlation that is next to `delay`; no coherence if none is near."""
    whole = 1e-30
    for k in range(len(product)):
        whole += np.sqrt(product[k].real ** 2 + product[k].imag ** 2)
    for step in range(STEPS + 1):
        turn = np.exp(1j * (omega[1] - omega[0]) * delay)
        phasor = np.exp(1j * omega[0] * delay)
        slope, bend, agreed = 0.0, 0.0, 0.0
        for k in range(len(product)):
            value = product[k] * phasor
            phasor *= turn
            slope += omega[k] * value.imag
            bend += omega[k] * omega[k] * value.real
            agreed += value.real
        if step == STEPS:
            break
        if bend <= 0 or abs(slope) > bend:  # uphill is more than a sample away
            return 0.0, delay
        delay -= slope / bend
        if abs(slope) < CONVERGED * bend:
            break
    return agreed / whole, delay


_FAST = {"contract", "reassoc", "nsz", "arcp"}  # all that leaves infinities and the absence of numbers alone
_newton = numba.njit(cache=True, fastmath=_FAST)(_climb)


def _whiten(
    spectra: npt.NDArray[np.complex64], omega: Float32, delay: float, product: npt.NDArray[np.complex64]
) -> tuple[float, float]:
    """Fills the whitened `product` of sent and returned; coherence and delay next to `delay`."""
    mean = np.float32(0)
    for k in range(len(product)):
        product[k] = spectra[1, k] * np.conj(spectra[0, k])
        mean += np.sqrt(product[k].real ** 2 + product[k].imag ** 2)
    mean *= np.float32(WHITENED) / np.float32(len(product))
    if mean == 0:
        return 0.0, delay
    for k in range(len(product)):
        product[k] *= np.float32(1) / (np.sqrt(product[k].real ** 2 + product[k].imag ** 2) + mean)
    coherence, found = _newton(product, omega, delay)
    return coherence, found


_follow = numba.njit(cache=True, fastmath=_FAST)(_whiten)

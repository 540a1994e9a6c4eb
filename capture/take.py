"""From a recording to a take: aligned, trimmed, rounded, measured, and with the reasons against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.levels import db, from_db, loudness_lufs, peak_dbfs, rms_dbfs
from ..manifests.pcm import Float32, Int32, quantise
from . import checks
from .checks import Reason
from .interface import Recording
from .latency import GUARD_FRAMES, Latency, delay_by_fraction, measure_latency
from .layout import TakeLayout
from .probe import make_probe
from .staging import Staging

MAINS_HZ, MAINS_HARMONICS = (50.0, 60.0), 5


@dataclass(frozen=True)
class Examined:
    """What one recording is worth."""

    wet_pcm: Int32 | None  # (frames, channels) of dry, whole samples aligned; None where nothing could be aligned
    measured: dict[str, Any]  # columns of `takes`
    reasons: tuple[str, ...]  # codes of `checks.Reason`; empty for a right take


def examine(
    dry: Float32, layout: TakeLayout, recording: Recording, staging: Staging, block_size: int = 1024
) -> Examined:
    """Align `recording` with `dry`, measure it, and say what is wrong with it.

    wet is the return moved by `integer_shift_samples = round(latency_samples)`, never resampled, then
    `staging.trim`, then `manifests.pcm.quantise`. Columns that could not be measured are absent. `block_size` is
    that of the driver, whose flags are judged by blocks."""
    returned, rate = recording.audio, layout.sample_rate
    measured: dict[str, Any] = {"sample_rate": rate, "xruns": len(recording.xrun_frames)}
    if returned.shape != (layout.frames, dry.shape[1]):
        return Examined(None, measured, _codes({Reason.FRAMES}))
    if not np.isfinite(returned).all():
        return Examined(None, measured, _codes({Reason.NOT_FINITE}))
    silence = returned[layout.noise_start : layout.head_start]
    measured |= {"noise_floor_dbfs": rms_dbfs(silence), "hum_dbfs": hum_dbfs(silence, rate)}
    measured["clipped_runs"] = checks.clipped_runs(returned)
    reasons = {Reason.CLIPPED_RETURN} if measured["clipped_runs"] else set()

    heads = _probes(returned, layout, layout.head_start, 0)
    tails = _probes(returned, layout, layout.tail_start, layout.max_latency_samples)
    latency = _combined(heads)
    if latency is None:
        reasons.add(Reason.PROBE_NOT_FOUND)
        song = returned[layout.song_start :]
        if checks.silent_channels(dry, song, -np.inf):
            reasons.add(Reason.SILENT_RETURN)
        return Examined(None, measured, _codes(reasons))
    latency_samples, latency_std_samples = latency
    shift = round(latency_samples)
    start = layout.song_start + shift
    song = returned[start : start + len(dry)]
    wet = staging.trim(song)
    measured |= {
        "frames": len(dry),
        "channels": dry.shape[1],
        "latency_samples": latency_samples,
        "latency_std_samples": latency_std_samples,
        "integer_shift_samples": shift,
        "peak_dbfs": peak_dbfs(wet),
        "loudness_lufs": loudness_lufs(wet, rate),
    }

    found_db = [head.gain_db for head in heads if head is not None]
    static_gain_db = float(np.mean(found_db))
    gains_db = [static_gain_db if head is None else head.gain_db for head in heads]
    measured["static_gain_db"] = static_gain_db
    if len(found_db) == 2:
        measured["channel_imbalance_db"] = gains_db[0] - gains_db[1]
    silent = checks.silent_channels(dry, song, max(gains_db) + staging.send_boost_db)
    if silent:
        reasons.add(Reason.SILENT_RETURN)
    if any(head is None and channel not in silent for channel, head in enumerate(heads)):
        reasons.add(Reason.PROBE_NOT_FOUND)

    both = [(head, tail) for head, tail in zip(heads, tails, strict=True) if head is not None and tail is not None]
    drift = None
    if len(both) == len(found_db):
        before, after = _combined([head for head, _ in both]), _combined([tail for _, tail in both])
        assert before is not None
        assert after is not None
        drift = measured["drift_samples"] = after[0] - before[0]
        if abs(drift) > checks.LOST_SAMPLES:
            reasons.add(Reason.LOST_SAMPLES)
    else:
        reasons.add(Reason.PROBE_NOT_FOUND)

    signs = np.array([-1.0 if head is not None and head.inverted else 1.0 for head in heads])
    if (signs < 0).any():
        reasons.add(Reason.POLARITY)
    windows = checks.windows_of(dry, wet, rate, signs * np.array([from_db(gain_db) for gain_db in gains_db]))
    reduction_db = checks.gain_reduction_db(windows, staging.send_boost_db + staging.return_trim_db)
    if len(reduction_db):
        measured["gain_reduction_mean_db"] = float(reduction_db.mean())
        measured["gain_reduction_max_db"] = float(reduction_db.max())
    if not silent and Reason.LOST_SAMPLES not in reasons:  # what is missing or shifted correlates with nothing
        reasons |= _identity(windows)
    if checks.lost_blocks(dry, song):
        reasons.add(Reason.LOST_BLOCK)
    flags = [frame - start for frame in recording.xrun_frames]
    if flags and (
        Reason.LOST_BLOCK in reasons
        or drift is None
        or abs(drift) > checks.PROVEN_SAMPLES
        or _harmed(dry, song, latency_samples - shift, flags, block_size, from_db(measured["noise_floor_dbfs"]))
    ):
        reasons.add(Reason.XRUN)
    return Examined(quantise(wet), measured, _codes(reasons))


def hum_dbfs(silence: Float32, sample_rate: int) -> float:
    """RMS of the first five harmonics of 50 or 60 Hz, whichever is more, all channels, by Hann-windowed projection."""
    window = np.hanning(len(silence))
    window /= window.sum()
    time_s = np.arange(len(silence)) / sample_rate
    powers = []
    for mains_hz in MAINS_HZ:
        harmonics = mains_hz * np.arange(1, MAINS_HARMONICS + 1)
        amplitudes = 2 * (window * np.exp(-2j * np.pi * harmonics[:, None] * time_s)) @ silence
        powers.append(np.sum(np.abs(amplitudes) ** 2) / 2 / silence.shape[1])
    return db(float(np.sqrt(max(powers))))


def _probes(returned: Float32, layout: TakeLayout, start: int, early: int) -> list[Latency | None]:
    """The probe sent at `start` on every channel of the return, from `early` samples before to the largest latency."""
    probe, search = make_probe(layout.sample_rate), early + layout.max_latency_samples
    heard = returned[start - early : start + layout.max_latency_samples + len(probe) + GUARD_FRAMES]
    found = [measure_latency(channel, probe, search, layout.sample_rate) for channel in heard.T]
    return [
        latency
        and Latency(latency.samples - early, latency.std_samples, latency.gain_db, latency.inverted, latency.snr_db)
        for latency in found
    ]


def _combined(latencies: list[Latency | None]) -> tuple[float, float] | None:
    """Latency and its standard deviation over all channels that have one, weighted by their certainty."""
    found = [latency for latency in latencies if latency is not None]
    if not found:
        return None
    weights: npt.NDArray[np.float64] = np.array([max(latency.std_samples, 1e-9) ** -2 for latency in found])
    mean = float(np.average([latency.samples for latency in found], weights=weights))
    return mean, float(weights.sum() ** -0.5)


def _identity(windows: checks.Windows) -> set[Reason]:
    """Whether it is this song, and its channels are where they were."""
    correlation, side = checks.song_correlation(windows), checks.side_correlation(windows)
    if correlation is not None and correlation < checks.SAME_SONG:
        return {Reason.WRONG_SONG}
    return {Reason.CHANNEL_SWAP} if side is not None and side < checks.SWAPPED else set()


def _harmed(dry: Float32, song: Float32, fraction: float, flags: list[int], block_size: int, noise_rms: float) -> bool:
    """Whether the song is damaged near one of the driver's flags. A JACK server in synchronous mode raises them on
    takes that are exact, so a flag alone proves nothing."""
    reach = (checks.FLAGGED_BLOCKS + 1) * block_size
    near = [flag for flag in flags if -reach < flag < len(dry) + reach]
    if not near:
        return False
    residual = checks.local_residual(delay_by_fraction(dry, fraction), song, noise_rms)
    return checks.damaged_near(residual, near, block_size)


def _codes(reasons: set[Reason]) -> tuple[str, ...]:
    return tuple(reason.value for reason in Reason if reason in reasons)

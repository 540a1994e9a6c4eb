"""Decoded audio -> what is sent: 44.1 kHz, stereo, one level for all songs, 24 bits.

The paper (Solid State Bus-Comp, 2025) normalises its songs to -12 dB without saying of what; here it is the sample
peak unless RMS or loudness is asked for. Everything is float until the last step, so that decoded lossy audio
beyond full scale is scaled down instead of clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from ..manifests.levels import (
    SEND_BOOST_DB,
    SILENCE_DB,
    clipped_runs,
    db,
    from_db,
    loudness_lufs,
    peak_dbfs,
    rms_dbfs,
    true_peak_dbtp,
)
from ..manifests.pcm import FULL_SCALE, Float32, Int32, quantise, to_float
from .decode import SongRefusedError

SAMPLE_RATE = 44_100  # Hz
MODES = ("peak", "rms", "lufs")
MONO_RULES = ("refuse", "double")
LOWEST_SOURCE_RATE = 32_000  # Hz: below, the file holds no music above 16 kHz, and a unit's behaviour there is lost
SHORTEST_S = 1.0
SILENT_BELOW_DBFS = -80.0
BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True)
class Dry:
    """A song as it will be sent."""

    pcm: Int32  # (frames, 2), 24-bit samples in the upper bits
    measured: dict[str, Any]  # the level columns of `songs`, of `pcm` except dry_gain_db and clipped_runs


def make_dry(
    source: Float32, source_rate: int, normalise: str = "peak", target_db: float = -12.0, mono: str = "refuse"
) -> Dry:
    """`source` `(frames, channels)` at `source_rate` Hz, resampled, normalised to `target_db` and quantised.

    `normalise`: `peak` (dBFS, largest sample), `rms` (dBFS, over all channels) or `lufs` (BS.1770 integrated).
    `mono`: `refuse`, or `double` the channel. `SongRefusedError` for what is too short, silent, of too low a rate,
    mono, or over full scale at that target.
    """
    if len(source) < SHORTEST_S * source_rate:
        raise SongRefusedError(f"too_short: {len(source) / source_rate:.2f} s (at least {SHORTEST_S:g} s)")
    if source_rate < LOWEST_SOURCE_RATE:
        raise SongRefusedError(
            f"sample_rate: {source_rate} Hz leaves no music bandwidth (at least {LOWEST_SOURCE_RATE} Hz)"
        )
    if peak_dbfs(source) < SILENT_BELOW_DBFS:
        raise SongRefusedError(f"silent: its peak is {shown_db(peak_dbfs(source))} dBFS")
    if source.shape[1] == 1:
        if mono == "refuse":
            raise SongRefusedError("mono: the channel would have to be doubled (--mono double)")
        source = np.repeat(source, 2, axis=1)
    flat_tops = clipped_runs(source)  # before resampling, which would hide them
    audio = source if source_rate == SAMPLE_RATE else soxr.resample(source, source_rate, SAMPLE_RATE, "VHQ")
    gain_db = target_db - level_db(audio, normalise)
    peak = peak_dbfs(audio) + gain_db
    if peak > db(1 - 1 / FULL_SCALE):
        raise SongRefusedError(f"over: its peak would be {peak:+.1f} dBFS with {normalise} at {target_db:g} dB")
    pcm = _with_gain(audio, gain_db)
    return Dry(pcm, {**measure(pcm), "clipped_runs": flat_tops, "dry_gain_db": gain_db})


def _with_gain(audio: Float32, gain_db: float) -> Int32:
    """`audio` at its new level, multiplied in float64 and rounded once; by blocks, for the sake of memory."""
    pcm = np.empty(audio.shape, np.int32)
    for start in range(0, len(audio), BLOCK_FRAMES):
        block = slice(start, start + BLOCK_FRAMES)
        pcm[block] = quantise(audio[block].astype(np.float64) * from_db(gain_db))
    return pcm


def level_db(audio: Float32, mode: str) -> float:
    """The level that normalisation by `mode` brings to its target. `SongRefusedError` where loudness is not defined."""
    if mode == "peak":
        return peak_dbfs(audio)
    if mode == "rms":
        return rms_dbfs(audio)
    loudness = loudness_lufs(audio, SAMPLE_RATE)
    if loudness is None:
        raise SongRefusedError("silent: all of it lies below the loudness gate of -70 LUFS")
    return loudness


def measure(pcm: Int32) -> dict[str, Any]:
    """The columns of `songs` that can be measured on what is sent."""
    audio = to_float(pcm)
    peak, rms = peak_dbfs(audio), rms_dbfs(audio)
    return {
        "sample_rate": SAMPLE_RATE,
        "frames": len(audio),
        "channels": audio.shape[1],
        "duration_s": len(audio) / SAMPLE_RATE,
        "peak_dbfs": peak,
        "true_peak_dbtp": true_peak_dbtp(audio, SAMPLE_RATE),
        "rms_dbfs": rms,
        "crest_db": peak - rms,
        "loudness_lufs": loudness_lufs(audio, SAMPLE_RATE),
        "dc_offset": float(np.abs(audio.mean(axis=0, dtype=np.float64)).max()),
    }


def headroom_note(measured: dict[str, Any]) -> str | None:
    """What a person should know before the boost at the send pushes a converter over full scale, or None."""
    over = measured["true_peak_dbtp"] + SEND_BOOST_DB
    return f"true peak would be {over:+.1f} dBTP after the +{SEND_BOOST_DB:g} dB of the send" if over > 0 else None


def shown_db(level: float) -> str:
    """A level as people write it; digital silence is `-inf`."""
    return "-inf" if level <= SILENCE_DB else f"{level:.1f}"

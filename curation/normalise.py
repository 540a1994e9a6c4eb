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

from ..manifests.decode import Decoded, SongRefusedError
from ..manifests.levels import SEND_BOOST_DB, SILENCE_DB, db, from_db, loudness_lufs, peak_dbfs, rms_dbfs
from ..manifests.pcm import FULL_SCALE, Float32, Int32, quantise, to_float
from .song_columns import columns_of_float, source_columns, with_mastering
from .song_measures import first_look

SAMPLE_RATE = 44_100  # Hz
MODES = ("peak", "rms", "lufs")
MONO_RULES = ("refuse", "double")
LOWEST_SOURCE_RATE = 32_000  # Hz: below, the file holds no music above 16 kHz, and a unit's behaviour there is lost
SHORTEST_S = 1.0
SILENT_BELOW_DBFS = -80.0
BLOCK_FRAMES = 1 << 15


@dataclass(frozen=True)
class Dry:
    """A song as it will be sent."""

    pcm: Int32  # (frames, 2), 24-bit samples in the upper bits
    measured: dict[str, Any]  # the columns of `songs` that are measured, on `pcm` and on the source


def make_dry(
    decoded: Decoded,
    normalise: str = "peak",
    target_db: float = -12.0,
    mono: str = "refuse",
    overwrite: bool = False,
) -> Dry:
    """A decoded song, resampled, normalised to `target_db` and quantised.

    `normalise`: `peak` (dBFS, largest sample), `rms` (dBFS, over all channels) or `lufs` (BS.1770 integrated).
    `mono`: `refuse`, or `double` the channel. `overwrite`: the decoded samples are not needed any more, so that their
    memory can be used. `SongRefusedError` for what is too short, silent, of too low a rate,
    mono, or over full scale at that target.
    """
    source, source_rate, _ = decoded
    if len(source) < SHORTEST_S * source_rate:
        raise SongRefusedError(f"too_short: {len(source) / source_rate:.2f} s (at least {SHORTEST_S:g} s)")
    if source_rate < LOWEST_SOURCE_RATE:
        raise SongRefusedError(
            f"sample_rate: {source_rate} Hz leaves no music bandwidth (at least {LOWEST_SOURCE_RATE} Hz)"
        )
    look = first_look(source)
    if db(look.peak) < SILENT_BELOW_DBFS:
        raise SongRefusedError(f"silent: its peak is {shown_db(db(look.peak))} dBFS")
    if source.shape[1] == 1:
        if mono == "refuse":
            raise SongRefusedError("mono: the channel would have to be doubled (--mono double)")
        source = np.repeat(source, 2, axis=1)
    audio = source if source_rate == SAMPLE_RATE else soxr.resample(source, source_rate, SAMPLE_RATE, "VHQ")
    peak_before = db(look.peak) if audio is source else peak_dbfs(audio)
    gain_db = target_db - (peak_before if normalise == "peak" else level_db(audio, normalise))
    peak = peak_before + gain_db
    if peak > db(1 - 1 / FULL_SCALE):
        raise SongRefusedError(f"over: its peak would be {peak:+.1f} dBFS with {normalise} at {target_db:g} dB")
    measured = source_columns(decoded, look)
    pcm, dry = _with_gain(audio, gain_db, audio if overwrite or audio is not decoded.audio else np.empty_like(audio))
    measured |= columns_of_float(dry, SAMPLE_RATE) | {"dry_gain_db": gain_db}
    return Dry(pcm, with_mastering(measured))


def _with_gain(audio: Float32, gain_db: float, out: Float32) -> tuple[Int32, Float32]:
    """`audio` at its new level, multiplied in float64 and rounded once, and `out`, which holds the same as float. By
    blocks, for the sake of memory; `out` may be `audio`."""
    pcm = np.empty(audio.shape, np.int32)
    for start in range(0, len(audio), BLOCK_FRAMES):
        block = slice(start, start + BLOCK_FRAMES)
        pcm[block] = quantise(audio[block].astype(np.float64) * from_db(gain_db))
        out[block] = to_float(pcm[block])
    return pcm, out


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


def headroom_note(measured: dict[str, Any]) -> str | None:
    """What a person should know before the boost at the send pushes a converter over full scale, or None."""
    over = measured["true_peak_dbtp"] + SEND_BOOST_DB
    return f"true peak would be {over:+.1f} dBTP after the +{SEND_BOOST_DB:g} dB of the send" if over > 0 else None


def shown_db(level: float) -> str:
    """A level as people write it; digital silence is `-inf`."""
    return "-inf" if level <= SILENCE_DB else f"{level:.1f}"

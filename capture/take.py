"""From a recording to a take: aligned, trimmed, rounded, measured, and with the reasons against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..manifests.levels import db, loudness_lufs, rms_dbfs
from ..manifests.pcm import Float32, Int32, quantise
from .alignment import Alignment, align
from .interface import Recording
from .layout import TakeLayout
from .quiet import dc_alarm, hum_alarm, measure_quiet, noise_alarm
from .reasons import Reason
from .return_level import flat_tops, measure_tops
from .song_check import Expected, SongCheck, silent_dbfs
from .staging import Staging

__all__ = ["Examined", "Expected", "examine"]

NOTHING_EXPECTED = Expected()


@dataclass(frozen=True)
class Examined:
    """What one recording is worth."""

    wet_pcm: Int32 | None  # (frames, channels) of dry, whole samples aligned; None where nothing could be aligned
    measured: dict[str, Any]  # columns of `takes`
    reasons: tuple[str, ...]  # codes of `Reason`; empty for a right take
    details: dict[str, str] = field(default_factory=dict)  # by code: what was found, and where in the song
    cv_pcm: Int32 | None = None  # (frames, cv channels), cut to the frames of wet, DC and all


def examine(
    dry: Float32,
    layout: TakeLayout,
    recording: Recording,
    staging: Staging,
    block_size: int = 1024,
    *,
    loopback: Float32 | None = None,
    cv: Float32 | None = None,
    expected: Expected = NOTHING_EXPECTED,
) -> Examined:
    """Align `recording` with `dry`, measure it, and say what is wrong with it.

    `recording.audio` are the returns of one unit (frames, channels); `loopback` (frames,) is what came back through the
    loopback pair and `cv` (frames, cv channels) the control voltage, in the same frames. wet is the return moved by
    `integer_shift_samples` (see `alignment`), never resampled, then `staging.trim`, then `manifests.pcm.quantise`.
    Columns that could not be measured are absent. `block_size` is that of the driver, whose flags are judged by
    blocks."""
    rate = layout.sample_rate
    measured: dict[str, Any] = {"sample_rate": rate, "xruns": len(recording.xrun_frames)}
    others = [audio for audio in (loopback, cv) if audio is not None]
    shape = (layout.frames, dry.shape[1])
    if recording.audio.shape != shape or any(len(audio) != layout.frames for audio in others):
        told = f"{recording.audio.shape} frames and channels came back of {shape}"
        return _examined(None, measured, {Reason.FRAMES: told})
    dry, returned = (np.ascontiguousarray(audio, np.float32) for audio in (dry, recording.audio))
    tops = measure_tops(returned)
    if not tops.finite or any(not np.isfinite(audio).all() for audio in others):
        return _examined(None, measured, {Reason.NOT_FINITE: Reason.NOT_FINITE.meaning})

    quiet = measure_quiet(returned[layout.noise_start : layout.head_start], rate)
    measured |= {
        "noise_floor_dbfs": quiet.noise_floor_dbfs,
        "hum_dbfs": quiet.hum_dbfs,
        "dc_offset": quiet.dc_offset,
        "clipped_runs": tops.full_scale_runs,
    }
    found = {
        Reason.DC_OFFSET: dc_alarm(quiet),
        Reason.HUM: hum_alarm(quiet),
        Reason.NOISE_FLOOR: noise_alarm(quiet, expected.noise_floor_dbfs),
    }
    alignment = align(returned, loopback, layout)
    if alignment is None:
        level_dbfs = rms_dbfs(returned[layout.song_start :])
        if level_dbfs <= silent_dbfs(quiet):
            found[Reason.SILENT_RETURN] = f"nothing but {level_dbfs:.0f} dBFS came back"
        else:
            found[Reason.PROBE_NOT_FOUND] = "no chirp before the song on any channel"
        found[Reason.CLIPPED_RETURN] = _clipping(tops.full_scale_runs)
        return _examined(None, measured, found)

    begin = layout.song_start + alignment.integer_shift_samples
    wet = staging.trim(returned[begin : begin + len(dry)])
    heard = returned
    if found[Reason.DC_OFFSET]:  # it is told; nothing else shall stumble over it
        heard = returned - returned[layout.noise_start : layout.head_start].mean(axis=0)
    song = SongCheck(dry, heard, loopback, layout, alignment, quiet, staging.send_boost_db, expected)
    measured |= _of_alignment(alignment) | {
        "frames": len(dry),
        "channels": dry.shape[1],
        "peak_dbfs": db(measure_tops(wet).peak),
        "loudness_lufs": loudness_lufs(wet, rate),
        "clipped_runs": tops.full_scale_runs + flat_tops(dry, song.song),
    }
    found[Reason.CLIPPED_RETURN] = _clipping(measured["clipped_runs"])
    song.alarms = {reason: told for reason, told in found.items() if told is not None}
    song.run(recording.xrun_frames, block_size)
    cv_pcm = None if cv is None else quantise(cv[begin : begin + len(dry)])
    return _examined(quantise(wet), measured | song.measured, song.alarms, cv_pcm)


def _of_alignment(alignment: Alignment) -> dict[str, Any]:
    """The columns that the probes give."""
    gains_db, head = alignment.gains_db, alignment.loopback_head
    measured: dict[str, Any] = {
        "latency_samples": alignment.delay.samples,
        "latency_std_samples": alignment.delay.std_samples,
        "integer_shift_samples": alignment.integer_shift_samples,
        "static_gain_db": float(np.mean([probe.gain_db for probe in alignment.heads if probe is not None])),
    }
    if len(gains_db) == 2 and None not in alignment.heads:
        measured["channel_imbalance_db"] = float(gains_db[0] - gains_db[1])
    if alignment.drift_samples is not None:
        measured["drift_samples"] = alignment.drift_samples
    if head is not None:
        measured["loopback_latency_samples"] = head.samples
    return measured


def _clipping(runs: int) -> str | None:
    return f"{runs} flat tops of 4 samples or more" if runs else None


def _examined(
    wet_pcm: Int32 | None,
    measured: dict[str, Any],
    found: Mapping[Reason, str | None],
    cv_pcm: Int32 | None = None,
) -> Examined:
    """`found` in the order of `Reason`."""
    details = {reason.value: told for reason in Reason if (told := found.get(reason)) is not None}
    return Examined(wet_pcm, measured, tuple(details), details, cv_pcm)

"""The columns of `songs` that describe a file and the dry audio made of it."""

from __future__ import annotations

from typing import Any

from ..manifests.decode import Decoded
from ..manifests.levels import db
from ..manifests.pcm import Float32, Int32, to_float
from .bandwidth import bandwidth
from .mastering import estimate_mastering
from .song_measures import Look, clipped_runs, measure_song

MEASURES = 2  # counts up when a column is added or means something else: songs are then measured again


def source_columns(source: Decoded, look: Look) -> dict[str, Any]:
    """What is measured on the file as it was dropped in; `look`: the first look at its audio."""
    spectrum = bandwidth(source.audio, source.sample_rate)
    return {
        "source_format": source.format,
        "source_sample_rate": source.sample_rate,
        "source_channels": source.audio.shape[1],
        "source_peak_dbfs": db(look.peak),
        "clipped_runs": clipped_runs(source.audio, look),  # before resampling, which would hide them
        "bandwidth_hz": spectrum.bandwidth_hz,
        "spectral_wall_hz": spectrum.wall_hz,
    }


def dry_columns(pcm: Int32, sample_rate: int) -> dict[str, Any]:
    """What is measured on the samples that are sent."""
    return columns_of_float(to_float(pcm), sample_rate)


def columns_of_float(audio: Float32, sample_rate: int) -> dict[str, Any]:
    """The same, where they are at hand as float."""
    measured = measure_song(audio, sample_rate)
    loudness = measured["loudness_lufs"]
    return measured | {
        "sample_rate": sample_rate,
        "frames": len(audio),
        "channels": audio.shape[1],
        "duration_s": len(audio) / sample_rate,
        "plr_db": None if loudness is None else measured["true_peak_dbtp"] - loudness,
    }


def with_mastering(row: dict[str, Any]) -> dict[str, Any]:
    """`row`, which has source columns, dry columns and dry_gain_db, and the estimate of mastering, which goes by the
    levels of the source: those of dry without the gain."""
    gain_db, loudness = row["dry_gain_db"], row["loudness_lufs"]
    estimate = estimate_mastering(
        plr_db=row["plr_db"],
        true_peak_dbtp=row["true_peak_dbtp"] - gain_db,
        loudness_lufs=None if loudness is None else loudness - gain_db,
        ceiling_share=row["ceiling_share"],
        clipped_runs=row["clipped_runs"],
    )
    return row | {"mastering": estimate.verdict, "mastering_signs": estimate.signs}

"""A song in segments of 10 s, as models that hear only a short stretch want it.

A tail of 5 s or more is a segment of its own; a shorter one is left out, unless it is all there is. So a song of four
minutes and 4 s has 24 segments, and one of four minutes and 5 s has 25.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from ..manifests.pcm import Float32

SEGMENT_S = 10.0
SHORTEST_TAIL_S = 5.0


@dataclass(frozen=True)
class Piece:
    """One segment: `audio` (frames,) is the mean of the channels."""

    start_s: float
    end_s: float
    audio: Float32


def pieces_of(audio: Float32, sample_rate: int, rate: int) -> list[Piece]:
    """The segments of `audio` (frames, channels), resampled to `rate` as a whole, so that none has an edge of its own.
    Empty audio has none."""
    song = np.asarray(soxr.resample(audio.mean(axis=1, dtype=np.float32), sample_rate, rate), np.float32)
    length = round(SEGMENT_S * rate)
    starts = list(range(0, len(song), length))
    if len(starts) > 1 and len(song) - starts[-1] < SHORTEST_TAIL_S * rate:
        starts.pop()
    cut = [(start, min(start + length, len(song))) for start in starts]
    return [Piece(start / rate, end / rate, song[start:end]) for start, end in cut]

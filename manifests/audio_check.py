"""One audio file against its row: decoded whole, hashed, measured and laid beside its dry audio, in one pass.

Samples are hashed and made float while they are still in the processor's cache; what costs most is the FLAC decoder.
Everything here is plain values, so that it can be sent to another process or another machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from .errors import DatasetError
from .finding import CORRUPT, LEVEL, MISALIGNED, MISSING, Finding
from .ids import resolve_under
from .lag import CLEAR, measure_lag
from .levels import db, from_db, loudness_lufs
from .pcm import FULL_SCALE, Float32, read_audio

BLOCK_FRAMES = 1 << 15  # decoded at a time: 512 kB of samples and floats stay in a core's own cache
WINDOW_FRAMES = 1 << 16  # what the lag is measured on
LAG_TOLERANCE_SAMPLES = 2
CLEARLY_BETTER = 1.25  # times the resemblance where it should lie: periodic music fits almost as well one period later
PEAK_TOLERANCE_DB, LOUDNESS_TOLERANCE_LU = 0.01, 0.05
LSB = 1 / FULL_SCALE
INT32_STEP = np.float32(1 / (FULL_SCALE << 8))  # 24-bit samples lie in the upper bits of int32: exact in float32


@dataclass(frozen=True)
class Expected:
    """What the tables say of one audio file; None where they say nothing."""

    path: str  # relative to the dataset
    sha256: str
    frames: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    peak_dbfs: float | None = None
    loudness_lufs: float | None = None
    dry_path: str | None = None  # of a take: what it is aligned with
    lag_samples: float = 0.0  # by which it may lie behind that: the fraction that no shift takes away


@dataclass(frozen=True)
class _Heard:
    """A file that was decoded whole."""

    sha256: str
    audio: Float32  # (frames, channels)
    sample_rate: int
    peak: float  # of full scale
    loudest_frame: int  # where the block of most energy begins


def check_audio(root: str, expected: Expected) -> list[Finding]:
    """What is wrong with the file `expected.path` of the dataset at `root`; empty when nothing is."""

    def found(kind: str, detail: str) -> list[Finding]:
        return [Finding(kind, expected.path, detail)]

    try:
        path = resolve_under(Path(root), expected.path)
        if not path.is_file():
            return found(MISSING, "listed, but not on the disk")
        heard = _hear(path)
    except DatasetError as error:
        return found(CORRUPT, str(error))
    frames, channels = heard.audio.shape
    if expected.frames is not None and (frames, heard.sample_rate) != (expected.frames, expected.sample_rate):
        says = f"{expected.frames} at {expected.sample_rate} Hz"
        return found(CORRUPT, f"{frames} frames at {heard.sample_rate} Hz, the table says {says}")
    if expected.channels is not None and channels != expected.channels:
        return found(CORRUPT, f"{channels} channels, the table says {expected.channels}")
    if heard.sha256 != expected.sha256:
        return found(CORRUPT, "its samples have another SHA-256 than the table says")
    wrong = [(LEVEL, told) for told in _levels(heard, expected)]
    if expected.dry_path is not None and (told := _misaligned(Path(root), heard, expected)):
        wrong.append((MISALIGNED, told))
    return [Finding(kind, expected.path, detail) for kind, detail in wrong]


def _hear(path: Path) -> _Heard:
    """`path` decoded whole. `DatasetError` where that fails."""
    try:
        with soundfile.SoundFile(path) as file:
            if not 0 <= file.frames < 1 << 31:  # a FLAC that was never closed claims 2^63-1 frames
                raise DatasetError(f"{path.name} claims an impossible length", got=file.frames)
            frames = file.frames
            sha256, place, loudest_frame, most, peak = hashlib.sha256(), 0, 0, -1.0, 0.0
            audio = np.empty((frames, file.channels), np.float32)
            buffer = np.empty((BLOCK_FRAMES, file.channels), np.int32)
            while len(block := file.read(out=buffer)):
                if place + len(block) > frames:
                    raise DatasetError(f"{path.name} goes on after its end", got=f"more than {frames} frames")
                sha256.update(block.astype("<i4", copy=False).data)
                part = audio[place : place + len(block)]
                part[:] = block
                part *= INT32_STEP
                energy = float(np.vdot(part, part))
                peak = max(peak, float(part.max()), -float(part.min()))
                if energy > most:
                    loudest_frame, most = place, energy
                place += len(block)
    except soundfile.LibsndfileError as error:
        raise DatasetError(f"{path.name} cannot be decoded: {error.error_string}") from error
    if place != frames:
        raise DatasetError(f"{path.name} ends early", got=f"{place} of {frames} frames")
    return _Heard(sha256.hexdigest(), audio, int(file.samplerate), peak, loudest_frame)


def _levels(heard: _Heard, expected: Expected) -> list[str]:
    """Peak and loudness, where they are not what the table says."""
    wrong = []
    if expected.peak_dbfs is not None:
        in_steps = abs(heard.peak - from_db(expected.peak_dbfs)) <= 2 * LSB
        if not in_steps and abs(db(heard.peak) - expected.peak_dbfs) > PEAK_TOLERANCE_DB:
            wrong.append(f"its peak is {db(heard.peak):.2f} dBFS, the table says {expected.peak_dbfs:.2f}")
    if expected.loudness_lufs is not None:
        loudness = loudness_lufs(heard.audio, heard.sample_rate)
        if loudness is None or abs(loudness - expected.loudness_lufs) > LOUDNESS_TOLERANCE_LU:
            told = "not defined" if loudness is None else f"{loudness:.2f} LUFS"
            wrong.append(f"its loudness is {told}, the table says {expected.loudness_lufs:.2f} LUFS")
    return wrong


def _misaligned(root: Path, heard: _Heard, expected: Expected) -> str | None:
    """What is wrong with the place of wet in time, by its loudest window; None when nothing is, or nothing can be told
    (silence, or a dry file that is itself missing or damaged, which is told of there)."""
    begin = max(0, min(heard.loudest_frame, len(heard.audio) - WINDOW_FRAMES))
    wet = heard.audio[begin : begin + WINDOW_FRAMES]
    try:
        dry, _ = read_audio(resolve_under(root, expected.dry_path or ""), begin, len(wet))
    except DatasetError:
        return None
    if dry.shape != wet.shape:
        return None
    lag = measure_lag(dry, wet)
    if lag is None:
        return None
    if lag.resemblance < CLEAR:
        return f"nothing in it follows its dry audio (resemblance {lag.resemblance:.2f} of 1)"
    there = lag.resemblance_near(expected.lag_samples, LAG_TOLERANCE_SAMPLES)
    if abs(lag.samples - expected.lag_samples) > LAG_TOLERANCE_SAMPLES and lag.resemblance > CLEARLY_BETTER * there:
        return f"it lags its dry audio by {lag.samples} samples, {expected.lag_samples:.1f} are allowed for"
    return None

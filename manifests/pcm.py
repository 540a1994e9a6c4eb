"""24-bit PCM files: written by our own rounding, read as float32, named by the hash of their samples.

A float is rounded here (half to even), never by the codec: libsndfile truncates into WAV and rounds into FLAC, so
the same float take would differ between the two. Hashes are of samples, not of files, because a file also holds
tags, padding and encoder choices. Anyone can repeat one:
`hashlib.sha256(soundfile.read(path, dtype="int32")[0].tobytes()).hexdigest()`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from .errors import DatasetError
from .storage import write_whole

FULL_SCALE = 1 << 23
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


def quantise(audio: npt.NDArray[np.floating]) -> Int32:
    """Float audio as 24-bit samples in the upper bits of int32. Values beyond full scale are held at it; NaN is a
    `ValueError`, since it would become a full-scale click."""
    scaled = np.rint(np.asarray(audio, np.float64) * FULL_SCALE)
    if np.isnan(scaled).any():
        raise ValueError("audio holds NaN")
    return (np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)) << 8


def to_float(pcm: Int32) -> Float32:
    """24-bit samples in the upper bits of int32 as float32 in [-1, 1); exact."""
    return np.asarray((pcm >> 8) * np.float32(1 / FULL_SCALE), np.float32)


def pcm_sha256(pcm: Int32) -> str:
    """SHA-256 of the interleaved little-endian int32 samples, as `soundfile` reads them."""
    return hashlib.sha256(np.ascontiguousarray(pcm, "<i4").tobytes()).hexdigest()


def write_flac(path: Path, pcm: Int32, sample_rate: int) -> None:
    """Write `(frames, channels)` samples as 24-bit FLAC, durably, all or nothing."""
    write_whole(path, lambda temporary: soundfile.write(temporary, pcm, sample_rate, "PCM_24", format="FLAC"))


def write_wav(path: Path, pcm: Int32, sample_rate: int) -> None:
    """Write `(frames, channels)` samples as 24-bit WAV, durably, all or nothing."""
    write_whole(path, lambda temporary: soundfile.write(temporary, pcm, sample_rate, "PCM_24", format="WAV"))


def read_pcm(path: Path) -> tuple[Int32, int]:
    """Samples `(frames, channels)` as int32 and the sample rate. `DatasetError` if the file cannot be decoded whole."""
    if not path.is_file():
        raise DatasetError(f"{path.name} does not exist", mend="type `buscomp verify`")
    try:
        with soundfile.SoundFile(path) as file:
            if not 0 <= file.frames < 1 << 31:  # a FLAC that was never closed claims 2^63-1 frames
                raise DatasetError(f"{path.name} claims an impossible length", got=file.frames)
            pcm = file.read(dtype="int32", always_2d=True)
            if len(pcm) != file.frames:
                raise DatasetError(f"{path.name} ends early", got=f"{len(pcm)} of {file.frames} frames")
            return pcm, int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise DatasetError(f"{path.name} cannot be decoded: {error.error_string}") from error


def read_audio(path: Path) -> tuple[Float32, int]:
    """Audio `(frames, channels)` as float32 and the sample rate."""
    pcm, sample_rate = read_pcm(path)
    return to_float(pcm), sample_rate

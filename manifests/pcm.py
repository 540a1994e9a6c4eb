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
BLOCK_SAMPLES = 1 << 15  # worked on at a time
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


def quantise(audio: npt.NDArray[np.floating]) -> Int32:
    """Float audio as 24-bit samples in the upper bits of int32. Values beyond full scale are held at it; NaN is a
    `ValueError`, since it would become a full-scale click.

    Block by block, so that the steps meet in the cache. Single precision is exact here: full scale is a power of two,
    and beyond it nothing is rounded."""
    pcm = np.empty(audio.shape, np.int32)
    flat, given = pcm.reshape(-1), np.ascontiguousarray(audio).reshape(-1)
    for begin in range(0, len(flat), BLOCK_SAMPLES):
        scaled = given[begin : begin + BLOCK_SAMPLES] * given.dtype.type(FULL_SCALE)
        np.rint(scaled, out=scaled)
        np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled)
        if np.isnan(scaled).any():
            raise ValueError("audio holds NaN")
        block = flat[begin : begin + BLOCK_SAMPLES]
        block[:] = scaled
        block <<= 8
    return pcm


def to_float(pcm: Int32) -> Float32:
    """24-bit samples in the upper bits of int32 as float32 in [-1, 1); exact."""
    audio = np.empty(pcm.shape, np.float32)
    flat, given = audio.reshape(-1), np.ascontiguousarray(pcm).reshape(-1)
    for begin in range(0, len(flat), BLOCK_SAMPLES):
        block = slice(begin, begin + BLOCK_SAMPLES)
        np.multiply(given[block] >> 8, np.float32(1 / FULL_SCALE), out=flat[block], casting="unsafe")
    return audio


def pcm_sha256(pcm: Int32) -> str:
    """SHA-256 of the interleaved little-endian int32 samples, as `soundfile` reads them."""
    return hashlib.sha256(np.ascontiguousarray(pcm, "<i4").data).hexdigest()


def write_flac(path: Path, pcm: Int32, sample_rate: int) -> None:
    """Write `(frames, channels)` samples as 24-bit FLAC, durably, all or nothing."""
    write_whole(path, lambda temporary: soundfile.write(temporary, pcm, sample_rate, "PCM_24", format="FLAC"))


def write_wav(path: Path, pcm: Int32, sample_rate: int) -> None:
    """Write `(frames, channels)` samples as 24-bit WAV, durably, all or nothing."""
    write_whole(path, lambda temporary: soundfile.write(temporary, pcm, sample_rate, "PCM_24", format="WAV"))


def read_pcm(path: Path, start_frame: int = 0, frames: int | None = None) -> tuple[Int32, int]:
    """Samples `(frames, channels)` as int32 and the sample rate, from `start_frame` to the end or for `frames`.
    `DatasetError` if the file cannot be decoded so far."""
    if not path.is_file():
        raise DatasetError(f"{path.name} does not exist", mend="type `buscomp verify`")
    try:
        with soundfile.SoundFile(path) as file:
            if not 0 <= file.frames < 1 << 31:  # a FLAC that was never closed claims 2^63-1 frames
                raise DatasetError(f"{path.name} claims an impossible length", got=file.frames)
            wanted = max(file.frames - start_frame, 0) if frames is None else frames
            if start_frame:
                file.seek(min(start_frame, file.frames))
            pcm = file.read(wanted, dtype="int32", always_2d=True)
            if len(pcm) != wanted:
                raise DatasetError(f"{path.name} ends early", got=f"{len(pcm)} of {wanted} frames")
            return pcm, int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise DatasetError(f"{path.name} cannot be decoded: {error.error_string}") from error


def read_audio(path: Path, start_frame: int = 0, frames: int | None = None) -> tuple[Float32, int]:
    """Audio `(frames, channels)` as float32 and the sample rate, from `start_frame` to the end or for `frames`."""
    pcm, sample_rate = read_pcm(path, start_frame, frames)
    return to_float(pcm), sample_rate

"""One untrusted audio file -> float samples, decoded in a child process that may fail without harm.

A song folder is filled by hand and from anywhere. A header can claim 2^63 frames, a damaged file can crash or
hang a decoder, and a text file can be named .wav. So the file is opened by what it holds, not by its name; its
header is checked before a sample is decoded; and all of that happens in a child with a limit on memory, CPU and
wall time. Whatever happens there comes back as `SongRefusedError` with a reason.

Samples beyond full scale survive: decoded lossy audio often exceeds 1.0, and only a float read keeps it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import soundfile

MAGIC = (b"RIFF", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b"ID3")  # `riff` begins a W64; MPEG frames: see below
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF")
FRAMES_BELOW = 1 << 31
RATES_HZ = (8_000, 384_000)
CHANNELS = (1, 2)
MEMORY_BYTES = 8 << 30  # address space of the child; an hour of stereo at 96 kHz needs 5.5 GB
CPU_S = 300
WALL_S = 900
BLOCK_FRAMES = 1 << 20

Float32 = npt.NDArray[np.float32]


class SongRefusedError(Exception):
    """This file cannot become a song: `reason` says why, as `code: detail`."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = " ".join(reason.split())


def decode_in_child(path: Path, wall_s: float = WALL_S) -> tuple[Float32, int]:
    """Samples `(frames, channels)` as float32 and the sample rate of the file at `path`.

    `SongRefusedError` when the file is no audio, has an impossible header, ends early, holds NaN, or when its decoder
    crashed or went over a limit.
    """
    # -P: a `numpy.py` lying in the current folder is not imported
    command = [sys.executable, "-P", "-m", "buscomp.curation.decode", str(path.absolute())]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        late = threading.Event()
        timer = threading.Timer(wall_s, lambda: late.set() or child.kill())  # type: ignore[func-returns-value]
        timer.start()
        try:
            assert child.stdout is not None
            header = _read_header(child.stdout)
            audio = _read_samples(child.stdout, header["frames"], header["channels"]) if "frames" in header else None
            status = child.wait()
        finally:
            timer.cancel()
            child.kill()
    if "reason" in header:
        raise SongRefusedError(header["reason"])
    if late.is_set():
        raise SongRefusedError(f"undecodable: not done after {wall_s:g} s")
    if status or audio is None:
        died = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        raise SongRefusedError(f"undecodable: the decoder died ({died})")
    return audio, int(header["sample_rate"])


def decode(path: Path) -> tuple[Float32, int]:
    """The same in this process, without limits."""
    _check_magic(path)
    try:
        with soundfile.SoundFile(path) as file:
            _check_header(file)
            blocks = []
            while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                blocks.append(block)
            claimed, sample_rate, told = file.frames, int(file.samplerate), file.extra_info
    except soundfile.LibsndfileError as error:
        raise SongRefusedError(f"undecodable: {error.error_string}") from error
    audio = np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)
    if len(audio) != claimed:
        raise SongRefusedError(f"truncated: {len(audio)} of {claimed} frames could be decoded")
    _check_data_chunk(told)
    if not np.isfinite(audio).all():
        raise SongRefusedError("not_finite: it holds NaN or infinite samples")
    return audio, sample_rate


def _check_magic(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    mpeg_frame = len(start) >= 2 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0
    if not mpeg_frame and not start.startswith(MAGIC):
        what = "it is empty" if not start else f"it starts with {start!r}"
        raise SongRefusedError(f"not_audio: {what} (allowed: wav, flac, ogg, opus, mp3, aiff)")


def _check_header(file: soundfile.SoundFile) -> None:
    lowest, highest = RATES_HZ
    if file.format not in FORMATS:
        raise SongRefusedError(f"not_audio: {file.format} (allowed: wav, flac, ogg, opus, mp3, aiff)")
    if not 0 <= file.frames < FRAMES_BELOW:
        raise SongRefusedError(f"impossible_header: it claims {file.frames} frames")
    if file.channels not in CHANNELS:
        raise SongRefusedError(f"channels: {file.channels} (allowed: 1 or 2)")
    if not lowest <= file.samplerate <= highest:
        raise SongRefusedError(f"sample_rate: {file.samplerate} Hz (allowed: {lowest} to {highest} Hz)")


def _check_data_chunk(told: str) -> None:
    """libsndfile shortens a WAV or AIFF that lost its end without a word, except in its log. (Ogg ends anywhere.)"""
    for line in told.splitlines():
        word, _, rest = line.strip().partition(":")
        if word.strip() in ("data", "SSND", "riff", "Riff size") and "(should be" in rest:  # WAV, AIFF, W64, RF64
            claimed, _, found = rest.strip(" )").partition("(should be")
            if claimed.strip() not in ("0", "4294967295"):  # a recorder that could not go back and fill in the length
                raise SongRefusedError(f"truncated: {found.strip()} of {claimed.strip()} bytes are there")


def _read_header(stream: IO[bytes]) -> dict[str, Any]:
    """The child's first line: frames, channels and sample_rate, or a reason; empty when it died before."""
    line = stream.readline()
    header: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
    return header


def _read_samples(stream: IO[bytes], frames: int, channels: int) -> Float32 | None:
    """The samples that follow the header line, or None when they stop early."""
    audio = np.empty((frames, channels), np.float32)
    rest = audio.reshape(-1).view(np.uint8).data
    while rest:
        count = stream.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            return None
        rest = rest[count:]
    return audio


def _limit_this_process() -> None:
    try:
        import resource
    except ImportError:  # Windows: the wall-time limit of the parent still holds
        return
    for what, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (allowed, hard))


def _child(path: Path) -> None:
    """In the child: one JSON line, then the samples."""
    _limit_this_process()
    try:
        audio, sample_rate = decode(path)
    except SongRefusedError as error:
        header: dict[str, object] = {"reason": error.reason}
    except MemoryError:
        header = {"reason": f"too_large: decoding it needs more than {MEMORY_BYTES >> 30} GB of memory"}
    except OSError as error:
        header = {"reason": f"unreadable: {error.strerror or error}"}
    else:
        header = {"frames": len(audio), "channels": audio.shape[1], "sample_rate": sample_rate}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    if "reason" not in header:
        sys.stdout.buffer.write(np.ascontiguousarray(audio).reshape(-1).view(np.uint8).data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _child(Path(sys.argv[1]))

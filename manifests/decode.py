"""One untrusted audio file -> float samples, decoded in a child process that may fail without harm.

A song folder is filled by hand and from anywhere. A header can claim 2^63 frames, a damaged file can crash or
hang a decoder, and a text file can be named .wav. So the file is opened by what it holds, not by its name; its
header is checked before a sample is decoded; and all of that happens in a child with a limit on memory, CPU and
wall time. Whatever happens there comes back as `SongRefusedError` with a reason.

The child sends a line of JSON that says what the header claims, then blocks of samples, each behind its length in
bytes, then an empty block and a line that says how it ended.

Samples beyond full scale survive: decoded lossy audio often exceeds 1.0, and only a float read keeps it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

MAGIC = (b"RIFF", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b"ID3")  # `riff` begins a W64; MPEG frames: see below
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF")
FRAMES_BELOW = 1 << 31
RATES_HZ = (8_000, 384_000)
CHANNELS = (1, 2)
MEMORY_BYTES = 8 << 30  # address space of the child, and of the samples; an hour of stereo at 96 kHz has 2.8 GB
CPU_S = 300
WALL_S = 900
BLOCK_FRAMES = 1 << 16
PIPE_BYTES = 1 << 20  # where the system lets us choose: a pipe of 64 kB wakes both sides 1,300 times a song

Float32 = npt.NDArray[np.float32]


class SongRefusedError(Exception):
    """This file cannot become a song: `reason` says why, as `code: detail`."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = " ".join(reason.split())


class Decoded(NamedTuple):
    """What a file holds."""

    audio: Float32  # (frames, channels)
    sample_rate: int
    format: str  # as libsndfile names it: `FLAC PCM_24`


def decode_in_child(path: Path, wall_s: float = WALL_S) -> Decoded:
    """Samples `(frames, channels)` as float32, the sample rate and the format of the file at `path`.

    `SongRefusedError` when the file is no audio, has an impossible header, ends early, holds NaN, or when its decoder
    crashed or went over a limit.
    """
    # -P: a `numpy.py` lying in the current folder is not imported
    command = [sys.executable, "-P", "-m", "buscomp.manifests.decode", str(path.absolute())]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        pipesize=PIPE_BYTES,
    ) as child:
        late = threading.Event()
        timer = threading.Timer(wall_s, lambda: late.set() or child.kill())  # type: ignore[func-returns-value]
        timer.start()
        try:
            assert child.stdout is not None
            header = _read_line(child.stdout)
            audio = _read_samples(child.stdout, header["frames"], header["channels"]) if "frames" in header else None
            ended = _read_line(child.stdout) if audio is not None else {}
            status = child.wait()
        finally:
            timer.cancel()
            child.kill()
    if reason := header.get("reason") or ended.get("reason"):
        raise SongRefusedError(reason)
    if late.is_set():
        raise SongRefusedError(f"undecodable: not done after {wall_s:g} s")
    if status or audio is None:
        died = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        raise SongRefusedError(f"undecodable: the decoder died ({died})")
    return Decoded(audio, int(header["sample_rate"]), header["format"])


def decode(path: Path) -> Decoded:
    """The same in this process, without limits."""
    with _opened(path) as file:
        blocks = list(_blocks(file))
        audio = np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)
        return Decoded(audio, int(file.samplerate), f"{file.format} {file.subtype}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """The file at `path`, its first bytes and its header checked; what libsndfile says is a reason from here on."""
    _check_magic(path)
    try:
        with soundfile.SoundFile(path) as file:
            _check_header(file)
            yield file
    except soundfile.LibsndfileError as error:
        raise SongRefusedError(f"undecodable: {error.error_string}") from error


def _blocks(file: soundfile.SoundFile) -> Iterator[Float32]:
    """Its samples, block by block `(frames, channels)`; `SongRefusedError` for one that is not finite, or, at the end,
    when there were fewer than the header claims."""
    decoded = 0
    while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
        flat = block.reshape(-1)
        # one product is not finite if a sample is not; and for samples beyond 1e19, of which one asks again
        if not np.isfinite(np.dot(flat, flat)) and not np.isfinite(flat).all():
            raise SongRefusedError("not_finite: it holds NaN or infinite samples")
        decoded += len(block)
        yield block
    if decoded != file.frames:
        raise SongRefusedError(f"truncated: {decoded} of {file.frames} frames could be decoded")
    _check_data_chunk(file.extra_info)


def _check_magic(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    mpeg_frame = len(start) >= 2 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0
    if not mpeg_frame and not start.startswith(MAGIC):
        what = "it is empty" if not start else f"it starts with {start!r}"
        raise SongRefusedError(f"not_audio: {what} (allowed: wav, flac, ogg, opus, mp3, aiff)")


def _check_header(file: soundfile.SoundFile) -> None:
    lowest, highest = RATES_HZ
    if file.frames * file.channels * 4 > MEMORY_BYTES and 0 <= file.frames < FRAMES_BELOW:
        raise SongRefusedError(f"too_large: its samples need more than {MEMORY_BYTES >> 30} GB of memory")
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


def _read_line(stream: IO[bytes]) -> dict[str, Any]:
    """A line of the child: what the header claims, how it ended, or a reason; empty when it died before."""
    line = stream.readline()
    told: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
    return told


def _read_samples(stream: IO[bytes], frames: int, channels: int) -> Float32 | None:
    """The samples between the two lines; None when they stop early. Memory is taken up only as they arrive: a header
    that claims more than there is costs nothing."""
    try:
        audio = np.empty((frames, channels), np.float32)
    except MemoryError:
        raise SongRefusedError(f"too_large: no memory for {frames} frames") from None
    rest = audio.reshape(-1).view(np.uint8).data
    while size := int.from_bytes(stream.read(8), "little"):
        if size > len(rest):  # more than it claimed: the child is not itself any more
            return None
        part, rest = rest[:size], rest[size:]
        while part:
            count = stream.readinto(part)  # type: ignore[attr-defined]
            if not count:
                return None
            part = part[count:]
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


def _child(path: Path, out: IO[bytes]) -> None:
    """In the child: the claims, the samples, the end."""
    _limit_this_process()
    ended: dict[str, object] = {}
    begun = False
    try:
        with _opened(path) as file:
            claimed = {"frames": file.frames, "channels": file.channels, "sample_rate": int(file.samplerate)}
            out.write(json.dumps(claimed | {"format": f"{file.format} {file.subtype}"}).encode() + b"\n")
            begun = True
            for block in _blocks(file):
                out.write(block.nbytes.to_bytes(8, "little"))
                out.write(block.reshape(-1).view(np.uint8).data)
    except SongRefusedError as error:
        ended = {"reason": error.reason}
    except MemoryError:
        ended = {"reason": f"too_large: decoding it needs more than {MEMORY_BYTES >> 30} GB of memory"}
    except OSError as error:
        ended = {"reason": f"unreadable: {error.strerror or error}"}
    if begun:
        out.write(bytes(8))
    out.write(json.dumps(ended).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    _child(Path(sys.argv[1]), sys.stdout.buffer)

"""Decoded audio on disk, from which training draws its clips: FLAC stays the archive, and this may be deleted any time.

One file a take, or a window of one, named by the hash of its samples: takes that are made again, other splits and other
runs need no care. The samples are float32, which holds 24 bits exactly, channel by channel, so that a clip is one slice
of a memory map: no decoding, no conversion, and the system's memory is shared by all processes that train.

    .cache/audio/4f/4f1d...-0-8820000.npy        sha256 of the PCM, first frame, frames; shape (channels, frames)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import filelock
import numpy as np

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.parallel import cores, each
from ..manifests.pcm import Float32, pcm_sha256, read_pcm, to_float
from ..manifests.storage import require_space, write_whole

SAMPLE_BYTES = 4
PROCESS_BYTES = 512 << 20  # of decoded audio are worth a process of their own
MAPS = 4096  # open at a time: the system allows about 65 000 to a process


@dataclass(frozen=True)
class Piece:
    """A file of the archive, or a window of it."""

    relative: str  # path in the dataset
    sha256: str  # of the whole file's PCM
    start_frame: int
    frames: int
    channels: int
    whole: bool  # it is all of the file

    @property
    def bytes(self) -> int:
        return self.frames * self.channels * SAMPLE_BYTES


def default_folder(dataset: Dataset) -> Path:
    """`$BUSCOMP_CACHE`, else `.cache/audio` in the dataset."""
    return Path(os.environ.get("BUSCOMP_CACHE") or dataset.root / ".cache" / "audio")


class AudioCache:
    """Decoded pieces of `dataset` below `folder`. Any number of processes may use it at once."""

    def __init__(self, dataset: Dataset, folder: Path | None = None):
        self.folder = folder or default_folder(dataset)
        self._dataset = dataset
        self._mapped = lru_cache(maxsize=MAPS)(self._map)

    def path(self, piece: Piece) -> Path:
        """Where a piece lies, or will lie."""
        return self.folder / piece.sha256[:2] / f"{piece.sha256}-{piece.start_frame}-{piece.frames}.npy"

    def fill(
        self,
        pieces: Iterable[Piece],
        *,
        jobs: int | None = None,
        tell: Callable[[str], None] = lambda line: None,
        progress: Callable[[int], Callable[[], None]] = lambda total: lambda: None,
    ) -> None:
        """Decode what is not there yet, in `jobs` processes (as many as it is worth, if None), after telling how much.

        A second process that asks meanwhile waits until it is done. `DiskFullError` before anything is written when it
        will not fit. `DatasetError` for audio that is not what the tables say."""
        wanted = list(dict.fromkeys(pieces))
        if not self._missing(wanted):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / ".lock")
            lock.acquire()
        except OSError as error:
            mend = "say another folder with --cache, or --no-cache"
            raise UsageError(f"decoded audio cannot be kept in {self.folder} ({error.strerror})", mend=mend) from None
        with lock:
            missing = self._missing(wanted)
            size = sum(piece.bytes for piece in missing)
            if missing:
                tell(
                    f"decoding {len(missing)} files into {self.folder}, {size / 1e9:.2f} GB; they may be deleted later"
                )
            require_space(self.folder, size, "decoded audio")
            work = partial(_decode, self._dataset.root)
            items = [(piece, self.path(piece)) for piece in missing]
            jobs = jobs or max(min(cores(), size // PROCESS_BYTES), 1)
            count = progress(len(items))
            for _ in each(work, items, jobs=jobs):
                count()

    def read(self, piece: Piece, start: int, frames: int, channel: int) -> Float32:
        """(frames,) of one channel, from `start` in the piece."""
        samples: Float32 = self._mapped(piece)[channel, start : start + frames]
        return samples

    def _missing(self, pieces: list[Piece]) -> list[Piece]:
        return [piece for piece in pieces if not self.path(piece).exists()]

    def _map(self, piece: Piece) -> Float32:
        path = self.path(piece)
        try:
            decoded: Float32 = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"decoded audio of {piece.relative} cannot be read ({error})", mend=f"delete {path} and run again"
            ) from None
        if decoded.shape != (piece.channels, piece.frames) or decoded.dtype != np.float32:
            raise DatasetError(
                f"{path.name} is not the decoded audio of {piece.relative}", got=f"{decoded.dtype} {decoded.shape}",
                allowed=f"float32 {(piece.channels, piece.frames)}", mend=f"delete {path} and run again",
            )  # fmt: skip
        return decoded


def _decode(root: Path, item: tuple[Piece, Path]) -> None:
    """Decode one piece, check it against the table's hash where it is a whole file, and keep it."""
    piece, path = item
    dataset = Dataset(root)
    pcm, _ = read_pcm(dataset.file(piece.relative), piece.start_frame, piece.frames)
    if pcm.shape[1] != piece.channels:
        raise DatasetError(
            f"{piece.relative} has other channels than the tables say", got=pcm.shape[1], allowed=[piece.channels],
            mend="type `buscomp verify`",
        )  # fmt: skip
    if piece.whole and pcm_sha256(pcm) != piece.sha256:
        raise DatasetError(f"{piece.relative} is not the audio that the tables know", mend="type `buscomp verify`")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(to_float(pcm).T))

    write_whole(path, write)

"""Memory that two processes share for one take: what is sent, and room for what returns.

Made by the parent, attached by the audio process. As soon as both have it, its name is taken away (`unlink`), so that
nothing is left behind however either of them ends. Windows frees it with the last of them by itself.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

from ..manifests.errors import DeviceError
from ..manifests.pcm import Float32

SAMPLE_BYTES = 4
PAGE_SAMPLES = mmap.PAGESIZE // SAMPLE_BYTES
TOUCHED_AT_ONCE = 256  # pages; then another thread may run
SHARED_MEMORY = Path("/dev/shm")  # Linux: its size is the limit, and writing beyond it kills the writer (SIGBUS)


@dataclass(frozen=True)
class TakeShape:
    """What a take buffer has room for, and the name under which it can be attached."""

    name: str
    frames: int
    outputs: int  # channels
    inputs: int  # channels


class TakeBuffer:
    """Two arrays in shared memory, every page of them in place: `send` (frames, outputs), `returned` (frames,
    inputs). Whoever keeps one of the arrays beyond `close` keeps the memory."""

    def __init__(self, memory: SharedMemory, shape: TakeShape, *, named: bool):
        samples: Float32 = np.ndarray(shape.frames * (shape.outputs + shape.inputs), np.float32, memory.buf)
        middle = shape.frames * shape.outputs
        self.shape = shape
        self.send: Float32 = samples[:middle].reshape(shape.frames, shape.outputs)
        self.returned: Float32 = samples[middle:].reshape(shape.frames, shape.inputs)
        self._memory = memory
        self._named = named  # it is here that the name has to be taken away
        _touch(samples)

    @classmethod
    def create(cls, frames: int, outputs: int, inputs: int) -> TakeBuffer:
        """New memory, all zero. `DeviceError` when the system has too little of the shared kind."""
        needed = frames * (outputs + inputs) * SAMPLE_BYTES
        free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else needed
        if needed > free:
            raise DeviceError(
                f"a take of {frames} frames does not fit into shared memory",
                got=f"{needed / 1e6:.0f} MB",
                allowed=f"{free / 1e6:.0f} MB",
                mend=f"make {SHARED_MEMORY} larger (in a container: --shm-size)",
            )
        name = f"buscomp_{os.getpid()}_{secrets.token_hex(4)}"  # macOS allows 30 characters
        memory = SharedMemory(name, create=True, size=needed)
        return cls(memory, TakeShape(memory.name, frames, outputs, inputs), named=True)

    @classmethod
    def attach(cls, shape: TakeShape) -> TakeBuffer:
        """The same memory in another process, before anything was written into it."""
        return cls(SharedMemory(shape.name), shape, named=False)

    def unlink(self) -> None:
        """Take its name away: nobody else can attach it, and it ends with those who have it. Only its maker does
        anything; again is harmless."""
        if self._named:
            self._named = False
            self._memory.unlink()

    def close(self) -> None:
        """Give the memory back. Again is harmless."""
        self.send = self.returned = np.empty((0, 0), np.float32)
        with suppress(BufferError):  # somebody still holds an array: the memory goes when they drop it
            self._memory.close()


def _touch(samples: Float32) -> None:
    """Have every page in place now, so that the callback never waits for one; in portions, because the callback of a
    running stream may wait for this thread."""
    portion = TOUCHED_AT_ONCE * PAGE_SAMPLES
    for begin in range(0, len(samples), portion):
        samples[begin : begin + portion : PAGE_SAMPLES] = 0

"""An interface made of cables alone: each return is a sum of delayed outputs, so that every finding has a truth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from buscomp.capture.interface import Recording
from buscomp.capture.latency import delay_by_fraction
from buscomp.manifests.errors import DeviceError
from buscomp.manifests.levels import from_db
from buscomp.manifests.pcm import Float32


class PatchBay:
    """`cables`: (output column, input column) -> gain, negative for an inverted one. A send ends with its return."""

    name, host_api, block_size = "patch bay", "cables", 256

    def __init__(
        self,
        cables: Mapping[tuple[int, int], float],
        inputs: int,
        latency_samples: float = 100.25,
        noise_dbfs: float = -100.0,
        sample_rate: int = 44_100,
        unit: Callable[[Float32], Float32] = lambda audio: audio,
        added: float | Float32 = 0.0,
        dies_after: int = 10_000,
    ):
        self.sample_rate = sample_rate
        self._cables, self._inputs, self._latency, self._unit, self._added = (
            cables,
            inputs,
            latency_samples,
            unit,
            added,
        )
        self._noise = from_db(noise_dbfs)
        self._random = np.random.default_rng(1)
        self._queue: deque[Float32] = deque()
        self._left = dies_after
        self.closed = False

    def play(self, send: Float32) -> None:
        assert len(self._queue) < 2
        self._queue.append(send)

    def record(self) -> Recording:
        self._left -= 1
        if self._left < 0:
            raise DeviceError("the patch bay fell off the rack")
        send = self._unit(np.clip(self._queue.popleft(), -1, 1))
        whole = int(self._latency)
        late = delay_by_fraction(np.pad(send, ((whole, 0), (0, 0)))[: len(send)], self._latency - whole)
        audio = self._noise * self._random.standard_normal((len(send), self._inputs)) + self._added
        for (output, input_), gain in self._cables.items():
            audio[:, input_] += gain * late[:, output]
        return Recording(np.clip(audio, -1, 1).astype(np.float32))

    def withdraw(self) -> bool:
        return bool(self._queue and self._queue.pop() is not None)

    def close(self) -> None:
        self.closed = True

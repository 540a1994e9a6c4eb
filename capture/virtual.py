"""The virtual device: simulated converters and a simulated unit, faster than real time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import signal

from ..manifests.errors import UsageError
from ..manifests.levels import from_db
from ..manifests.pcm import FULL_SCALE, Float32
from ..manifests.unit import AUTO, Position, Setting, shown
from .interface import Recording
from .latency import KERNEL_HALF_FRAMES, fractional_kernel
from .simulator import compress, rested_state

NEEDED = ("threshold_db", "ratio", "attack_ms", "release_s")
KNOWN = (*NEEDED, "makeup_db", "engaged")
NEUTRAL = ("off", False, 0)  # a control that is not simulated may stand at its neutral position


class VirtualInterface:
    """An `Interface` with the simulated bus compressor behind it.

    What is sent is clipped at full scale as a converter does, goes through the unit, returns `latency_samples` later
    with white noise of `noise_dbfs` RMS, and is clipped and rounded to 24 bits. The unit remembers: it does not know
    about takes. The same seed and the same calls give the same audio. `fault` changes a recording before it is
    handed out, for tests of detectors.
    """

    name = "virtual"
    host_api = "simulated"

    def __init__(
        self,
        sample_rate: int = 44_100,
        latency_samples: float = 137.37,
        noise_dbfs: float = -100.0,
        seed: int = 0,
        block_size: int = 1024,
        channels: int = 2,
        fault: Callable[[Recording], Recording] | None = None,
    ):
        if latency_samples < KERNEL_HALF_FRAMES + 1:
            raise UsageError(
                "the virtual latency is too short to be causal",
                got=f"{latency_samples:g} samples",
                allowed=f"{KERNEL_HALF_FRAMES + 1} or more",
            )
        self.sample_rate, self.block_size, self.fault = sample_rate, block_size, fault
        self._noise = np.float32(from_db(noise_dbfs))
        self._seed, self._calls = seed, 0
        self._kernel = np.asarray(fractional_kernel(latency_samples % 1), np.float32)[:, None]
        in_flight = int(latency_samples) - KERNEL_HALF_FRAMES + len(self._kernel) - 1
        self._in_flight = np.zeros((in_flight, channels), np.float32)  # left the unit, not yet recorded
        self._state = rested_state()
        self._values: Mapping[str, Position] | None = None

    def turn(self, values: Mapping[str, Position]) -> None:
        """Bring the unit to `values`. `UsageError` for a unit without the four knobs of a bus compressor, or for a
        further control that is used but not simulated."""
        if missing := [name for name in NEEDED if name not in values]:
            raise UsageError(
                f"the virtual unit is a bus compressor; this profile has no {', '.join(missing)}",
                mend="use a profile such as ssl-500-bus with the virtual device",
            )
        for name in set(values) - set(KNOWN):
            if values[name] not in NEUTRAL:
                raise UsageError(
                    f"the virtual unit does not simulate {name}", got=shown(values[name]), mend="hold it at off"
                )
        self._values = dict(values)

    def play_and_record(self, send: Float32) -> Recording:
        """What the unit returns for `send` (frames, channels), as many frames."""
        if send.ndim != 2 or send.shape[1] != self._in_flight.shape[1]:
            raise ValueError(f"send must be (frames, {self._in_flight.shape[1]}), got {send.shape}")
        out = np.concatenate([self._in_flight, self._through_unit(np.clip(send, -1, 1))])
        self._in_flight = out[len(send) :].copy()
        returned = signal.oaconvolve(out, self._kernel, axes=0)[len(self._kernel) - 1 :][: len(send)]
        random = np.random.default_rng([self._seed, self._calls])
        self._calls += 1
        codes = random.standard_normal(returned.shape, np.float32)
        codes *= self._noise
        codes += returned
        codes *= FULL_SCALE  # a power of two: exact, and so is the way back
        np.clip(np.rint(codes, out=codes), -FULL_SCALE, FULL_SCALE - 1, out=codes)
        codes /= FULL_SCALE
        recording = Recording(codes)
        return recording if self.fault is None else self.fault(recording)

    def close(self) -> None:
        """Nothing to give back."""

    def _through_unit(self, audio: Float32) -> Float32:
        if self._values is None:
            return audio
        knob = {name: float(v) for name, v in self._values.items() if not isinstance(v, bool | str)}
        makeup_db = knob.get("makeup_db", 0.0)
        output, _ = compress(
            audio,
            self.sample_rate,
            threshold_db=knob["threshold_db"],
            ratio=knob["ratio"],
            attack_ms=knob["attack_ms"],
            release_s=None if self._values["release_s"] == AUTO else knob["release_s"],
            makeup_db=makeup_db,
            state=self._state,
        )
        if self._values.get("engaged", True):
            return output
        return np.asarray(audio * np.float32(from_db(makeup_db)), np.float32)  # make-up stays in circuit


class VirtualPanel:
    """A `Panel` that turns the knobs of a virtual interface, truthfully."""

    def __init__(self, interface: VirtualInterface):
        self._interface = interface

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Turn every control at once."""
        self._interface.turn(setting.values)

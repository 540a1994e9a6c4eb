"""Takes through the virtual unit, with any fault, ready to be examined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from buscomp.capture.faults import parse_fault
from buscomp.capture.interface import Recording, play_and_record
from buscomp.capture.layout import TakeLayout
from buscomp.capture.specimen import IDEAL, Specimen
from buscomp.capture.staging import Staging
from buscomp.capture.take import Examined, Expected, examine
from buscomp.capture.virtual import VirtualInterface
from buscomp.capture.wiring import Wiring
from buscomp.manifests.pcm import Float32

STAGING = Staging()
SETTINGS: list[dict[str, Any]] = [
    {"threshold_db": threshold_db, "ratio": ratio, "attack_ms": attack_ms, "release_s": release_s}
    for threshold_db, ratio, attack_ms, release_s in [
        (-40, 10, 0.1, 0.1),
        (-28, 10, 0.1, 0.1),
        (-28, 4, 0.3, "auto"),
        (-24, 2, 1, 0.4),
        (-20, 4, 3, 0.8),
        (-16, 10, 30, "auto"),
        (-8, 1.5, 10, 1.6),
        (0, 2, 3, 0.2),
    ]
]


@dataclass(frozen=True)
class VirtualTake:
    """A song, where it lies, and what came back for it."""

    dry: Float32
    layout: TakeLayout
    recording: Recording  # of the unit's returns
    loopback: Float32 | None
    cv: Float32 | None

    def examine(self, audio: np.ndarray | None = None, flags: Sequence[int] | None = None, **more: Any) -> Examined:
        """Examine it, or `audio` in its place, with the driver's `flags`."""
        recording = Recording(
            self.recording.audio if audio is None else np.asarray(audio, np.float32),
            self.recording.xrun_frames if flags is None else tuple(flags),
        )
        more = {"loopback": self.loopback, "cv": self.cv} | more
        return examine(self.dry, self.layout, recording, STAGING, **more)


def virtual_take(
    dry: Float32,
    values: Mapping[str, Any],
    *,
    faults: Sequence[str] = (),
    latency_samples: float = 137.37,
    noise_dbfs: float = -100.0,
    seed: int = 0,
    settle_s: float = 0.5,
    loopback: bool = False,
    cv: bool = False,
    specimen: Specimen = IDEAL,
    before: Float32 | None = None,
) -> VirtualTake:
    """`dry` (frames, channels) through a virtual unit at `values`. `before` is a song that is played first, without the
    faults, such as one that a stale buffer repeats."""
    both = tuple(range(1, dry.shape[1] + 1))
    wiring = Wiring.of((both,), (both,), ((3,) if cv else (),), (4, 4) if loopback else None)
    interface = VirtualInterface(
        latency_samples=latency_samples,
        noise_dbfs=noise_dbfs,
        seed=seed,
        wiring=wiring,
        specimens=[specimen],
        faults=[parse_fault(fault if before is None else f"{fault}#2") for fault in faults],
    )
    interface.turn(values)
    layout = TakeLayout.of(len(dry), interface.sample_rate, settle_s)
    if before is not None:
        first = TakeLayout.of(len(before), interface.sample_rate, settle_s)
        play_and_record(interface, wiring.fan_out(first.send(before, STAGING)))
    recording = play_and_record(interface, wiring.fan_out(layout.send(dry, STAGING)))
    audio = recording.audio
    return VirtualTake(
        dry,
        layout,
        Recording(np.ascontiguousarray(audio[:, list(wiring.returns[0])]), recording.xrun_frames),
        audio[:, wiring.loopback_input] if wiring.loopback_input is not None else None,
        audio[:, list(wiring.cv[0])] if cv else None,
    )


__all__ = ["SETTINGS", "STAGING", "Expected", "VirtualTake", "virtual_take"]

"""Where a take lies in its recording: the probes before and after the song, on every return and on the loopback.

The song is moved by whole samples: by the loopback's latency (that of the converters) where there is a loopback, so
that the unit's own delay stays in the data; else by the latency of the unit's return.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32
from .latency import GUARD_FRAMES, Delay, Latency, combined, measure_latency
from .layout import TakeLayout
from .probe import make_probe

Probes = tuple[Latency | None, ...]  # one per channel; None where the probe is not there


@dataclass(frozen=True)
class Alignment:
    """What the probes say."""

    heads: Probes
    tails: Probes
    delay: Delay  # of the return before the song, from all channels that have a probe
    drift_samples: float | None  # delay after the song minus before; None when a channel lost its probe on the way
    loopback_head: Latency | None = None
    loopback_tail: Latency | None = None

    @property
    def integer_shift_samples(self) -> int:
        """How far wet is moved."""
        return round((self.loopback_head or self.delay).samples)

    @property
    def gains_db(self) -> npt.NDArray[np.float64]:
        """Of the probe on every channel, send to return; where it is missing, the mean of the others."""
        found = [head.gain_db for head in self.heads if head is not None]
        return np.array([np.mean(found) if head is None else head.gain_db for head in self.heads], np.float64)

    @property
    def signs(self) -> npt.NDArray[np.float64]:
        """-1 for a channel whose probe came back inverted, 0 where there was none, else 1."""
        return np.array([0 if head is None else -1 if head.inverted else 1 for head in self.heads], np.float64)


def align(returned: Float32, loopback: Float32 | None, layout: TakeLayout) -> Alignment | None:
    """The alignment of `returned` (frames, channels), and of `loopback` (frames,). None when the probe before the song
    is on no channel of the return."""
    heads, tails = _probes(returned, layout, False), _probes(returned, layout, True)
    found = [head for head in heads if head is not None]
    if not found:
        return None
    drift = None
    both = [(head, tail) for head, tail in zip(heads, tails, strict=True) if head is not None and tail is not None]
    if len(both) == len(found):
        drift = combined([tail for _, tail in both]).samples - combined([head for head, _ in both]).samples
    if loopback is None:
        return Alignment(heads, tails, combined(found), drift)
    looped = loopback[:, None]
    pair = (*_probes(looped, layout, False), *_probes(looped, layout, True))
    return Alignment(heads, tails, combined(found), drift, *pair)


def _probes(returned: Float32, layout: TakeLayout, after_song: bool) -> Probes:
    """The probe on every channel, not later than the largest latency; that after the song may be as much too early."""
    probe = make_probe(layout.sample_rate)
    start, early = (layout.tail_start, layout.max_latency_samples) if after_song else (layout.head_start, 0)
    search = early + layout.max_latency_samples
    heard = returned[start - early : start + layout.max_latency_samples + len(probe) + GUARD_FRAMES]
    found = [measure_latency(channel, probe, search, layout.sample_rate) for channel in heard.T]
    return tuple(latency and replace(latency, samples=latency.samples - early) for latency in found)

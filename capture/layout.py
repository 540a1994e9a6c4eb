"""Where everything lies in the send of one take.

    settle (its end measures the noise) | head probe | gap | song | gap | tail probe | flush

What is sent returns up to `max_latency_samples` later. The gaps keep song and probes apart in the return for any
latency in that range; the gap before the tail probe is twice as long, because a return that lost samples is early.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..manifests.errors import UsageError
from ..manifests.pcm import Float32
from .probe import make_probe, probe_frames
from .staging import Staging

NOISE_S = 0.25  # of silence before the head probe, where noise floor and hum are measured
GAP_EXTRA_S = 0.02
MAX_LATENCY_SAMPLES = 8192


@dataclass(frozen=True)
class TakeLayout:
    """Frame numbers within one take's send, and in the recording before latency."""

    noise_start: int
    head_start: int
    song_start: int
    tail_start: int
    frames: int
    song_frames: int
    max_latency_samples: int
    sample_rate: int

    @classmethod
    def of(
        cls, song_frames: int, sample_rate: int, settle_s: float, max_latency_samples: int = MAX_LATENCY_SAMPLES
    ) -> TakeLayout:
        """The layout for a song. `settle_s` of silence let the unit recover from the take before; at least 0.25 s."""
        if max_latency_samples < 1 or song_frames < 1 or settle_s < 0:
            raise UsageError(
                "a take needs a song, a settling time and a largest latency",
                got=f"{song_frames} frames, {settle_s:g} s, {max_latency_samples} samples",
                allowed="1 or more, 0 or more, 1 or more",
            )
        noise = round(NOISE_S * sample_rate)
        gap = max_latency_samples + round(GAP_EXTRA_S * sample_rate)
        head_start = max(round(settle_s * sample_rate), noise)
        song_start = head_start + probe_frames(sample_rate) + gap
        tail_start = song_start + song_frames + max_latency_samples + gap
        frames = tail_start + probe_frames(sample_rate) + gap
        return cls(
            head_start - noise,
            head_start,
            song_start,
            tail_start,
            frames,
            song_frames,
            max_latency_samples,
            sample_rate,
        )

    @property
    def overhead_s(self) -> float:
        """What a take lasts beyond its song."""
        return (self.frames - self.song_frames) / self.sample_rate

    def send(self, dry: Float32, staging: Staging) -> Float32:
        """What is played `(frames, channels)`: the probe as it is, the song boosted, silence between."""
        if len(dry) != self.song_frames:
            raise ValueError(f"layout is for {self.song_frames} frames, dry has {len(dry)}")
        probe = make_probe(self.sample_rate)
        out = np.zeros((self.frames, dry.shape[1]), np.float32)
        for start in (self.head_start, self.tail_start):
            out[start : start + len(probe)] = probe[:, None]
        out[self.song_start : self.song_start + self.song_frames] = staging.boost(dry)
        return out

"""Is a harmed place a hole? After a hole gain comes back at once, which no release does.

The local fit finds single samples that no gain explains. Very short finds are doubtful where an attack of 0.1 ms meets
an onset: gain falls there within a few samples. They count when gain rises again by 12 dB within 12 ms, as it does
behind a block that was muted, and never behind an onset: the fastest release (43 ms) gives 7 dB back of 30.
"""

from __future__ import annotations

import numpy as np

from ..manifests.pcm import Float32

REACH_FRAMES, BLOCK = 512, 16
HEARD = 1e-3  # of the energy of the loudest block of dry: quieter ones tell no gain
RISE = 4.0  # 12 dB


def is_hole(sent: Float32, returned: Float32, frame: int) -> bool:
    """Whether the gain of `returned` re `sent` (frames, channels), aligned to whole samples, rises by 12 dB within
    12 ms around `frame`, on any channel."""
    begin, end = max(0, frame - REACH_FRAMES), min(len(sent), frame + REACH_FRAMES)
    blocks = (end - begin) // BLOCK
    x, y = (
        np.asarray(audio[begin : begin + blocks * BLOCK], np.float64).reshape(blocks, BLOCK, audio.shape[1])
        for audio in (sent, returned)
    )
    sent_energy, returned_energy = np.sum(x**2, axis=1), np.sum(y**2, axis=1)
    for channel in range(x.shape[2]):
        heard = sent_energy[:, channel] > HEARD * sent_energy[:, channel].max(initial=0.0)
        gains = np.sqrt(returned_energy[heard, channel] / sent_energy[heard, channel])
        if len(gains) and (gains > RISE * np.minimum.accumulate(gains)).any():
            return True
    return False

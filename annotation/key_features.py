"""What speaks for each key: pitch classes seen from its tonic, in the bass and above, at the start and at the end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

ENDS_FRAMES = 12  # 4.5 s
TRIADS = np.array([[tone in chord for tone in range(12)] for chord in ((0, 4, 7), (0, 3, 7))], float)


def key_features(classes: Floats) -> Floats:
    """From `classes` (2, frames, 12), bass and above: (12, features), one row for each tonic from C.

    Per row, counted from that tonic: pitch classes above and in the bass over the whole song, the same for its last
    and first 4.5 s, and how much of the song each major and each minor triad sounds.
    """
    loud = classes.sum(axis=(0, 2))
    sounding = classes[:, loud > 0.05 * loud.max()] if loud.any() else classes
    bass, above = sounding
    parts = [above, bass, above[-ENDS_FRAMES:], bass[-ENDS_FRAMES:], above[:ENDS_FRAMES], bass[:ENDS_FRAMES]]
    means = [_compared(part.mean(axis=0)) for part in parts]
    chords = _triads(above + 0.5 * bass)
    return np.stack([np.concatenate([np.roll(each, -tonic) for each in (*means, *chords)]) for tonic in range(12)])


def _compared(classes: Floats) -> Floats:
    """`classes` (12,) with mean 0 and spread 1; all zero if they do not differ."""
    spread = classes.std()
    return (
        (classes - classes.mean()) / spread if spread > 1e-9 * max(float(np.abs(classes).max()), 1e-9) else np.zeros(12)
    )


def _triads(classes: Floats) -> Floats:
    """The share of frames of `classes` (frames, 12) in which each triad is the best: (major or minor, 12 roots) x 4."""
    smooth = classes.copy()
    smooth[1:] += classes[:-1]
    smooth[:-1] += classes[1:]
    centred = smooth - smooth.mean(axis=1, keepdims=True)
    fits = np.stack([[centred @ np.roll(triad, root) for root in range(12)] for triad in TRIADS])
    best = np.argmax(fits.reshape(24, -1), axis=0)
    return 4 * np.bincount(best, minlength=24).reshape(2, 12) / max(1, len(classes))

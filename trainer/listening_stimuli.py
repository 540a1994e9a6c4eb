"""What a listening test plays: the same seconds of a take from every system, equally loud.

The conditions of a trial (ITU-R BS.1534-3): the unit's own output as hidden reference, every system, and an anchor, the
reference behind a low-pass of 3.5 kHz. The uncompressed take, level-matched like all else, is a system like others: it
says what scoring "no compressor at all" means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.signal

from ..manifests.levels import from_db
from ..manifests.loudness import integrated_lufs
from ..manifests.pcm import Float32
from .systems import Candidate
from .take_audio import Row, TakeAudio

REFERENCE, ANCHOR = "reference", "anchor-3.5-khz"
ANCHOR_HZ, ANCHOR_ORDER = 3500.0, 8
LOUDNESS_LUFS = -23.0  # EBU R 128
PEAK_DBFS = -1.0  # a trial is played softer when a stimulus would reach above
LEAD_S = 5.0  # systems hear so much before the excerpt, so that their state is that of the take
FADE_S = 0.02


def excerpt_start(dry: Float32, wet: Float32, frames: int, sample_rate: int) -> int:
    """First frame of the `frames` in which the unit's gain moves most: where a compressor is heard. In steps of half a
    second."""
    step = sample_rate // 2
    blocks = len(dry) // (step // 10)
    if len(dry) <= frames or blocks < 2:
        return 0

    def level_db(audio: Float32) -> Float32:
        power = np.square(audio[: blocks * (step // 10)]).reshape(blocks, -1).mean(axis=1)
        return np.asarray(10 * np.log10(power + 1e-9), np.float32)

    moves = np.abs(np.diff(level_db(wet) - level_db(dry)))
    moves[level_db(dry)[1:] < -60] = 0  # in silence a gain is noise
    starts = range(0, len(dry) - frames + 1, step)
    width = frames // (step // 10)
    return max(starts, key=lambda start: float(moves[start // (step // 10) :][:width].sum()))


def stimuli(
    take: Row, audio: TakeAudio, candidates: Sequence[Candidate], names: Sequence[str], seconds: float
) -> dict[str, Float32]:
    """Condition -> excerpt (frames, channels), loudness-matched and faded; the reference first, the anchor last."""
    rate = int(take["sample_rate"])
    frames = min(round(seconds * rate), len(audio.wet))
    start = excerpt_start(audio.dry, audio.wet, frames, rate)
    lead = min(start, round(LEAD_S * rate))
    dry = audio.dry[start - lead : start + frames]
    reference = audio.wet[start : start + frames]
    found = {REFERENCE: reference}
    for name, candidate in zip(names, candidates, strict=True):
        found[name] = candidate.outputs([take], [dry])[0][lead:]
    found[ANCHOR] = low_passed(audio.wet[start - lead : start + frames], rate)[lead:]
    return matched(found, rate)


def low_passed(audio: Float32, sample_rate: int) -> Float32:
    """The anchor: below 3.5 kHz unchanged, above it steeply less. Its phase turns nothing (forward and backward)."""
    sections = scipy.signal.butter(ANCHOR_ORDER, ANCHOR_HZ, fs=sample_rate, output="sos")
    return np.asarray(scipy.signal.sosfiltfilt(sections, audio, axis=0), np.float32)


def matched(found: dict[str, Float32], sample_rate: int) -> dict[str, Float32]:
    """Every stimulus at the same integrated loudness (ITU-R BS.1770), -23 LUFS or as much below it as the highest peak
    asks for, with short fades. What is too short or silent for a loudness is matched by its RMS."""
    louder = {name: audio * from_db(_gain_db(audio, sample_rate)) for name, audio in found.items()}
    peak = max(float(np.abs(audio).max()) for audio in louder.values())
    down = min(1.0, from_db(PEAK_DBFS) / peak) if peak else 1.0
    frames = len(next(iter(found.values())))
    fade = min(round(FADE_S * sample_rate), frames // 2)
    envelope = np.ones((frames, 1), np.float32)
    envelope[:fade, 0] = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    envelope[frames - fade :] = envelope[:fade][::-1]
    return {name: np.asarray(audio * down * envelope, np.float32) for name, audio in louder.items()}


def _gain_db(audio: Float32, sample_rate: int) -> float:
    loudness_lufs = integrated_lufs(audio, sample_rate)
    if loudness_lufs is None:
        power = float(np.square(audio, dtype=np.float64).mean())
        loudness_lufs = 10 * np.log10(power) if power > 0 else LOUDNESS_LUFS
    return LOUDNESS_LUFS - loudness_lufs

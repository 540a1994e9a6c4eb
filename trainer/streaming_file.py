"""A sound file through a stream, buffer by buffer, with knobs that turn on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..manifests.errors import DatasetError, UsageError
from ..manifests.pcm import quantise
from ..manifests.storage import write_whole
from .streaming import Stream

Turn = tuple[int, Callable[[], None]]  # from this frame on, after calling that


def file_facts(source: Path) -> tuple[int, int, int]:
    """Sample rate, channels and frames of a sound file."""
    try:
        facts = soundfile.info(source)
    except soundfile.LibsndfileError as error:
        raise UsageError(f"{source} cannot be read ({error.error_string})") from error
    return facts.samplerate, facts.channels, facts.frames


def process_file(
    stream: Stream,
    source: Path,
    target: Path,
    buffer_frames: int,
    turns: list[Turn],
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> float:
    """All of `source` through `stream`, written as 24-bit WAV; the output's peak in full scales. It does not depend on
    `buffer_frames`, nor where buffers begin, except that knobs turn at the frames of `turns`."""
    peak = 0.0
    facts_rate, _, frames = file_facts(source)

    def write(temporary: Path) -> None:
        nonlocal peak
        with (
            soundfile.SoundFile(source) as dry,
            soundfile.SoundFile(temporary, "w", facts_rate, dry.channels, "PCM_24", format="WAV") as wet,
        ):
            pending = sorted(turns, key=lambda turn: turn[0])
            for begin, end in progress(list(_buffers(frames, buffer_frames, [frame for frame, _ in pending]))):
                while pending and pending[0][0] <= begin:
                    pending.pop(0)[1]()
                output = stream.process(dry.read(end - begin, dtype="float32", always_2d=True))
                if not np.isfinite(output).all():
                    raise DatasetError(
                        "the model's output is not finite", mend="train again with a lower learning rate"
                    )
                peak = max(peak, float(np.abs(output).max(initial=0)))
                wet.write(quantise(output))

    write_whole(target, write)
    return peak


def _buffers(frames: int, buffer_frames: int, cuts: list[int]) -> Iterator[tuple[int, int]]:
    """(begin, end) of buffers that cover `frames` and are cut at `cuts`."""
    begin = 0
    while begin < frames:
        end = min([begin + buffer_frames, frames, *(cut for cut in cuts if cut > begin)])
        yield begin, end
        begin = end

"""How much faster than real time a stream runs, per length of buffer, and how far it is from one call over the whole.

Time is CPU time of this process on one core; speed ratio is duration of the sound over CPU time, as in figure 3 of
paper B: above 1 a model keeps up. A figure without the error beside it would say nothing, since a stream that forgets
its state is fast.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from ..manifests.pcm import Float32
from .state import StreamModel
from .streaming import Stream

BUFFERS = (1, 32, 128, 256, 512, 1024, 4096)
ERROR_FRAMES = 16_384  # compared with one call of the model
SLICE_S, REPEATS = 0.1, 3  # CPU seconds of a timing, and how many there are


@dataclass(frozen=True)
class Speed:
    """One length of buffer."""

    buffer_frames: int
    speed_ratio: float
    error: float  # greatest difference from one call of the PyTorch model, relative to its greatest output


def measure_speed(
    model: StreamModel, controls: Float32, sample_rate: int, compile_it: bool = True, buffers: tuple[int, ...] = BUFFERS
) -> list[Speed]:
    """The speed of `model` at `controls` for each of `buffers`, one channel."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        stream = Stream(model, controls, sample_rate=sample_rate, compile_it=compile_it)
        sound = struck_tones(ERROR_FRAMES, sample_rate)
        whole = one_call(model, controls, sound)
        return [
            Speed(frames, _ratio(stream, sound, frames), _error(stream, sound, whole, frames)) for frames in buffers
        ]
    finally:
        torch.set_num_threads(threads)


def struck_tones(frames: int, sample_rate: int) -> Float32:
    """(frames, 1): struck tones, eight a second, peak -6 dBFS; the same every time."""
    time_s = np.arange(frames) / sample_rate
    decay = np.exp(-20 * (time_s % 0.125))
    tones = np.sin(2 * np.pi * 220 * time_s) + 0.5 * np.sin(2 * np.pi * 1760 * time_s)
    return np.asarray(0.5 * decay * tones / 1.5, np.float32)[:, None]


@torch.inference_mode()
def one_call(model: StreamModel, controls: Float32, sound: Float32) -> Float32:
    """(frames, 1): all of `sound` (frames, 1) through the PyTorch model at once."""
    y, _ = model.eval()(torch.from_numpy(sound.T.copy())[:, None], torch.from_numpy(controls)[None])
    output: Float32 = y[0].numpy().T.copy()
    return output


def _ratio(stream: Stream, sound: Float32, frames: int) -> float:
    """Median over some slices of CPU time, after a first call that is not counted."""
    pieces = [sound[begin : begin + frames] for begin in range(0, len(sound) - frames + 1, frames)]
    output = np.empty((frames, 1), np.float32)
    stream.reset()
    stream.process_into(pieces[0], output)
    ratios = []
    for _ in range(REPEATS):
        calls, begin = 0, time.process_time()
        while (spent_s := time.process_time() - begin) < SLICE_S:
            for piece in pieces[:16]:
                stream.process_into(piece, output)
            calls += min(len(pieces), 16)
        ratios.append(calls * frames / stream.sample_rate / spent_s)
    return median(ratios)


def _error(stream: Stream, sound: Float32, whole: Float32, frames: int) -> float:
    stream.reset()
    compared = min(len(sound), max(frames, 2048) if not stream.compiled and frames < 32 else len(sound))
    parts = [stream.process(sound[begin : begin + frames]) for begin in range(0, compared, frames)]
    difference = np.abs(np.concatenate(parts)[:compared] - whole[:compared]).max()
    return float(difference / np.abs(whole).max())

"""The verb `stream`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from ..manifests.console import dataset_option, json_option, note, progress, tell
from ..manifests.errors import UsageError

if TYPE_CHECKING:
    from .knobs import Knobs
    from .state import StreamModel
    from .streaming import Stream


@click.command()
@click.argument("run_name", metavar="RUN")
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("target", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--set",
    "words",
    multiple=True,
    metavar="KNOB=VALUE",
    help="Where a knob stands; @2.5 behind it: from that second on.",
)
@click.option(
    "--buffer", "buffer_frames", type=click.IntRange(1, 16_384), default=128, show_default=True, help="Samples at once."
)
@click.option("--measure", is_flag=True, help="Print speed ratios for buffers from 1 to 4096 samples.")
@click.option("--device", help="Process a sound device's inputs into its outputs, live.")
@click.option("--channels", type=click.IntRange(1, 64), default=2, show_default=True, help="Of the device.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End the live stream after so long.")
@click.option(
    "--onnx",
    "onnx_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the model as a stateful ONNX graph for --buffer samples.",
)
@click.option("--torch", "by_torch", is_flag=True, help="Use PyTorch instead of compiled code.")
@dataset_option
@json_option
def stream(
    dataset_path: Path, run_name: str, source: Path | None, target: Path | None, words: tuple[str, ...],
    buffer_frames: int, measure: bool, device: str | None, channels: int, seconds: float | None,
    onnx_path: Path | None, by_torch: bool, as_json: bool,
) -> None:  # fmt: skip
    """A trained model as an effect: a file through it, or live sound, in buffers of any length.

    RUN is a folder under runs. Knobs that no --set names stand in the middle. While a live stream runs, a line
    `threshold_db=-18` on standard input turns a knob.

    Example: buscomp stream s4-4-4-tvfilm song.wav out.wav --set threshold_db=-20 --buffer 128
    """
    from ..manifests.dataset import open_dataset
    from .checkpoint import load_model, run_named
    from .knobs import Knobs

    ways = {"a file": source, "--measure": measure, "--device": device, "--onnx": onnx_path}
    asked = [name for name, wanted in ways.items() if wanted]
    if len(asked) != 1:
        raise UsageError(
            "one thing at a time", got=" and ".join(asked) or "nothing to do",
            allowed="SOURCE TARGET, --measure, --device NAME, --onnx FILE",
        )  # fmt: skip
    dataset = open_dataset(dataset_path)
    model, about = load_model(run_named(dataset, run_name))
    knobs, rate = Knobs(dataset.unit, about["auto_flag"]), about["sample_rate"]
    later = _turned(knobs, words)
    if measure:
        _measure(model, knobs, rate, by_torch, as_json)
    elif onnx_path is not None:
        from .onnx_export import export_onnx

        export_onnx(model, onnx_path, buffer_frames, knobs.vector(), about["controls"], rate)
        tell(
            as_json, {"onnx": str(onnx_path), "buffer": buffer_frames}, f"{onnx_path}: {buffer_frames} samples a call."
        )
    elif device is not None:
        if later:
            raise UsageError("a live stream has no @ seconds", got=words, mend="type the line when it is time")
        _live(_opened(model, knobs, channels, rate, by_torch), knobs, device, buffer_frames, seconds, as_json)
    elif source is not None:
        if target is None:
            raise UsageError("where should the output go", mend="name a file behind the input's")
        _file(model, knobs, rate, by_torch, source, target, buffer_frames, later, as_json)


def _turned(knobs: Knobs, words: tuple[str, ...]) -> list[tuple[float, str]]:
    """Turn the knobs that stand from the begin on; (seconds, word) of the others, which are proven to be possible."""
    from copy import copy

    later = []
    for word in words:
        setting, at, second = word.rpartition("@")
        if not at:
            knobs.turn(word)
            continue
        trial = copy(knobs)
        trial.values = dict(knobs.values)
        trial.turn(setting)
        try:
            later.append((float(second), setting))
        except ValueError:
            raise UsageError("behind @ stands a second", got=word, allowed="threshold_db=-30@2.5") from None
    return later


def _opened(model: StreamModel, knobs: Knobs, channels: int, sample_rate: int, by_torch: bool) -> Stream:
    import torch

    from .streaming import Stream

    torch.set_num_threads(1)  # a buffer is too small to be shared out
    return Stream(model, knobs.vector(), channels, sample_rate, compile_it=not by_torch)


def _file(
    model: StreamModel, knobs: Knobs, sample_rate: int, by_torch: bool, source: Path, target: Path, buffer_frames: int,
    later: list[tuple[float, str]], as_json: bool,
) -> None:  # fmt: skip
    from .streaming_file import Turn, file_facts, process_file

    rate, channels, frames = file_facts(source)
    if rate != sample_rate:
        raise UsageError(
            f"{source} has another sample rate than the model", got=f"{rate} Hz", allowed=f"{sample_rate} Hz"
        )
    opened = _opened(model, knobs, channels, rate, by_torch)

    def turn(word: str) -> Callable[[], None]:
        def at_its_time() -> None:
            knobs.turn(word)
            opened.set_controls(knobs.vector())

        return at_its_time

    settings = str(knobs)
    turns: list[Turn] = [(round(second * rate), turn(word)) for second, word in later]
    begin = time.process_time()
    peak = process_file(opened, source, target, buffer_frames, turns, lambda items: progress(items, "stream"))
    cpu_s = time.process_time() - begin
    document = {
        "target": str(target), "frames": frames, "seconds": frames / rate, "cpu_s": cpu_s, "peak": peak,
        "compiled": opened.compiled, "knobs": settings,
    }  # fmt: skip
    clipped = " It was clipped: turn the input down." if peak > 1 else ""
    tell(as_json, document, f"{settings}", f"{target}: {frames / rate:.1f} s in {cpu_s:.1f} s of CPU time.{clipped}")


def _measure(model: StreamModel, knobs: Knobs, sample_rate: int, by_torch: bool, as_json: bool) -> None:
    from .streaming_measure import measure_speed
    from .streaming_program import compiled

    by_torch = by_torch or compiled(model) is None
    speeds = measure_speed(model, knobs.vector(), sample_rate, compile_it=not by_torch)
    lines = [
        f"{'buffer':>7} {'speed ratio':>12} {'error':>9}   " + ("PyTorch" if by_torch else "compiled") + ", one core"
    ]
    lines += [f"{speed.buffer_frames:7} {speed.speed_ratio:12.2f} {speed.error:9.1e}" for speed in speeds]
    tell(as_json, {"compiled": not by_torch, "speeds": [asdict(speed) for speed in speeds]}, *lines)


def _live(opened: Stream, knobs: Knobs, device: str, block_size: int, seconds: float | None, as_json: bool) -> None:
    from .streaming_live import StalledError, run_live

    end = None if seconds is None else time.monotonic() + seconds
    typed: SimpleQueue[str] = SimpleQueue()

    def hear() -> None:
        for line in sys.stdin:
            typed.put(line.strip())

    def obey() -> bool:
        while not typed.empty():
            try:
                if word := typed.get():
                    knobs.turn(word)
                    opened.set_controls(knobs.vector())
                    note(str(knobs))
            except UsageError as error:  # a slip of the finger must not end the music
                note(str(error))
        return end is None or time.monotonic() < end

    threading.Thread(target=hear, daemon=True).start()

    note(str(knobs))
    try:
        done = run_live(opened, device, block_size, obey, note)
    except StalledError as error:
        note(f"Error: {error}")
        os._exit(1)  # closing the device, or leaving Python in good order, would hang for ever
    facts: dict[str, Any] = {"frames": done.frames, "xruns": done.xruns}
    tell(as_json, facts, f"{done.frames / opened.sample_rate:.1f} s, {done.xruns} xruns.")

"""What evaluation costs: memory for takes of four minutes, and time against the length of the audio.

A plugin and the three baselines are measured, so that no model's own speed is in the figures. The physical limit of
memory is the audio itself: dry, wet and four outputs.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import torch

from buscomp.tests.small_dataset import make_dataset
from buscomp.trainer.evaluate import TEST_CELLS, evaluate
from buscomp.trainer.plugin import PluginCandidate

SYSTEMS = 4
MAP = "name: compressor\nplugin: pedalboard:Compressor\nmap: {threshold_db: {from: threshold_db}}\n"


def memory_mb() -> float:
    """The most that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(folder: Path, seconds: float) -> tuple[float, float, float]:
    """Peak memory, MB; CPU seconds; seconds of audio, of which a system and a take count once."""
    dataset = make_dataset(folder / f"{seconds:g}", songs=3, settings=2, seconds=seconds)
    (folder / "map.yaml").write_text(MAP)
    plugin = PluginCandidate(dataset, folder / "map.yaml")
    began = time.process_time()
    made = evaluate(dataset, plugins=[plugin], cells=TEST_CELLS)
    return memory_mb(), time.process_time() - began, len(made.takes) * seconds


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        before, _, _ = measured(Path(temporary), 2.0)  # compiles
        print(f"{'take':>8} {'audio in hand':>14} {'peak memory':>12} {'ratio':>6} {'audio / CPU time':>17}")
        for seconds in (60.0, 240.0):
            peak, cpu_s, audio_s = measured(Path(temporary), seconds)
            in_hand = (2 + SYSTEMS) * seconds * 44_100 * 2 * 4 / 2**20
            ratio = (peak - before) / in_hand
            print(f"{seconds:6.0f} s {in_hand:11.0f} MB {peak:9.0f} MB {ratio:6.2f} {audio_s / cpu_s:16.1f}x")


if __name__ == "__main__":
    main()

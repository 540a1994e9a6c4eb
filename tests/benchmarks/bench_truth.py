"""Whether the grey box finds the truth: trained on the simulated unit, what it says of each setting beside what is so.

    python tests/benchmarks/bench_truth.py [--steps 3000] [--songs 8] [--seen 30] [--unseen 15] [--stereo]
                                           [--model physical-feedback] [--dataset FOLDER]

The unit is a specimen whose detents do something else than is printed at them; the model starts from values that have
to do with no setting, and hears only music. Printed for each setting: threshold, ratio, attack and release of the unit
and as the model reads them; the largest difference of the static curves; attack and release of a step of 20 dB as both
play it. Then the gain-trace error on a song that was never trained on, at seen and unseen settings, beside the best
static curve. Goal: 3 times smaller. Times are CPU time of this process, so of one core when torch has one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import read_audio
from buscomp.tests.trainer import truth
from buscomp.trainer.baselines import fit_baselines
from buscomp.trainer.checkpoint import Run, load_model
from buscomp.trainer.gain_trace import gain_trace_rmse_db
from buscomp.trainer.physical import Physical
from buscomp.trainer.systems import Candidate, ModelCandidate, StaticCurveCandidate
from buscomp.trainer.train import train


def table(dataset: Dataset, run: Run) -> None:
    """What is so and what was found, setting by setting."""
    model, _ = load_model(run)
    assert isinstance(model, Physical)
    print("what is so and what is read; the largest error of the static curve in dB; attack ms and release s of a step")
    for its in truth.compare(dataset, model):
        so, found = its.truth, its.reading
        release_s = "auto" if so.release_s is None else f"{so.release_s:.2f}"
        pairs = (
            f"{so.threshold_db:6.1f} {found.threshold_db:6.1f}", f"{so.ratio:6.2f} {found.ratio:6.2f}",
            f"{so.knee_db:4.1f} {found.knee_db:4.1f}", f"{so.attack_ms:7.2f} {found.attack_ms:7.2f}",
            f"{release_s:>7} {found.release_s:7.3f}",
        )  # fmt: skip
        worst = max(its.curve_errors_db, key=abs)
        step = f"{its.attack_ms[0]:6.2f} {its.attack_ms[1]:6.2f} {its.release_s[0]:6.3f} {its.release_s[1]:6.3f}"
        print(f"{'seen' if its.seen else 'unseen':8}", *pairs, f"{worst:8.2f}  ", step, sep="  ")


def gain_traces(dataset: Dataset, run: Run) -> None:
    """Mean over takes of the unseen song of the gain-trace error."""
    systems: list[Candidate] = [
        StaticCurveCandidate(dataset.unit, fit_baselines(dataset)),
        ModelCandidate(dataset, run),
    ]
    for split in ("test_seen", "test_unseen"):
        takes = dataset.pair_table(split).to_dict("records")
        errors_db = np.zeros((len(takes), len(systems)))
        for number, take in enumerate(takes):
            dry, rate = read_audio(dataset.file(take["dry_path"]))
            wet, _ = read_audio(dataset.file(take["wet_path"]))
            for place, system in enumerate(systems):
                error_db = gain_trace_rmse_db(system.outputs([take], [dry])[0], wet, dry, rate)
                if error_db is None:
                    raise SystemExit(f"nothing is audible in {take['wet_path']}")
                errors_db[number, place] = error_db
        static_db, model_db = errors_db.mean(0)
        print(
            f"{split}: gain-trace error {model_db:.3f} dB, best static curve {static_db:.3f} dB, "
            f"{static_db / model_db:.1f} times smaller ({len(takes)} takes)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--seen", type=int, default=30)
    parser.add_argument("--unseen", type=int, default=15)
    parser.add_argument("--stereo", action="store_true", help="songs as panned: the unit hears the louder channel")
    parser.add_argument("--model", default="physical-feedback")
    parser.add_argument("--dataset", type=Path, help="keep it there, or use the one that is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.dataset or Path(folder) / "dataset"
        if not path.exists():
            width = 1.0 if arguments.stereo else 0.0
            truth.make(path, arguments.songs, arguments.seen, arguments.unseen, width=width)
        dataset = Dataset(path)
        began = time.process_time()
        run = train(dataset, model=arguments.model, name="truth", steps=arguments.steps, **truth.TRAINING)
        print(f"{arguments.model}, {arguments.steps} steps, {time.process_time() - began:.0f} s of CPU time")
        table(dataset, run)
        gain_traces(dataset, run)


if __name__ == "__main__":
    main()

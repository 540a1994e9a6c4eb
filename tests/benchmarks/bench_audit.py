"""How well a model finds wrong takes: precision at k, over many draws of three takes that were made at other settings.

A small dataset of the simulated compressor, and a model that was trained for a short time on its right takes. Each draw
files three takes under wrong settings; precision at 3 is the share of them among the first three of 60. Beside it, what
a ranking by the model's error alone would do, without taking songs and settings out, and chance.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import torch

from buscomp.manifests.dataset import Dataset
from buscomp.tests.trainer.compressed import compressor_dataset
from buscomp.trainer.audit import Departure, Excerpts, departure, precision_at, scores
from buscomp.trainer.checkpoint import run_named
from buscomp.trainer.gain_trace import gain_trace_rmse_db
from buscomp.trainer.systems import ModelCandidate
from buscomp.trainer.train import train

WRONG, DRAWS = 3, 300
LEAST_DB = 0.5  # a wrong setting changes the gain over time by so much; what changes nothing cannot be found
Key = tuple[str, str, str]  # song, setting it is filed under, setting it was made at


def every_departure(dataset: Dataset, run_name: str) -> tuple[dict[Key, Departure], set[Key]]:
    """Of each song at each setting from the model at each setting; and which wrong settings change something."""
    candidate, excerpts = ModelCandidate(dataset, run_named(dataset, run_name)), Excerpts(dataset)
    takes = dataset.pair_table().sort_values(["song_id", "setting_id"]).to_dict("records")
    found: dict[Key, Departure] = {}
    audible: set[Key] = set()
    for song in sorted({take["song_id"] for take in takes}):
        those = [excerpts.cut(take) for take in takes if take["song_id"] == song]
        pairs = [excerpts.read(take) for take in those]
        outputs = candidate.outputs(those, [dry for dry, _ in pairs])
        for filed, output, (_, right) in zip(those, outputs, pairs, strict=True):
            for made, (dry, wet) in zip(those, pairs, strict=True):
                departs = departure(output, wet, dry, 44_100)
                key = song, filed["setting_id"], made["setting_id"]
                if departs is None:
                    raise SystemExit(f"{key}: nothing of the excerpt can be heard")
                found[key] = departs
                if (gain_trace_rmse_db(wet, right, dry, 44_100) or 0.0) >= LEAST_DB:
                    audible.add(key)
    return found, audible


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="s4-4-4")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--dataset", type=Path, help="made by an earlier run of this script")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.dataset or Path(tempfile.mkdtemp()) / "dataset"
    dataset = Dataset(folder) if folder.exists() else compressor_dataset(folder, seconds=3.0)
    name = f"{options.model}-{options.steps}"
    if not run_named(dataset, name).weights.exists():
        train(
            dataset, model=options.model, name=name, steps=options.steps, batch=4, clip_chunks=8, schedule="one-cycle"
        )
    table, audible = every_departure(dataset, name)
    pairs = sorted({(song, filed) for song, filed, _ in table})
    settings = sorted({filed for _, filed in pairs})
    names = [f"{song} {setting}" for song, setting in pairs]
    random = np.random.default_rng(1)
    ours, plain, tops = [], [], []
    for _ in range(DRAWS):
        made = {pair: pair[1] for pair in pairs}
        wrong = [pairs[i] for i in random.choice(len(pairs), WRONG, replace=False)]
        for pair in wrong:
            made[pair] = str(random.choice([setting for setting in settings if (*pair, setting) in audible]))
        departs = [table[song, filed, made[song, filed]] for song, filed in pairs]
        found = scores(departs, [filed for _, filed in pairs], [song for song, _ in pairs])
        are = {f"{song} {setting}" for song, setting in wrong}
        by_score = [names[i] for i in np.argsort([-each.score for each in found])]
        by_error = [names[i] for i in np.argsort([-math.hypot(each.mean_db, each.deviation_db) for each in departs])]
        ours.append([precision_at(by_score, are, k) for k in (1, 2, 3)])
        plain.append([precision_at(by_error, are, k) for k in (1, 2, 3)])
        tops.append(max(each.score for name, each in zip(names, found, strict=True) if name not in are))
    print(f"{len(pairs)} takes, {WRONG} wrong, {DRAWS} draws, {name}")
    print(f"{'':32} {'k=1':>6} {'k=2':>6} {'k=3':>6}")
    for told, rows in (("precision by score", ours), ("precision by error alone", plain)):
        print(f"{told:32}", *(f"{value:6.3f}" for value in np.mean(rows, axis=0)))
    print(f"{'precision by chance':32}", *[f"{WRONG / len(pairs):6.3f}"] * 3)
    print(f"highest score of a right take: median {np.median(tops):.1f}, largest {np.max(tops):.1f}")


if __name__ == "__main__":
    main()

"""Trains the two tables that annotation ships, tempo.npz and key.npz, on rendered songs of known tempo and key.

    OMP_NUM_THREADS=1 python tests/benchmarks/train_annotation.py SONGS.jsonl FEATURES OUT [tempo] [key]

SONGS.jsonl: a line per song with `id` and `bpm` and `key`, either of which may be null. FEATURES/<id>.npz: `c`, what
`onsets.correlations` gives, and `p`, what `chroma.pitch_classes` gives. Half of the songs train a network that judges
the other half and the other way round: those judgements fit the confidence and are printed. Then all songs train
the network that is kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from buscomp.annotation.key_features import key_features
from buscomp.annotation.network import log_odds, shares
from buscomp.annotation.tempo_features import PER_OCTAVE, STEPS, grid_bpm, priors, repeats

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SHIFT = 4  # steps of the tempo grid, 6 %: a song a little faster is as good a song
SETTINGS: dict[str, dict[str, Any]] = {
    "tempo": {"units": 20, "epochs": 45, "rate": 3e-3, "decay": 0.03, "noise": 0.15},
    "key": {"units": 16, "epochs": 120, "rate": 3e-3, "decay": 0.05, "noise": 0.3},
}


def tempo_examples(songs: list[dict[str, Any]], folder: Path) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Features (songs, grid with margins, features), the right share of each tempo, and how many rows are margin."""
    inputs, right = [], []
    for song in songs:
        bpm = grid_bpm(SHIFT)
        inputs.append(np.hstack([repeats(np.load(folder / f"{song['id']}.npz")["c"], bpm), priors(bpm)]))
        near = np.abs(np.log2(bpm / song["bpm"])) * PER_OCTAVE
        right.append(np.maximum(0, 1.5 - near))
    return (
        torch.tensor(np.array(inputs), dtype=torch.float32),
        torch.tensor(np.array(right), dtype=torch.float32),
        SHIFT,
    )


def key_examples(songs: list[dict[str, Any]], folder: Path) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Features (songs, 12 tonics, features) and the right key (songs, 12, major and minor)."""
    inputs = [key_features(np.load(folder / f"{song['id']}.npz")["p"].astype(float)) for song in songs]
    right = np.zeros((len(songs), 12, 2))
    for place, song in enumerate(songs):
        tonic, mode = song["key"].split()
        right[place, TONICS.index(tonic), int(mode == "minor")] = 1
    return torch.tensor(np.array(inputs), dtype=torch.float32), torch.tensor(right, dtype=torch.float32), 0


def fit(inputs: torch.Tensor, right: torch.Tensor, margin: int, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """The table of a network trained on all of `inputs`."""
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    offset, scale = inputs.mean(dim=(0, 1)), 1 / (inputs.std(dim=(0, 1)) + 1e-3)
    inputs = (inputs - offset) * scale
    hidden = torch.nn.Linear(inputs.shape[-1], settings["units"])
    out = torch.nn.Linear(settings["units"], right.shape[-1] if right.ndim == 3 else 1)
    network = torch.nn.Sequential(hidden, torch.nn.ReLU(), out)
    steps = settings["epochs"] * -(-len(inputs) // 32)
    descent = torch.optim.AdamW(network.parameters(), lr=settings["rate"], weight_decay=settings["decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(descent, settings["rate"], total_steps=steps)
    for _ in range(settings["epochs"]):
        for batch in torch.split(torch.randperm(len(inputs)), 32):
            x, y = inputs[batch], right[batch]
            if margin:  # the priors, in the last columns, stay with the tempo they belong to
                shift = int(random.integers(-margin, margin + 1))
                low, high = margin, margin + STEPS
                x = torch.cat([x[:, low + shift : high + shift, :-9], x[:, low:high, -9:]], dim=2)
                y = y[:, low + shift : high + shift]
            x = x + settings["noise"] * torch.randn_like(x)
            y = y.flatten(1)
            y = y / y.sum(dim=1, keepdim=True).clamp(min=1e-6)
            loss = -(y * torch.log_softmax(network(x).flatten(1), dim=1)).sum(dim=1).mean()
            descent.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            descent.step()
            schedule.step()
    table = {"hidden": hidden.weight.T, "hidden_bias": hidden.bias, "out": out.weight.T, "out_bias": out.bias}
    return {k: v.detach().numpy() for k, v in ({"offset": offset, "scale": scale} | table).items()}


def score(table: dict[str, np.ndarray], inputs: torch.Tensor, margin: int) -> np.ndarray:
    """Scores (songs, candidates) of `inputs`."""
    x = inputs[:, margin : inputs.shape[1] - margin].numpy()
    units = np.maximum(0, (x - table["offset"]) * table["scale"] @ table["hidden"] + table["hidden_bias"])
    return np.asarray((units @ table["out"] + table["out_bias"]).reshape(len(x), -1))


def train(what: str, songs: list[dict[str, Any]], folder: Path, out: Path) -> None:
    """Train, judge by halves, calibrate, write `out`/<what>.npz."""
    songs = [song for song in songs if song["bpm" if what == "tempo" else "key"]]
    inputs, right, margin = (tempo_examples if what == "tempo" else key_examples)(songs, folder)
    halves = np.random.default_rng(0).permutation(len(songs)) % 2
    scores = np.zeros((len(songs), STEPS if what == "tempo" else 24))
    for half in (0, 1):
        table = fit(inputs[halves != half], right[halves != half], margin, SETTINGS[what])
        scores[halves == half] = score(table, inputs[halves == half], margin)
    hits, evidence, octave = [], [], []
    for row, song, truth in zip(scores, songs, right.numpy(), strict=True):
        share, best = shares(row), int(np.argmax(row))
        if what == "tempo":
            ratio = grid_bpm()[best] / song["bpm"]
            hits.append(abs(ratio - 1) < 0.04)
            octave.append(any(abs(ratio / r - 1) < 0.04 for r in (1, 2, 3, 1 / 2, 1 / 3)))
            share = share[max(0, best - 3) : best + 4].sum()
        else:
            hits.append(truth.ravel()[best] == 1)
            octave.append(hits[-1])
            share = share[best]
        evidence.append(log_odds(float(share)))
    model = LogisticRegression().fit(np.array(evidence)[:, np.newaxis], hits)
    for kind in sorted({song["id"].rstrip("0123456789")[:4] for song in songs}):
        of_kind = [place for place, song in enumerate(songs) if song["id"].startswith(kind)]
        print(f"{what} {kind:5} n={len(of_kind):4} right {np.mean(np.array(hits)[of_kind]):.3f}", end=" ")
        print(f"with octaves {np.mean(np.array(octave)[of_kind]):.3f}")
    print(f"{what} all right {np.mean(hits):.3f} with octaves {np.mean(octave):.3f}", end=" ")
    print(f"AUROC {roc_auc_score(hits, evidence):.3f}")
    table = fit(inputs, right, margin, SETTINGS[what])
    table["confidence"] = np.array([*model.coef_[0], model.intercept_[0]])
    np.savez(out / f"{what}.npz", **{name: value.astype(np.float32) for name, value in table.items()})  # type: ignore[arg-type]


def main() -> None:
    """Train what is asked for."""
    torch.set_num_threads(1)
    songs_path, folder, out, *whats = sys.argv[1:]
    songs = [json.loads(line) for line in Path(songs_path).read_text().splitlines()]
    songs = [song for song in songs if (Path(folder) / f"{song['id']}.npz").exists()]
    for what in whats or ("tempo", "key"):
        train(what, songs, Path(folder), Path(out))


if __name__ == "__main__":
    main()

"""Trains the two tables that annotation ships, tempo.npz and key.npz, on the development part of the known songs.

    OMP_NUM_THREADS=1 python tests/benchmarks/train_annotation.py [--cache FOLDER] [--sources UNPACKED] [--out FOLDER]

Each song is heard whole (34 s) and in shorter pieces, so that the confidence knows what brevity costs. Four fifths
of the songs train a network that judges the last fifth, five times: those judgements are printed, and the confidence is
fitted to them by logistic regression. Then all songs train the network that is kept; without `--out` it is not.

Every draw has a fixed seed. The same MIDI, SoundFonts, fluidsynth, numpy and torch on one kind of processor give the
same bytes; other versions give other last digits, and the judgements printed are then what must agree.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mir_eval  # type: ignore[import-untyped]
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from tqdm import tqdm

from buscomp.annotation import chroma, mono, onsets
from buscomp.annotation.key import MODES, TONICS
from buscomp.annotation.key_features import key_features
from buscomp.annotation.network import Network, brevity, log_odds, shares
from buscomp.annotation.tempo import WITHIN
from buscomp.annotation.tempo_features import PER_OCTAVE, PRIORS, STEPS, grid_bpm, priors, repeats
from buscomp.manifests.storage import write_whole
from buscomp.tests.benchmarks.known_songs import development_part
from buscomp.tests.benchmarks.render_songs import add_places
from buscomp.tests.benchmarks.rendering import Clip, Sources

Examples = tuple[torch.Tensor, torch.Tensor]

SHIFT = 4  # steps of the tempo grid, 6 %: a song a little faster is as good a song
PIECES_S = {"tempo": (34.0, 17.0, 8.0, 4.0), "key": (34.0, 15.0, 5.0, 1.5, 0.5)}  # the whole song first
LEARNED_S = {"tempo": 34.0, "key": 34.0}  # pieces as long as this are trained on, shorter ones only judged
SETTINGS: dict[str, dict[str, Any]] = {
    "tempo": {"units": 20, "epochs": 45, "rate": 3e-3, "decay": 0.03, "noise": 0.15},
    "key": {"units": 16, "epochs": 120, "rate": 3e-3, "decay": 0.05, "noise": 0.3},
}
FOLDS = 5
FIELDS = ("offset", "scale", "hidden", "hidden_bias", "out", "out_bias")


@dataclass(frozen=True)
class Piece:
    """So many seconds of a clip. `heard`: correlations of its onsets (tempo), or its pitch classes (key)."""

    clip: Clip
    seconds: float
    heard: np.ndarray


def pieces(what: str, clips: Sequence[Clip], cache: Path) -> list[Piece]:
    """All pieces of all clips whose tempo or key is known; what was heard once is read from `cache`."""
    code = "".join(map(inspect.getsource, (onsets, chroma, mono))) + str(PIECES_S[what])
    folder = cache / "heard" / f"{what}-{hashlib.sha256(code.encode()).hexdigest()[:12]}"
    found = []
    for clip in tqdm([c for c in clips if (c.bpm if what == "tempo" else c.key)], f"hear {what}", disable=None):
        path = folder / f"{clip.path.stem}.npz"

        def write(temporary: Path, clip: Clip = clip) -> None:
            with temporary.open("wb") as file:
                np.savez(file, *(heard for _, heard in _hear(what, clip)))

        if not path.exists():
            write_whole(path, write)
        with np.load(path) as table:
            lengths = PIECES_S[what][: len(table.files)]
            found += [Piece(clip, s, table[name]) for s, name in zip(lengths, table.files, strict=True)]
    return found


def _hear(what: str, clip: Clip) -> list[tuple[float, np.ndarray]]:
    """The pieces of `clip`: each begins by chance, and none is longer than the clip but the first."""
    song = mono.mono(*clip.read())
    random = np.random.default_rng(int(clip.path.stem[:8], 16))
    heard: list[tuple[float, np.ndarray]] = []
    for seconds in PIECES_S[what]:
        frames = round(seconds * mono.ANALYSIS_RATE)
        start = int(random.integers(max(1, len(song) - frames)))
        part = song[start : start + frames] if heard else song
        if what == "tempo":
            heard.append((seconds, onsets.correlations(onsets.onset_bands(part)).astype(np.float32)))
        else:
            heard.append((seconds, chroma.pitch_classes(part).astype(np.float32)))
    return heard


def tempo_examples(these: Sequence[Piece]) -> Examples:
    """Features (pieces, grid with margins, features) and the right share of each tempo."""
    bpm = grid_bpm(SHIFT)
    inputs = [np.hstack([repeats(piece.heard, bpm), priors(bpm)]) for piece in these]
    right = [np.maximum(0, 1.5 - np.abs(np.log2(bpm / (piece.clip.bpm or 1))) * PER_OCTAVE) for piece in these]
    return torch.tensor(np.array(inputs), dtype=torch.float32), torch.tensor(np.array(right), dtype=torch.float32)


def key_examples(these: Sequence[Piece]) -> Examples:
    """Features (pieces, 12 tonics, features) and the right key (pieces, 12, major and minor)."""
    inputs = [key_features(piece.heard.astype(float)) for piece in these]
    right = np.zeros((len(these), 12, 2))
    for place, piece in enumerate(these):
        tonic, mode = str(piece.clip.key).split()
        right[place, TONICS.index(tonic), MODES.index(mode)] = 1
    return torch.tensor(np.array(inputs), dtype=torch.float32), torch.tensor(right, dtype=torch.float32)


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
                shift, own = int(random.integers(-margin, margin + 1)), len(PRIORS)
                low, high = margin, margin + STEPS
                x = torch.cat([x[:, low + shift : high + shift, :-own], x[:, low:high, -own:]], dim=2)
                y = y[:, low + shift : high + shift]
            x = x + settings["noise"] * torch.randn_like(x)
            y = y.flatten(1)
            y = y / y.sum(dim=1, keepdim=True).clamp(min=1e-6)
            loss = -(y * torch.log_softmax(network(x).flatten(1), dim=1)).sum(dim=1).mean()
            descent.zero_grad()
            loss.backward()
            descent.step()
            schedule.step()
    table = {"hidden": hidden.weight.T, "hidden_bias": hidden.bias, "out": out.weight.T, "out_bias": out.bias}
    return {k: v.detach().numpy() for k, v in ({"offset": offset, "scale": scale} | table).items()}


def score(table: dict[str, np.ndarray], inputs: torch.Tensor, margin: int) -> np.ndarray:
    """Scores (pieces, candidates) of `inputs`."""
    x = inputs[:, margin : inputs.shape[1] - margin].numpy()
    network = Network(**{field: table[field] for field in FIELDS}, confidence=np.zeros(3))
    return np.asarray(network.scores(x).reshape(len(x), -1))


@dataclass(frozen=True)
class Judgement:
    """Of a piece by a network that did not see its song. `points`: tempo, right or a multiple; key, by mir_eval."""

    piece: Piece
    right: bool
    points: float
    evidence: tuple[float, float]


def judge(what: str, piece: Piece, scores: np.ndarray) -> Judgement:
    """What the `scores` (candidates,) of a piece are worth."""
    share, best = shares(scores), int(np.argmax(scores))
    if what == "tempo":
        ratio = float(grid_bpm()[best]) / (piece.clip.bpm or 1)
        right = abs(ratio - 1) <= 0.04
        points = float(any(abs(ratio / factor - 1) <= 0.04 for factor in (1, 2, 3, 1 / 2, 1 / 3)))
        held = float(share[max(0, best - WITHIN) : best + WITHIN + 1].sum())
    else:
        name = f"{TONICS[best // 2]} {MODES[best % 2]}"
        right, points = name == piece.clip.key, float(mir_eval.key.weighted_score(piece.clip.key, name))
        held = float(share[best])
    return Judgement(piece, right, points, (log_odds(held), brevity(piece.seconds)))


def train(what: str, clips: Sequence[Clip], cache: Path) -> dict[str, np.ndarray]:
    """The table of tempo or key, after every fifth was judged by the others and the judgements were printed."""
    these, margin = pieces(what, clips, cache), SHIFT if what == "tempo" else 0
    inputs, right = (tempo_examples if what == "tempo" else key_examples)(these)
    songs = dict.fromkeys(piece.clip.path for piece in these)
    fold_of = dict(zip(songs, np.random.default_rng(0).permutation(len(songs)) % FOLDS, strict=True))
    folds = np.array([fold_of[piece.clip.path] for piece in these])
    learned = np.array([piece.seconds >= LEARNED_S[what] for piece in these])
    scores = np.zeros((len(these), STEPS if what == "tempo" else len(TONICS) * len(MODES)))
    for fold in range(FOLDS):
        others = learned & (folds != fold)
        table = fit(inputs[others], right[others], margin, SETTINGS[what])
        scores[folds == fold] = score(table, inputs[folds == fold], margin)
    judged = [judge(what, piece, row) for piece, row in zip(these, scores, strict=True)]
    model = LogisticRegression().fit([each.evidence for each in judged], [each.right for each in judged])
    sure = model.predict_proba([each.evidence for each in judged])[:, 1]
    show(what, judged, sure)
    table = fit(inputs[learned], right[learned], margin, SETTINGS[what])
    table["confidence"] = np.array([*model.coef_[0], model.intercept_[0]])
    return table


def show(what: str, judged: Sequence[Judgement], sure: np.ndarray) -> None:
    """Print the judgements: whole songs by group, then all pieces by length beside their mean confidence."""
    points = "with multiples" if what == "tempo" else "weighted"
    whole = [each for each in judged if each.piece.seconds == PIECES_S[what][0]]
    rows = [(group, [e for e in whole if e.piece.clip.group == group]) for group in _groups(whole)]
    for name, group in [*rows, ("all", whole)]:
        right, score = np.mean([each.right for each in group]), np.mean([each.points for each in group])
        print(f"{what} {name:14} n {len(group):4}  right {right:.3f}  {points} {score:.3f}")
    for seconds in PIECES_S[what]:
        at = np.array([each.piece.seconds == seconds for each in judged])
        right = np.array([each.right for each in judged])[at]
        print(f"{what} {seconds:4} s  right {right.mean():.3f}  mean confidence {sure[at].mean():.3f}", end="  ")
        print(f"AUROC {roc_auc_score(right, sure[at]):.3f}")


def _groups(judged: Sequence[Judgement]) -> list[str]:
    return sorted({each.piece.clip.group for each in judged})


def main() -> None:
    """Train what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_places(parser)
    parser.add_argument("--out", type=Path, help="where tempo.npz and key.npz are written: the folder annotation")
    parser.add_argument("--what", choices=PIECES_S, action="append")
    given = parser.parse_args()
    torch.set_num_threads(1)
    part = development_part(given.cache, Sources(tuple(given.sources)), given.jobs)
    for line in part.missing:
        print(f"left out: {line}")
    for what in given.what or PIECES_S:
        table = {name: value.astype(np.float32) for name, value in train(what, part.clips, given.cache).items()}

        def write(temporary: Path, table: dict[str, Any] = table) -> None:
            with temporary.open("wb") as file:
                np.savez(file, **table)

        if given.out:
            write_whole(given.out / f"{what}.npz", write)


if __name__ == "__main__":
    main()

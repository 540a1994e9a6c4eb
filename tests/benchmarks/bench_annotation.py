"""How often tempo and key are right on rendered songs of known truth, and how fast: development and test part.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_annotation.py SONGS.jsonl AUDIO [--seconds 45]

SONGS.jsonl: a line per song with `id`, `bpm` and `key` (null where unknown). AUDIO/<id>.npy: mono 16-bit at 22,050 Hz,
rendered from MIDI (`scripted_songs.write_song`, openttd-openmsx, music21's chorales) by fluidsynth. Scores: tempo
within 4 % (Acc1) and times 2, 3, 1/2, 1/3 (Acc2); key exact and by mir_eval; AUROC of the confidence.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import mir_eval  # type: ignore[import-untyped]
import numpy as np
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from buscomp.annotation.key import estimate_key
from buscomp.annotation.mono import ANALYSIS_RATE
from buscomp.annotation.tempo import estimate_tempo


def auroc(right: list[bool], confidence: list[float]) -> float:
    """NaN when all are right or all are wrong."""
    return float(roc_auc_score(right, confidence)) if 0 < sum(right) < len(right) else float("nan")


def main() -> None:
    """Print the table, one line per source (the letters that begin its ids) and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--seconds", type=float, default=45.0)
    given = parser.parse_args()
    tempi: dict[str, list[tuple[bool, bool, float, float]]] = defaultdict(list)
    keys: dict[str, list[tuple[bool, float, float, bool]]] = defaultdict(list)
    heard_s = tempo_s = key_s = 0.0
    for line in given.songs.read_text().splitlines():
        song = json.loads(line)
        path = given.audio / f"{song['id']}.npy"
        if not path.exists():
            continue
        audio = np.load(path)[: round(given.seconds * ANALYSIS_RATE)].astype(np.float32) / 32768
        kind = song["id"].rstrip("0123456789")[:4]
        began = time.process_time()
        tempo = estimate_tempo(audio, ANALYSIS_RATE)
        middle = time.process_time()
        key = estimate_key(audio, ANALYSIS_RATE)
        heard_s += len(audio) / ANALYSIS_RATE
        tempo_s += middle - began
        key_s += time.process_time() - middle
        if song["bpm"]:
            ratio = (tempo.bpm or 1e-9) / song["bpm"]
            octave = any(abs(ratio / factor - 1) <= 0.04 for factor in (1, 2, 3, 1 / 2, 1 / 3))
            for name in (kind, "all"):
                tempi[name].append(
                    (abs(ratio - 1) <= 0.04, octave, tempo.confidence, abs((tempo.bpm or 0) - song["bpm"]))
                )
        if song["key"]:
            weighted = mir_eval.key.weighted_score(song["key"], key.name) if key.name else 0.0
            for name in (kind, "all"):
                keys[name].append((key.name == song["key"], weighted, key.confidence, song["key"].endswith("minor")))
    for kind, rows in sorted(tempi.items()):
        hits, doubled, confidence, off = zip(*rows, strict=True)
        errors = [each for each, hit in zip(off, hits, strict=True) if hit] or [np.nan]
        print(f"tempo {kind:5} n {len(rows):4}  Acc1 {np.mean(hits):.3f}  Acc2 {np.mean(doubled):.3f}", end="  ")
        print(f"error {np.median(errors):.3f} (p90 {np.percentile(errors, 90):.3f}) BPM", end="  ")
        print(f"AUROC {auroc(list(hits), list(confidence)):.3f}")
    for kind, judged in sorted(keys.items()):
        exact, weighted, sure, minor = (np.array(each) for each in zip(*judged, strict=True))
        print(f"key   {kind:5} n {len(judged):4}  weighted {weighted.mean():.3f}  exact {exact.mean():.3f}", end="  ")
        for mode, these in (("major", exact[~minor]), ("minor", exact[minor])):
            print(f"{mode} {these.mean() if len(these) else np.nan:.3f}", end="  ")
        print(f"AUROC {auroc(list(exact), list(sure)):.3f}")
    print(f"speed: tempo {heard_s / tempo_s:.0f}, key {heard_s / key_s:.0f}", end=", ")
    print(f"both {heard_s / (tempo_s + key_s):.0f} x real time")


if __name__ == "__main__":
    main()

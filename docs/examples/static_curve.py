"""How much of the unit is a static curve? `python static_curve.py my-dataset`: one curve by level, threshold, ratio."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

ROOT, BLOCK = Path(sys.argv[1]), 1024  # frames
tables = {path.stem: pd.read_parquet(path) for path in ROOT.glob("manifests/*.parquet")}
takes = tables["takes"].query("status == 'accepted'").merge(tables["songs"][["song_id", "dry_path"]], on="song_id")
takes = takes.merge(tables["splits"][["song_id", "setting_id", "split"]]).merge(tables["settings"], on="setting_id")


def level_db(path):
    """RMS of each block over both channels, dB re full scale."""
    audio = soundfile.read(ROOT / path)[0]
    blocks = audio[: len(audio) // BLOCK * BLOCK].reshape(-1, BLOCK * audio.shape[1])
    return 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-12)


def blocks(split):
    """What the curve is made of, and the gain in dB, for every block of a split that is not silent."""
    features, gain_db = [], []
    for take in takes[takes.split == split].itertuples():
        dry_db, wet_db = level_db(take.dry_path), level_db(take.wet_path)
        over = [np.maximum(dry_db + db - take.threshold_db, 0) * (1 - 1 / take.ratio) for db in (0, 6, 12, 18)]
        features.append(np.stack([np.ones_like(dry_db), *over], 1)[dry_db > -60])
        gain_db.append((wet_db - dry_db)[dry_db > -60])
    return np.concatenate(features), np.concatenate(gain_db)


features, train_db = blocks("train")
curve = np.linalg.lstsq(features, train_db, rcond=None)[0]
for split in ("test_seen", "test_unseen"):
    features, truth_db = blocks(split)
    for name, guess_db in (("nothing", 0), ("one gain", train_db.mean()), ("static curve", features @ curve)):
        print(f"{split:12} {name:13} {np.sqrt(np.mean((guess_db - truth_db) ** 2)):.3f} dB off")

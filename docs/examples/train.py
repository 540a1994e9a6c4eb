"""A compressor in 30 lines of PyTorch: `python train.py my-dataset 400` trains a network that hears level and knobs."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch

ROOT, STEPS, BLOCK, CLIP = Path(sys.argv[1]), int(sys.argv[2]), 128, 256 * 128  # frames; one gain for each block
tables = {path.stem: pd.read_parquet(path) for path in ROOT.glob("manifests/*.parquet")}
takes = tables["takes"].query(f"status == 'accepted' and frames >= {CLIP}")
takes = takes.merge(tables["songs"][["song_id", "dry_path"]], on="song_id")
takes = takes.merge(tables["splits"][["song_id", "setting_id", "split"]])
knobs = tables["settings"].set_index("setting_id")[["threshold_db", "attack_ms", "release_s", "release_auto", "ratio"]]
knobs = knobs.astype(float).assign(**{name: np.log(knobs[name]) for name in ("attack_ms", "release_s", "ratio")})
knobs = ((knobs - knobs.mean()) / (knobs.std() + 1e-6)).fillna(0)  # at AUTO release_s is null, and release_auto true
gru, out = torch.nn.GRU(1 + knobs.shape[1], 32, batch_first=True), torch.nn.Linear(32, 1)
generator = np.random.default_rng(1)


def errors(split, count):
    """Error-to-signal ratio of the network, and of doing nothing, over `count` clips drawn from a split."""
    chosen = takes[takes.split == split].sample(count, replace=True, random_state=generator)
    turned = torch.tensor(knobs.loc[chosen.setting_id].to_numpy(np.float32))[:, None].expand(-1, CLIP // BLOCK, -1)
    audio = []
    for take in chosen.itertuples():
        where = {"start": generator.integers(take.frames - CLIP + 1), "frames": CLIP, "dtype": "float32"}
        audio.append([soundfile.read(ROOT / path, **where)[0] for path in (take.dry_path, take.wet_path)])
    dry, wet = torch.tensor(np.array(audio)).reshape(count, 2, CLIP // BLOCK, -1).unbind(1)  # clips, blocks, samples
    level = dry.abs().amax(2, keepdim=True).clamp_min(1e-4).log10()
    gain = out(gru(torch.cat([level, turned], 2))[0]).exp()
    return ((dry * gain - wet) ** 2).sum() / (wet**2).sum(), ((dry - wet) ** 2).sum() / (wet**2).sum()


optimiser = torch.optim.Adam([*gru.parameters(), *out.parameters()], lr=0.005)
for step in range(STEPS):
    optimiser.zero_grad()
    loss = errors("train", 16)[0]
    loss.backward()
    optimiser.step()
    if step % 50 == 0:
        print(f"step {step:4}  error {loss:.4f}", flush=True)
for split in ("test_seen", "test_unseen"):
    with torch.no_grad():
        print("{:12} error {:.4f}, doing nothing {:.4f}".format(split, *errors(split, 64)))

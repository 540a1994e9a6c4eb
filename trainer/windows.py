"""Training material: clips of takes, mono, drawn at random.

A song is drawn uniformly, then one of its settings, then a channel and a position, so that long songs and settings
with many takes do not weigh more. Clips whose dry audio is below -60 dBFS are skipped and counted.

Audio is kept decoded in memory while it fits into `memory_bytes`; beyond that each clip is read from its FLAC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.levels import rms_dbfs
from ..manifests.pcm import Float32, read_audio
from .controls import control_vector

SILENT_DBFS = -60.0
MEMORY_BYTES = 2 << 30
TRIES = 1000


@dataclass(frozen=True)
class Clips:
    """A batch: `dry` and `wet` (batch, 1, frames), `controls` (batch, controls), and where each came from."""

    dry: Float32
    wet: Float32
    controls: Float32
    origins: tuple[str, ...]  # wet_path, channel and first frame


class Windows:
    """Clips of `clip_frames` from one split of `dataset`, or from the windows of a subset of it."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        clip_frames: int,
        auto_flag: bool = True,
        memory_bytes: int = MEMORY_BYTES,
        subset: str | None = None,
    ):
        table = dataset.pair_table(split, subset=subset)
        if table.empty:
            raise DatasetError(f"no accepted take is in the split {split}", mend="type `buscomp split`")
        self.sha256 = pairs_sha256(dataset, table)
        self.sample_rate = one_sample_rate(table)
        long_enough = table[table["frames"] >= clip_frames]
        if long_enough.empty:
            raise UsageError(
                f"every {'take' if subset is None else 'window'} is shorter than one clip",
                got=f"clips of {clip_frames} frames", allowed=f"up to {table['frames'].max()}",
                mend="type a smaller --clip-chunks",
            )  # fmt: skip
        self.takes_too_short = len(table) - len(long_enough)
        self.silent_clips = 0  # skipped so far
        self._clip_frames = clip_frames
        self._dataset = dataset
        self._takes: dict[str, list[dict[str, Any]]] = {}
        for row in long_enough.to_dict("records"):
            row = {str(name): value for name, value in row.items()}
            row["controls"] = control_vector(dataset.unit, row, auto_flag)
            self._takes.setdefault(row["song_id"], []).append(row)
        self._songs = sorted(self._takes)
        pieces = long_enough.drop_duplicates(["dry_path", "start_frame", "frames"])
        files = pieces["frames"].sum() + long_enough["frames"].sum()
        self._in_memory = int(files) * 2 * 4 <= memory_bytes
        self._decoded: dict[tuple[str, int, int], Float32] = {}

    def draw(self, batch: int, random: np.random.Generator) -> Clips:
        """`batch` clips. The same state of `random` gives the same clips."""
        dry, wet, controls, origins = [], [], [], []
        for _ in range(TRIES * batch):
            song = self._songs[random.integers(len(self._songs))]
            take = self._takes[song][random.integers(len(self._takes[song]))]
            start = int(random.integers(take["frames"] - self._clip_frames + 1))
            sent = self._read("dry_path", take, start)
            channel = int(random.integers(sent.shape[1]))
            if rms_dbfs(sent[:, channel : channel + 1]) < SILENT_DBFS:
                self.silent_clips += 1
                continue
            dry.append(sent[:, channel])
            wet.append(self._read("wet_path", take, start)[:, channel])
            controls.append(take["controls"])
            origins.append(f"{take['wet_path']} channel {channel} from frame {take['start_frame'] + start}")
            if len(dry) == batch:
                return Clips(np.stack(dry)[:, None], np.stack(wet)[:, None], np.stack(controls), tuple(origins))
        raise DatasetError(f"hardly any clip is louder than {SILENT_DBFS:g} dBFS", mend="type `buscomp verify`")

    def _read(self, which: str, take: dict[str, Any], start: int) -> Float32:
        """(clip_frames, channels) from `start` in the take, or in its window."""
        relative = take[which]
        path = self._dataset.file(relative)
        if not self._in_memory:
            with soundfile.SoundFile(path) as file:
                file.seek(take["start_frame"] + start)
                clip: Float32 = file.read(self._clip_frames, dtype="float32", always_2d=True)
        else:
            piece = (relative, take["start_frame"], take["frames"])
            if piece not in self._decoded:
                self._decoded[piece] = read_audio(path, *piece[1:])[0]
            clip = self._decoded[piece][start : start + self._clip_frames]
        if len(clip) != self._clip_frames:
            raise DatasetError(f"{relative} is shorter than the table says", mend="type `buscomp verify`")
        return clip


def one_sample_rate(table: pd.DataFrame) -> int:
    """The sample rate that all takes share, in Hz."""
    rates = sorted(set(table["sample_rate"]))
    if len(rates) != 1:
        raise DatasetError("takes have different sample rates", got=", ".join(f"{rate} Hz" for rate in rates))
    return int(rates[0])


def pairs_sha256(dataset: Dataset, table: pd.DataFrame) -> str:
    """Hash of which takes or windows, with which audio, a table holds: a checkpoint's memory of its training."""
    hashes = dataset.takes.set_index("take_id")["wet_sha256"]
    lines = sorted(
        f"{row.song_id} {row.setting_id} {hashes[row.take_id]} {row.start_frame} {row.frames}"
        for row in table.itertuples()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

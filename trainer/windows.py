"""Training material: clips of takes, mono, drawn at random.

A song is drawn uniformly, then one of its settings, then a channel and a position, so that long songs and settings
with many takes do not weigh more. Clips whose dry audio is below -60 dBFS are skipped and counted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.levels import from_db
from ..manifests.pcm import Float32, read_audio
from .audio_cache import AudioCache, Piece
from .controls import control_vector

SILENT_DBFS = -60.0
TRIES = 1000


@dataclass(frozen=True)
class Clips:
    """A batch: `dry` and `wet` (batch, 1, frames), `controls` (batch, controls), and where each came from."""

    dry: Float32
    wet: Float32
    controls: Float32
    origins: tuple[str, ...]  # wet_path, channel and first frame
    silent: int  # how many were skipped to find these


@dataclass(frozen=True)
class _Take:
    dry: Piece
    wet: Piece
    controls: Float32


class Windows:
    """Clips of `clip_frames` from one split of `dataset`, or from the windows of a subset of it; out of `cache`, which
    has to be filled with `pieces` before, or from the FLAC files."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        clip_frames: int,
        auto_flag: bool = True,
        *,
        subset: str | None = None,
        cache: AudioCache | None = None,
    ):
        table = _with_hashes(dataset, dataset.pair_table(split, subset=subset))
        if table.empty:
            raise DatasetError(f"no accepted take is in the split {split}", mend="type `buscomp split`")
        self.sha256 = pairs_sha256(table)
        self.sample_rate = one_sample_rate(table)
        long_enough = table[table["frames"] >= clip_frames]
        if long_enough.empty:
            raise UsageError(
                f"every {'take' if subset is None else 'window'} is shorter than one clip",
                got=f"clips of {clip_frames} frames", allowed=f"up to {table['frames'].max()}",
                mend="type a smaller --clip-chunks",
            )  # fmt: skip
        self.takes_too_short = len(table) - len(long_enough)
        self._clip_frames = clip_frames
        self._dataset = dataset
        self._cache = cache
        self._takes: dict[str, list[_Take]] = {}
        for row in long_enough.to_dict("records"):
            named = {str(name): value for name, value in row.items()}
            place = (row["start_frame"], row["frames"], row["channels"], row["frames"] == row["take_frames"])
            dry = Piece(row["dry_path"], row["dry_sha256"], *place)
            wet = Piece(row["wet_path"], row["wet_sha256"], *place)
            take = _Take(dry, wet, control_vector(dataset.unit, named, auto_flag))
            self._takes.setdefault(row["song_id"], []).append(take)
        self._songs = sorted(self._takes)

    @property
    def pieces(self) -> list[Piece]:
        """All audio that clips come from."""
        takes = [take for song in self._songs for take in self._takes[song]]
        return list(dict.fromkeys(piece for take in takes for piece in (take.dry, take.wet)))

    def draw(self, batch: int, random: np.random.Generator, share: slice = slice(None)) -> Clips:
        """`batch` clips, or a `share` of them. The same state of `random` gives the same clips, and is the same
        afterwards whatever the share."""
        chosen, silent = self._choose(batch, random)
        mine = chosen[share]
        wet = [self._read(take.wet, start, channel) for take, start, channel, _ in mine]
        origins = tuple(
            f"{take.wet.relative} channel {channel} from frame {take.wet.start_frame + start}"
            for take, start, channel, _ in mine
        )
        dry = np.stack([sent for _, _, _, sent in mine])
        controls = np.stack([take.controls for take, _, _, _ in mine])
        return Clips(dry[:, None], np.stack(wet)[:, None], controls, origins, silent)

    def _choose(self, batch: int, random: np.random.Generator) -> tuple[list[tuple[_Take, int, int, Float32]], int]:
        """Take, start, channel and dry audio of `batch` clips, and how many silent ones were skipped."""
        chosen: list[tuple[_Take, int, int, Float32]] = []
        silent_energy = self._clip_frames * from_db(SILENT_DBFS) ** 2
        for tried in range(TRIES * batch):
            if len(chosen) == batch:
                return chosen, tried - batch
            takes = self._takes[self._songs[random.integers(len(self._songs))]]
            take = takes[random.integers(len(takes))]
            start = int(random.integers(take.dry.frames - self._clip_frames + 1))
            channel = int(random.integers(take.dry.channels))
            sent = self._read(take.dry, start, channel)
            if not float(np.dot(sent, sent)) < silent_energy:  # what is not a number goes on: the loss will name it
                chosen.append((take, start, channel, sent))
        raise DatasetError(f"hardly any clip is louder than {SILENT_DBFS:g} dBFS", mend="type `buscomp verify`")

    def _read(self, piece: Piece, start: int, channel: int) -> Float32:
        """(clip_frames,) of one channel, from `start` in the piece."""
        if self._cache is not None:
            return self._cache.read(piece, start, self._clip_frames, channel)
        audio, _ = read_audio(self._dataset.file(piece.relative), piece.start_frame + start, self._clip_frames)
        if audio.shape[1] != piece.channels:
            raise DatasetError(f"{piece.relative} does not fit its dry audio", mend="type `buscomp verify`")
        clip: Float32 = audio[:, channel]
        return clip


def one_sample_rate(table: pd.DataFrame) -> int:
    """The sample rate that all takes share, in Hz."""
    rates = sorted(set(table["sample_rate"]))
    if len(rates) != 1:
        raise DatasetError("takes have different sample rates", got=", ".join(f"{rate} Hz" for rate in rates))
    return int(rates[0])


def pairs_sha256(table: pd.DataFrame) -> str:
    """Hash of which takes or windows, with which audio, a table holds: a checkpoint's memory of its training."""
    lines = sorted(
        f"{row.song_id} {row.setting_id} {row.dry_sha256} {row.wet_sha256} {row.start_frame} {row.frames}"
        for row in table.itertuples()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _with_hashes(dataset: Dataset, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with dry_sha256, wet_sha256, channels, and take_frames, the length of the whole take."""
    takes = dataset.takes[["take_id", "wet_sha256", "channels", "frames"]].rename(columns={"frames": "take_frames"})
    songs = dataset.songs[["song_id", "dry_sha256"]]
    table = table.merge(takes, on="take_id", validate="many_to_one")
    return table.merge(songs, on="song_id", validate="many_to_one")

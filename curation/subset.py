"""Subsets of the training material: so many hours of so many songs, as windows, without copying audio.

The paper's ablation (Solid State Bus-Comp, 2025, table 5) asks what more hours and more songs bring. Here hours are
hours of wet audio over all takes: 100 songs of four minutes at 144 settings are 960. A subset says for every take of
its songs which frames it holds, and a larger one of the same songs holds everything that a smaller one does:

1. Songs stand in an order that seed and name give, and a subset has the first so many. Of songs of the same content
   only one counts.
2. All songs get the same time, except that a short song gives all it has and the others make up for it.
3. A song's takes stand in an order, begun at another setting for each song, and are cut one turn at a time: each gets
   a window of 4.5 s, then each is made 4.5 s longer, until the song's time is used up.
4. All windows of a song lie at one place of it, drawn by seed and name: they grow to the end, then to the begin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.ids import check_id, number_in_id
from ..manifests.tables import read_made_with, read_rows, write_table
from .groups import same_content
from .stratify import ranked

PAPER = (  # songs, hours; the two series meet at 100 songs and 50 h
    (100, 0.05), (100, 0.5), (100, 5), (100, 50), (100, 500), (5, 50), (10, 50), (25, 50), (50, 50),
)  # fmt: skip
WINDOW_S = (
    4.5  # holds a clip of the reference trainer, 3.15 s; divides what a song of the paper gives: 18 s, 180 s, ...
)
SHORTEST_S = 0.1  # the paper's training segment, 4410 samples
LONGEST_S = 86_400.0  # a whole take, whatever it is
SEEDS = 1000  # that are tried before another one is advised
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, fill the unit interval evenly at every count
Row = dict[str, Any]
Frames = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Subset:
    """What one subset holds."""

    name: str
    songs: int
    settings: int
    takes: int
    hours: float
    dry_minutes: float  # of different music
    shortest_s: float  # window
    longest_s: float


def subset(
    dataset: Dataset,
    *,
    hours: float,
    songs: int | None = None,
    name: str | None = None,
    seed: int = 1,
    window_s: float = WINDOW_S,
) -> Subset:
    """Write the windows of one subset into `subsets.parquet`, where it replaces one of the same name.

    `hours` of wet audio from `songs` of the training side [default: all of them]. `UsageError` when the accepted
    training takes hold less than is asked for; `DatasetError` without a split. The arguments stay in the metadata.
    """
    material = material_of(dataset, seed, window_s)
    songs = len(material.takes) if songs is None else songs
    windows = material.windows(songs, hours)
    name = check_id(name_of(songs, hours) if name is None else name, "--name")
    return _write(dataset, material, {name: (songs, hours, windows)})[0]


def paper_subsets(dataset: Dataset, *, seed: int = 1, window_s: float = WINDOW_S) -> tuple[list[Subset], list[str]]:
    """The subsets of the paper's ablation that the dataset is large enough for, and why each other one is not there."""
    material = material_of(dataset, seed, window_s)
    drawn, refused = {}, []
    for songs, hours in PAPER:
        name = name_of(songs, hours)
        try:
            drawn[name] = (songs, hours, material.windows(songs, hours))
        except UsageError as error:
            refused.append(f"{name}: {error}")
    return _write(dataset, material, drawn), refused


def again(dataset: Dataset, name: str) -> Subset:
    """The subset `name` drawn once more with its recorded arguments, from the takes and the split of now."""
    recorded = recorded_subsets(dataset)
    if name not in recorded:
        raise UsageError("no such subset", got=name, allowed=sorted(recorded) or "none yet")
    return subset(dataset, name=name, **recorded[name])


def recorded_subsets(dataset: Dataset) -> dict[str, Row]:
    """name -> the arguments that gave it: songs, hours, seed, window_s."""
    path = dataset.table_path("subsets")
    return read_made_with(path, "subsets") if path.exists() else {}


def name_of(songs: int, hours: float) -> str:
    """What a subset is called unless somebody says otherwise: `100-songs-0p05-h`."""
    return f"{songs}-songs-{number_in_id(hours)}-h"


def material_of(dataset: Dataset, seed: int, window_s: float) -> Material:
    """The accepted takes of the split `train`."""
    takes = dataset.pair_table("train")
    if takes.empty:
        raise DatasetError("no accepted take is in the split train", mend="type `buscomp split`, or capture more")
    rates = sorted(set(takes["sample_rate"]))
    if len(rates) > 1:
        raise DatasetError("takes have different sample rates", got=", ".join(f"{rate} Hz" for rate in rates))
    columns = ["take_id", "song_id", "setting_id", "unit_id", "frames"]
    rows = [{str(name): value for name, value in row.items()} for row in takes[columns].to_dict("records")]
    return Material(rows, dataset.rows("songs"), int(rates[0]), seed, window_s)


class Material:
    """Training takes in the order in which subsets take them."""

    def __init__(
        self, takes: Sequence[Row], songs: Sequence[Row], sample_rate: int, seed: int = 1, window_s: float = WINDOW_S
    ):
        if not SHORTEST_S <= window_s <= LONGEST_S:
            raise UsageError("--window-s", got=f"{window_s:g}", allowed=f"{SHORTEST_S:g} to {LONGEST_S:g}")
        self.seed, self.window_s, self.sample_rate = seed, window_s, sample_rate
        settings = sorted({take["setting_id"] for take in takes}, key=lambda name: ranked(seed, name))
        order = {setting: place for place, setting in enumerate(settings)}
        by_song: dict[str, list[Row]] = {}
        for take in takes:
            by_song.setdefault(take["song_id"], []).append(take)
        self.takes = [
            sorted(by_song[song_id], key=partial(_turn, place=place, order=order))
            for place, song_id in enumerate(distinct(songs, by_song, seed))
        ]

    def windows(self, songs: int, hours: float) -> list[Row]:
        """Rows of `subsets` (without the name): `hours` from the first `songs` songs."""
        available = len(self.takes)
        if not 1 <= songs <= available:
            raise UsageError("--songs: the training takes are of fewer songs of different content", got=songs,
                             allowed=f"1 to {available}")  # fmt: skip
        if not math.isfinite(hours):
            raise UsageError("--hours must be a number", got=hours)
        total, held = round(hours * 3600 * self.sample_rate), [_frames(takes) for takes in self.takes]
        least, most = round(songs * SHORTEST_S * self.sample_rate), sum(held[:songs])
        if not least <= total <= most:
            raise UsageError(
                f"--hours from {songs} songs", got=f"{hours:g}", mend=self._mend(total, songs, held),
                allowed=f"{self._hours(least, up=True):g} to {self._hours(most):g}",
            )  # fmt: skip
        quotas = level(np.array(held[:songs]), total)
        return [
            window
            for takes, quota in zip(self.takes, quotas, strict=False)
            for window in cut(takes, int(quota), round(self.window_s * self.sample_rate), self.seed)
        ]

    def _mend(self, total: int, songs: int, held: Sequence[int]) -> str | None:
        """What would make room for `total` frames."""
        enough = next((n for n, frames in enumerate(np.cumsum(held), 1) if n > songs and frames >= total), None)
        if total < sum(held[:songs]):
            return "ask for fewer songs"
        if enough is None:
            return "capture more, or ask for fewer hours"
        seed = self._seed_of_longer_songs(total, songs) if sum(sorted(held)[-songs:]) >= total else None
        return f"ask for {enough} songs" + (f", or --seed {seed}, which draws longer ones" if seed else "")

    def _seed_of_longer_songs(self, total: int, songs: int) -> int | None:
        """The first seed whose first songs hold `total` frames."""
        held = {takes[0]["song_id"]: _frames(takes) for takes in self.takes}
        firsts = (
            (seed, sorted(held, key=lambda song_id: ranked(seed, song_id))[:songs]) for seed in range(1, SEEDS + 1)
        )
        return next((seed for seed, first in firsts if sum(map(held.__getitem__, first)) >= total), None)

    def _hours(self, frames: int, up: bool = False) -> float:
        """In four digits, rounded so that it may be asked for."""
        hours = frames / self.sample_rate / 3600
        step = 10.0 ** (np.floor(np.log10(hours)) - 3)
        return float((np.ceil if up else np.floor)(hours / step) * step)


def distinct(songs: Sequence[Mapping[str, Any]], wanted: Mapping[str, object], seed: int) -> list[str]:
    """The `wanted` song_ids in the order of their rank, of each group of the same content only the first."""
    rows = [song for song in songs if song["song_id"] in wanted]
    firsts = [min(group, key=lambda song_id: ranked(seed, song_id)) for group in same_content(rows)]
    return sorted(firsts, key=lambda song_id: ranked(seed, song_id))


def level(held: Frames, total: int) -> Frames:
    """How many frames each song gives, so that it is `total` in all and as equal as can be; `held` limits each.

    Where `total` grows, no song gives less. `total` must not exceed the sum of `held`.
    """
    ascending = np.sort(held)
    below = np.concatenate([[0], np.cumsum(ascending)[:-1]])  # given by the songs that give all they hold
    others = len(held) - np.arange(len(held))
    place = int(np.searchsorted(below + ascending * others, total))  # the first song that need not give all
    height, rest = divmod(total - int(below[place]), int(others[place]))
    given = np.minimum(held, height)
    given[np.flatnonzero(held > height)[:rest]] += 1
    return given


def cut(takes: Sequence[Row], quota: int, window: int, seed: int) -> list[Row]:
    """Windows of one song's `takes`, `quota` frames in all: a turn of `window` frames each, then another turn."""
    frames = np.array([take["frames"] for take in takes])
    turns = np.arange(-(-frames.max() // window))[:, None]
    shares = np.clip(frames - turns * window, 0, window)  # (turns, takes): what each take can add at each turn
    before = np.cumsum(shares).reshape(shares.shape) - shares
    lengths = np.clip(quota - before, 0, shares).sum(axis=0)
    place = int.from_bytes(ranked(seed, f"{takes[0]['song_id']}:place")[:8]) / 2**64
    starts = np.minimum((place * np.maximum(frames - window + 1, 1)).astype(np.int64), frames - lengths)
    return [
        {
            "take_id": take["take_id"],
            "song_id": take["song_id"],
            "setting_id": take["setting_id"],
            "start_frame": int(start),
            "frames": int(length),
        }
        for take, start, length in zip(takes, starts, lengths, strict=True)
        if length
    ]


def _turn(take: Mapping[str, Any], place: int, order: Mapping[str, int]) -> tuple[int, str]:
    """The song at `place` begins at a setting of its own, so that few windows of many songs meet many settings."""
    begin = int((place * GOLDEN % 1) * len(order))
    return (order[take["setting_id"]] - begin) % len(order), take["unit_id"]


def _frames(takes: Sequence[Row]) -> int:
    return sum(int(take["frames"]) for take in takes)


def _write(dataset: Dataset, material: Material, drawn: Mapping[str, tuple[int, float, list[Row]]]) -> list[Subset]:
    """Put subsets, name -> (songs, hours, windows), into the table, beside those of other names."""
    path, recorded = dataset.table_path("subsets"), recorded_subsets(dataset)
    rows = [row for row in (read_rows(path, "subsets") if path.exists() else []) if row["subset"] not in drawn]
    for name, (songs, hours, windows) in drawn.items():
        rows += [{"subset": name, **window} for window in windows]
        recorded[name] = {"songs": songs, "hours": hours, "seed": material.seed, "window_s": material.window_s}
    if drawn:
        write_table(path, "subsets", rows, made_with=recorded)
    return [_described(name, windows, material.sample_rate) for name, (_, _, windows) in drawn.items()]


def _described(name: str, windows: Sequence[Row], sample_rate: int) -> Subset:
    lengths = [window["frames"] for window in windows]
    dry: dict[str, tuple[int, int]] = {}
    for window in windows:  # of one song they all lie around one place, so that together they are one piece, too
        begin, end = window["start_frame"], window["start_frame"] + window["frames"]
        first, last = dry.get(window["song_id"], (begin, end))
        dry[window["song_id"]] = (min(first, begin), max(last, end))
    return Subset(
        name,
        songs=len(dry),
        settings=len({window["setting_id"] for window in windows}),
        takes=len(windows),
        hours=sum(lengths) / sample_rate / 3600,
        dry_minutes=sum(end - begin for begin, end in dry.values()) / sample_rate / 60,
        shortest_s=min(lengths) / sample_rate,
        longest_s=max(lengths) / sample_rate,
    )

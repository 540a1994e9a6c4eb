"""Which takes does a model not believe? Takes ranked by residual, so that the one with a wrong knob comes out on top.

A model that was trained on thousands of right takes knows what the unit does at a setting. Where one take departs from
it, the model is wrong, or the take is. Of the difference of both gains over time two numbers are kept: its mean, with
its sign, which a wrong threshold or ratio moves, and its standard deviation, which a wrong attack or release widens.
Some songs and some settings are hard for every model; so each number is taken apart into a part of the setting, a part
of the song and a rest (median polish, J. Tukey, "Exploratory data analysis", 1977), and takes are ranked by the larger
rest, in robust standard deviations. A model that is wrong by 3 dB at a setting is so for every song, and still finds
the song for which it is wrong by 1.

Only the loudest part of a take is heard, so that an audit costs a twentieth of an evaluation. For those on top, the
model is asked which setting explains the take best: `looks_like`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.pcm import Float32, read_audio
from .alignment import loudest
from .checkpoint import Run, run_named
from .gain_trace import gain_trace_db
from .systems import ModelCandidate
from .take_audio import Row, batches

SUSPECT = 6.0  # robust standard deviations
LEAST_DB = 0.3  # and at least so much beside what song and setting account for: less is nobody's wrong knob
SMALLEST_DB = 0.01  # below it, deviations are rounding
LEAST_SPREAD_DB, LEAST_SPREAD = 0.05, 0.05  # of means; of logarithms of deviations: an even model makes no suspects
ASKED = 5  # how many on top are compared with all settings
WARM_S, EXCERPT_S = 2.0, 10.0  # of a take: a wrong knob is wrong everywhere, so all of it need not be heard
POLISHES = 20
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Departure:
    """Gain of a take minus gain of the model, over time, in dB."""

    mean_db: float
    deviation_db: float


@dataclass(frozen=True)
class Score:
    """By how many robust standard deviations a take departs from what its song and its setting account for. `mean_db`:
    how much more gain it has than they do; `deviation_db`: how much wider its gain varies around the model's."""

    score: float
    mean_db: float
    deviation_db: float


@dataclass(frozen=True)
class Suspicion:
    """One take, the most suspicious first. `departure_db`: the larger of what `Score` tells of it; `error_db`: root
    mean square of its departure from the model; `looks_like`: the setting that explains it best, None where that is its
    own or was not asked."""

    take_id: str
    wet_path: str
    setting_id: str
    song_id: str
    score: float
    departure_db: float
    error_db: float
    looks_like: str | None

    @property
    def suspect(self) -> bool:
        """Whether somebody should look."""
        return self.score >= SUSPECT and abs(self.departure_db) >= LEAST_DB

    @property
    def told(self) -> str:
        """For a person."""
        other = f", looks like {self.looks_like}" if self.looks_like else ""
        return f"score {self.score:.1f}, {self.departure_db:+.2f} dB beside its song and setting{other}"


def candidate_named(dataset: Dataset, checkpoint: str) -> ModelCandidate:
    """The model of `checkpoint`: a run of `dataset`, or the folder of a run of another."""
    elsewhere = Path(checkpoint)
    return ModelCandidate(
        dataset, Run(elsewhere) if (elsewhere / "model.json").is_file() else run_named(dataset, checkpoint)
    )


def audit(
    dataset: Dataset,
    candidate: ModelCandidate,
    *,
    asked: int = ASKED,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> list[Suspicion]:
    """Every accepted take, ranked by how little `candidate` believes it. A take in which nothing is audible is left
    out."""
    table = dataset.pair_table().sort_values(["song_id", "setting_id", "unit_id"])
    if table.empty:
        raise DatasetError("there is no accepted take", mend="type `buscomp capture`")
    excerpts = Excerpts(dataset)
    takes: list[Row] = [excerpts.cut(take) for take in table.to_dict("records")]
    departures: dict[str, Departure] = {}
    for batch in progress(batches(takes, copies=3)):
        pairs = [excerpts.read(take) for take in batch]
        outputs = candidate.outputs(batch, [dry for dry, _ in pairs])
        for take, (dry, wet), output in zip(batch, pairs, outputs, strict=True):
            found = departure(output, wet, dry, int(take["sample_rate"]))
            if found is not None:
                departures[take["take_id"]] = found
    heard = [take for take in takes if take["take_id"] in departures]
    found_scores = scores(
        [departures[take["take_id"]] for take in heard],
        [(take["setting_id"], take["unit_id"]) for take in heard],
        [take["song_id"] for take in heard],
    )
    ranked = sorted(zip(heard, found_scores, strict=True), key=lambda each: -each[1].score)
    settings = dataset.settings.to_dict("records")
    suspicions = []
    for rank, (take, score) in enumerate(ranked):
        other = _looks_like(candidate, excerpts, take, settings) if rank < asked else None
        beside_db = max(score.mean_db, score.deviation_db, key=abs)
        error_db = math.hypot(departures[take["take_id"]].mean_db, departures[take["take_id"]].deviation_db)
        suspicions.append(
            Suspicion(
                take["take_id"], take["wet_path"], take["setting_id"], take["song_id"], score.score, beside_db,
                error_db, other,
            )
        )  # fmt: skip
    return suspicions


def departure(output: Float32, wet: Float32, dry: Float32, sample_rate: int) -> Departure | None:
    """Of a take `wet` from a model's `output`, without the first 2 s, or of all of a take that is hardly longer. None
    where nothing is audible."""
    warm = round(WARM_S * sample_rate)
    first = warm if len(dry) > 2 * warm else 0
    traces = (gain_trace_db(audio[first:], dry[first:], sample_rate) for audio in (wet, output))
    difference = np.subtract(*traces)
    difference = difference[np.isfinite(difference)]
    return Departure(float(difference.mean()), float(difference.std())) if difference.size else None


def scores(departures: Sequence[Departure], settings: Sequence[Any], songs: Sequence[Any]) -> list[Score]:
    """The score of each take, whose setting and song are `settings` and `songs`."""
    groups = [_groups(settings), _groups(songs)]
    means = np.array([each.mean_db for each in departures])
    logs = np.log(np.maximum([each.deviation_db for each in departures], SMALLEST_DB))
    mean_rest, log_rest = _rest(means, groups), _rest(logs, groups)
    high = np.maximum(
        np.abs(mean_rest) / max(_spread(mean_rest), LEAST_SPREAD_DB), log_rest / max(_spread(log_rest), LEAST_SPREAD)
    )
    wider_db = np.exp(logs) - np.exp(logs - log_rest)
    return [Score(*map(float, each)) for each in zip(high, mean_rest, wider_db, strict=True)]


def precision_at(ranked: Sequence[str], wrong: set[str], k: int) -> float:
    """Share of the first `k` take_ids that are of `wrong`."""
    return sum(take_id in wrong for take_id in ranked[:k]) / k


def _groups(keys: Sequence[Any]) -> list[npt.NDArray[np.intp]]:
    found: dict[Any, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return [np.array(members) for members in found.values()]


def _rest(values: Array, groups: Sequence[Sequence[npt.NDArray[np.intp]]]) -> Array:
    """`values` without what their groups share."""
    rest = values.copy()
    for _ in range(POLISHES):
        for members in (members for group in groups for members in group):
            rest[members] -= np.median(rest[members])
    return np.asarray(rest - np.median(rest))


def _spread(rest: Array) -> float:
    """Standard deviation, robustly: outliers do not count."""
    return 1.4826 * float(np.median(np.abs(rest)))


class Excerpts:
    """The loudest 12 s of each song, of which the first 2 s bring the model to where the unit was."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._song = lru_cache(maxsize=1)(self._loudest)

    def cut(self, take: Row) -> Row:
        """`take` with `start_frame` and `frames` of the excerpt."""
        begin, dry = self._song(take["dry_path"])
        return {**take, "start_frame": begin, "frames": len(dry)}

    def read(self, take: Row) -> tuple[Float32, Float32]:
        """dry and wet (frames, channels) of a take that was cut."""
        begin, dry = self._song(take["dry_path"])
        wet, _ = read_audio(self._dataset.file(take["wet_path"]), begin, len(dry))
        if wet.shape != dry.shape:
            raise DatasetError(f"{take['wet_path']} does not fit its dry audio", mend="type `buscomp verify`")
        return dry, wet

    def _loudest(self, relative: str) -> tuple[int, Float32]:
        dry, rate = read_audio(self._dataset.file(relative))
        frames = round((WARM_S + EXCERPT_S) * rate)
        begin = loudest(dry, frames)
        return begin, dry[begin : begin + frames].copy()


def _looks_like(candidate: ModelCandidate, excerpts: Excerpts, take: Row, settings: Sequence[Row]) -> str | None:
    """The setting at which the model comes nearest to the excerpt of `take`; None where that is its own."""
    dry, wet = excerpts.read(take)
    errors: dict[str, float] = {}
    for batch in batches([{**take, **setting} for setting in settings], copies=3):
        for row, output in zip(batch, candidate.outputs(batch, [dry] * len(batch)), strict=True):
            found = departure(output, wet, dry, int(take["sample_rate"]))
            errors[row["setting_id"]] = math.inf if found is None else math.hypot(found.mean_db, found.deviation_db)
    best = min(errors, key=errors.__getitem__)
    return None if best == take["setting_id"] else best

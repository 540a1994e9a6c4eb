"""Search for what a plugin's panel does not say: the same shift or factor of a parameter at every setting.

The bounds stand in the map under `fit`. What is made small is the error of the gain over time on excerpts of training
takes, by Powell's method, which needs no gradient and does not mind that plugins round their parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.pcm import Float32
from ..manifests.unit import Position
from .alignment import loudest
from .gain_trace import gain_trace_db, trace_rmse_db
from .plugin import PluginCandidate
from .take_audio import TakeReader, spread_evenly

EXCERPTS, EXCERPT_S = 12, 6.0
SKIPPED_S = 1.0  # of an excerpt: the plugin begins at rest, the unit did not
MOST_CALLS = 200


@dataclass(frozen=True)
class Fit:
    """`moves` by parameter, and the gain-trace error before and after, dB, of so many calls."""

    moves: dict[str, float]
    before_db: float
    after_db: float
    calls: int


@dataclass(frozen=True)
class _Excerpt:
    dry: Float32
    wet: Float32
    setting: dict[str, Position]
    sample_rate: int


def fit_plugin(
    dataset: Dataset,
    candidate: PluginCandidate,
    *,
    excerpts: int = EXCERPTS,
    most_calls: int = MOST_CALLS,
    report: Callable[[int, float], None] = lambda calls, error_db: None,
) -> Fit:
    """Find the moves of `candidate` and leave it at them. `report` hears the number of calls and the best error, dB."""
    from scipy.optimize import minimize

    searches = candidate.map.fit
    if not searches:
        raise UsageError(f"the map of {candidate.map.name} has nothing to fit", mend="add `fit:` with bounds")
    material = _excerpts(dataset, excerpts)
    calls, best = 0, (np.inf, {name: 1.0 if s.add is None else 0.0 for name, s in searches.items()})

    def error_db(numbers: npt.NDArray[np.float64]) -> float:
        nonlocal calls, best
        found = {
            name: float(number if search.add is not None else np.exp(number))
            for (name, search), number in zip(searches.items(), numbers, strict=True)
        }
        candidate.moves = found
        error = float(np.mean([_error_db(candidate, excerpt) for excerpt in material]))
        calls += 1
        if error < best[0]:
            best = (error, found)
            report(calls, error)
        return error

    bounds = [s.bounds if s.add is not None else (np.log(s.bounds[0]), np.log(s.bounds[1])) for s in searches.values()]
    start = np.clip(np.zeros(len(bounds)), *np.array(bounds).T)
    before = error_db(start)
    # each line search costs about ten calls, so the limit is looked at between them
    minimize(
        error_db, start, method="Powell", bounds=bounds, options={"maxfev": most_calls, "xtol": 1e-2, "ftol": 1e-3}
    )
    candidate.moves = best[1]
    return Fit(best[1], before, best[0], calls)


def _excerpts(dataset: Dataset, count: int) -> list[_Excerpt]:
    """The loudest 6 s of `count` training takes, spread evenly over settings."""
    table = dataset.pair_table("train").sort_values(["setting_id", "song_id", "unit_id"])
    if table.empty:
        raise DatasetError("no accepted take is in the split train", mend="type `buscomp split`")
    reader, found = TakeReader(dataset), []
    for take in spread_evenly(table.to_dict("records"), count):
        audio, rate = reader.read(take), int(take["sample_rate"])
        frames = round((EXCERPT_S + SKIPPED_S) * rate)
        begin = loudest(audio.dry, frames)
        piece = slice(begin, begin + frames)
        found.append(_Excerpt(audio.dry[piece], audio.wet[piece], dataset.unit.from_row(take), rate))
    return found


def _error_db(candidate: PluginCandidate, excerpt: _Excerpt) -> float:
    output = candidate.output(excerpt.setting, excerpt.dry, excerpt.sample_rate)
    skipped = round(SKIPPED_S * excerpt.sample_rate) if len(output) > 2 * SKIPPED_S * excerpt.sample_rate else 0
    dry, wet, output = excerpt.dry[skipped:], excerpt.wet[skipped:], output[skipped:]
    traces = (gain_trace_db(audio, dry, excerpt.sample_rate) for audio in (output, wet))
    return trace_rmse_db(*traces) or 0.0

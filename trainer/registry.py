"""The models that can be trained, by name. Each family of models lists its own in `ENTRIES`.

Paper A is Solid State Bus-Comp (2025), paper B "Modeling Analog Dynamic Range Compressors using Deep Learning and
State-space Models" (2024). Names hold the configuration: `s4-4-4` has 4 blocks of 4 modes, `gcn-10-3` 10 blocks of
kernel 3, `ssm-c32-f4` 32 channels of 4 modes.
"""

from __future__ import annotations

from typing import Any

from ..manifests.errors import UsageError
from . import gcn, greybox, lstm, physical, s4, ssm, tcn, tonetwist
from .entry import ALIGNMENTS, Entry, Options
from .state import StreamModel, parameter_count

ENTRIES: tuple[Entry, ...] = (
    *lstm.ENTRIES, *tcn.ENTRIES, *gcn.ENTRIES, *s4.ENTRIES, *ssm.ENTRIES,
    *greybox.ENTRIES, *tonetwist.ENTRIES, *physical.ENTRIES,
)  # fmt: skip
REGISTRY = {entry.name: entry for entry in ENTRIES}
ROWS = tuple((entry.name, conditioning) for entry in ENTRIES for conditioning in entry.conditionings)


def default_conditioning(name: str) -> str:
    """The last one of a model, which is TVFiLM for most; of an unknown model none."""
    return REGISTRY[name].conditionings[-1] if name in REGISTRY else ""


def build(name: str, conditioning: str, controls: int, dt_min: float = 1e-3, **options: Any) -> StreamModel:
    """A fresh model with its initial values, for `controls` numbers per setting. `options`: see `Options`."""
    if name not in REGISTRY:
        raise UsageError("no such model", got=name, allowed=REGISTRY)
    entry = REGISTRY[name]
    if conditioning not in entry.conditionings:
        raise UsageError(f"{name} has no such conditioning", got=conditioning, allowed=entry.conditionings)
    chosen = Options(dt_min=dt_min, **options)
    if chosen.alignment not in ALIGNMENTS:
        raise UsageError("no such alignment", got=chosen.alignment, allowed=ALIGNMENTS)
    return entry.build(conditioning, controls, chosen)


def listing() -> list[dict[str, object]]:
    """Every row: model, configuration, conditioning, look-ahead, and parameters at its paper's number of controls."""
    return [
        {
            "model": name,
            "configuration": REGISTRY[name].configuration,
            "conditioning": conditioning,
            "controls": REGISTRY[name].paper_controls,
            "params": parameter_count(model),
            "look_ahead_samples": model.look_ahead_samples,
        }
        for name, conditioning in ROWS
        for model in [build(name, conditioning, REGISTRY[name].paper_controls)]
    ]

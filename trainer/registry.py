"""The models that can be trained, by name.

Paper A is Solid State Bus-Comp (2025), paper B "Modeling Analog Dynamic Range Compressors using Deep Learning and
State-space Models" (2024). Names hold the configuration: `s4-4-4` has 4 blocks of 4 modes, `gcn-10-3` 10 blocks of
kernel 3, `ssm-c32-f4` 32 channels of 4 modes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..manifests.errors import UsageError
from .conditioning import Film, Tvfilm
from .gcn import Gcn
from .s4 import S4
from .ssm import Ssm
from .state import StreamModel, parameter_count

FILM, TVFILM = "film", "tvfilm"


@dataclass(frozen=True)
class Entry:
    """One name: what it is, which conditionings it has, for how many controls its paper counts, and how to build it
    from conditioning, controls and the smallest initial S4D step (which the convolutional ones ignore)."""

    name: str
    configuration: str
    conditionings: tuple[str, ...]
    paper_controls: int
    build: Callable[[str, int, float], StreamModel]


def _conditioner(conditioning: str, controls: int, features: int, layers: int) -> Film | Tvfilm:
    return (Film if conditioning == FILM else Tvfilm)(controls, features, layers)


def _s4(blocks: int, modes: int) -> Entry:
    def build(conditioning: str, controls: int, dt_min: float) -> StreamModel:
        return S4(controls, _conditioner(conditioning, controls, 16, blocks), blocks, modes, dt_min=dt_min)

    return Entry(f"s4-{blocks}-{modes}", f"paper A, {blocks} blocks, {modes} modes", (FILM, TVFILM), 4, build)


def _gcn(blocks: int, kernel: int, growth: int) -> Entry:
    def build(conditioning: str, controls: int, _: float) -> StreamModel:
        return Gcn(controls, _conditioner(conditioning, controls, 32, blocks), blocks, kernel, growth)

    described = f"paper A, {blocks} blocks, kernel {kernel}, dilation {growth}^i"
    return Entry(f"gcn-{blocks}-{kernel}", described, (FILM, TVFILM), 4, build)


def _ssm(width: int, modes: int) -> Entry:
    def build(_: str, controls: int, dt_min: float) -> StreamModel:
        return Ssm(controls, width, modes, dt_min)

    return Entry(f"ssm-c{width}-f{modes}", f"paper B, 4 blocks, width {width}, {modes} modes", (FILM,), 2, build)


ENTRIES = (
    _s4(4, 4), _s4(8, 32), _gcn(5, 7, 4), _gcn(10, 3, 2), _ssm(16, 4), _ssm(16, 8), _ssm(32, 4), _ssm(32, 8),
)  # fmt: skip
REGISTRY = {entry.name: entry for entry in ENTRIES}
ROWS = tuple((entry.name, conditioning) for entry in ENTRIES for conditioning in entry.conditionings)


def default_conditioning(name: str) -> str:
    """TVFiLM where the model has it, else FiLM."""
    return REGISTRY[name].conditionings[-1] if name in REGISTRY else TVFILM


def build(name: str, conditioning: str, controls: int, dt_min: float = 1e-3) -> StreamModel:
    """A fresh model with PyTorch's initial values, for `controls` numbers per setting."""
    if name not in REGISTRY:
        raise UsageError("no such model", got=name, allowed=REGISTRY)
    entry = REGISTRY[name]
    if conditioning not in entry.conditionings:
        raise UsageError(f"{name} has no such conditioning", got=conditioning, allowed=entry.conditionings)
    return entry.build(conditioning, controls, dt_min)


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

"""What a family of models tells the registry: each file of models ends with its `ENTRIES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .state import StreamModel

DELAYED, SAME = "delayed", "same"  # see blocks.py
ALIGNMENTS = (DELAYED, SAME)


@dataclass(frozen=True)
class Options:
    """What a model may be built with beyond its conditioning and its number of controls. Each family reads what it
    has a use for."""

    dt_min: float = 1e-3  # smallest initial step of S4D
    alignment: str = DELAYED  # of time-varying conditioning to the signal
    unit_gamma: bool = False  # TFiLM and TTFiLM: gamma is 1 plus what the conditioner says
    last_relu: bool = True  # TTFiLM: gamma and beta are not negative, as published
    sample_rate: int = 44_100  # Hz; for models whose parameters are times or frequencies
    control_names: Sequence[str] = ()  # where known; for models in which a knob does not reach everything


@dataclass(frozen=True)
class Entry:
    """One name: what it is, which conditionings it has (the last is the default), for how many controls its paper
    counts parameters, and how to build it from conditioning, number of controls and options."""

    name: str
    configuration: str
    conditionings: tuple[str, ...]
    paper_controls: int
    build: Callable[[str, int, Options], StreamModel]

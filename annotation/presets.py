"""Pairs of models that caption and organise, from presets.yaml: chosen by name, each part replaceable."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..manifests.errors import UsageError
from ..manifests.yaml_file import Strict, load_yaml

FILE = Path(__file__).with_name("presets.yaml")


class ServedModel(Strict):
    """A model and the address that serves it."""

    model: str
    base_url: str


class ServedListener(ServedModel):
    """A model that hears audio. `audio_part`: how a message carries it; servers differ."""

    sample_rate: int = Field(ge=8000, le=48000)
    audio_part: Literal["input_audio", "audio_url"] = "input_audio"


class Preset(Strict):
    """`name` is what is recorded beside the values."""

    what: str
    name: str
    listener: ServedListener
    organiser: ServedModel


class _Presets(Strict):
    presets: dict[str, Preset]


@cache
def presets() -> dict[str, Preset]:
    """All that are shipped."""
    return load_yaml(FILE, _Presets).presets


def preset_of(name: str) -> Preset:
    """The preset `name`; `UsageError` when there is none."""
    if name not in presets():
        raise UsageError("there is no such preset of models", got=name, allowed=presets())
    return presets()[name]

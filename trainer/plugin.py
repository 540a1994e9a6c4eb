"""A plugin as a system under evaluation: VST3 and, on a Mac, Audio Units, through pedalboard.

A plugin is a program that runs inside this one. Load only what you would install.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.pcm import Float32
from ..manifests.unit import Position
from .plugin_map import PluginMap, Value, load_plugin_map
from .systems import System
from .take_audio import Row

BUILT_IN = "pedalboard:"
BUFFER_FRAMES = 8192
SETTLE_S = 0.2  # of silence after a parameter was turned: many plugins slide to a new value


class Plugin:
    """The plugin at `where`: a file, or `pedalboard:Compressor` for one that is built in. It is loaded once."""

    def __init__(self, where: str):
        import pedalboard

        self._where, kind = where, where.removeprefix(BUILT_IN)
        if where.startswith(BUILT_IN):
            found = getattr(pedalboard, kind, None)
            if not (isinstance(found, type) and issubclass(found, pedalboard.Plugin)):
                raise UsageError("pedalboard has no such plugin", got=kind)
            self._plugin: Any = found()
            self._names = {name for name in dir(found) if isinstance(getattr(found, name), property)}
            return
        if not Path(where).exists():
            raise UsageError(f"no such plugin: {where}")
        try:
            self._plugin = pedalboard.load_plugin(where)
        except (ImportError, ValueError) as error:  # a file of many plugins, of another system, of no plugin
            raise UsageError(f"{where} cannot be loaded as a plugin: {str(error).splitlines()[-1].strip()}") from error
        self._names = set(self._plugin.parameters)

    def set(self, parameters: Mapping[str, Value]) -> None:
        """Bring it to `parameters`; `UsageError` for one that it lacks, or a value that it does not take."""
        for name, value in parameters.items():
            if name not in self._names:
                raise UsageError(f"{self._where} has no such parameter", got=name, allowed=sorted(self._names))
            try:
                setattr(self._plugin, name, value)
            except (ValueError, TypeError) as error:
                raise UsageError(f"{self._where} refuses {name}: {error}", mend="give limits in the map") from error

    def process(self, audio: Float32, sample_rate: int, separate: bool = False) -> Float32:
        """`audio` (frames, channels) from silence, as long and aligned as pedalboard can tell: the latency that the
        plugin reports is taken out. `separate`: each channel by itself."""
        if separate:
            return np.concatenate(
                [self.process(audio[:, channel : channel + 1], sample_rate) for channel in range(audio.shape[1])],
                axis=1,
            )
        silence = np.zeros((audio.shape[1], round(SETTLE_S * sample_rate)), np.float32)
        try:
            for piece in (silence, np.ascontiguousarray(audio.T)):
                output = self._plugin.process(piece, sample_rate, buffer_size=BUFFER_FRAMES, reset=True)
        except ValueError as error:  # a mono plugin
            raise UsageError(f"{self._where}: {error}", mend="say `channels: separate` in the map") from error
        return np.ascontiguousarray(output.T, np.float32)


class PluginCandidate:
    """The plugin of a map, at the setting of each take, with the `moves` that a fit found."""

    def __init__(self, dataset: Dataset, map_path: Path, where: str | None = None):
        self._unit = dataset.unit
        self.map: PluginMap = load_plugin_map(map_path, dataset.unit)
        chosen = where or self.map.plugin
        if chosen is None:
            raise UsageError(f"{map_path.name} does not name a plugin", mend="add `plugin: FILE`, or say --plugin FILE")
        self._plugin, self._map_name = Plugin(chosen), map_path.name
        self.moves: dict[str, float] = {}

    @property
    def system(self) -> System:
        """Its parameters are those that were fitted, its checkpoint is the map."""
        return System(self.map.name, None, len(self.moves), self._map_name)

    def outputs(self, takes: Sequence[Row], dry: Sequence[Float32]) -> list[Float32]:
        return [
            self.output(self._unit.from_row(take), audio, int(take["sample_rate"]))
            for take, audio in zip(takes, dry, strict=True)
        ]

    def output(self, setting: Mapping[str, Position], audio: Float32, sample_rate: int) -> Float32:
        """`audio` (frames, channels) at `setting` (control -> position)."""
        self._plugin.set(self.map.parameters(setting, self.moves))
        return self._plugin.process(audio, sample_rate, self.map.channels == "separate")

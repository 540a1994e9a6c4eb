"""Which songs are played at which setting.

    full                  every song at every setting
    balanced-incomplete   every setting on a block of songs, and the blocks rotate over all songs

In the second, every song stands equally often (give or take one) in the whole, in the grid, and in the random
settings, no song is tied to a knob, and any two songs meet about as often as any other two (`blocks`). The same songs
and settings give the same design for ever. What is planned already is never changed: new settings are balanced
against it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from ..manifests.unit import Setting
from ..manifests.yaml_file import Strict
from .blocks import Blocks, Songs


class Design(Strict):
    """`design: full`, or balanced incomplete blocks, by songs a setting or by hours of songs in all."""

    kind: Literal["full", "balanced-incomplete"] = "full"
    songs_per_setting: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Design:
        sizes = self.model_fields_set & {"songs_per_setting", "hours"}
        if self.kind == "full" and self.model_fields_set - {"kind"}:
            raise ValueError("a full design has every song at every setting: leave the rest out")
        if self.kind == "balanced-incomplete" and len(sizes) != 1:
            raise ValueError("a balanced-incomplete design needs either songs_per_setting or hours")
        return self

    def songs_by_setting(
        self,
        songs: Mapping[str, float],
        settings: Sequence[Setting],
        planned: Mapping[str, Collection[str]] | None = None,
    ) -> dict[str, Songs]:
        """The songs of each setting, by setting_id, in the order of `songs` (song_id: seconds).

        `settings` come in the order of the grid file, not of the visits. `planned` holds what an earlier plan has
        laid down: it stays, and a block grows when the design wants more songs at a setting. With fewer songs than a
        block has places, a block is all songs. `ValueError` when `hours` are less than one song a setting."""
        every = tuple(songs)
        planned = planned or {}
        if self.kind == "full" or not songs:
            return {setting.setting_id: every for setting in settings}
        sizes = self._sizes(songs, len(settings))
        return Blocks(every, settings, self.seed).fill(sizes, planned)

    def _sizes(self, songs: Mapping[str, float], settings: int) -> list[int]:
        """Songs at each setting: the same at all of them, or one more at some, so that the hours come out."""
        if self.songs_per_setting is not None:
            return [min(self.songs_per_setting, len(songs))] * settings
        assert self.hours is not None
        mean_s = sum(songs.values()) / len(songs)
        takes = round(self.hours * 3600 / mean_s)
        if takes < settings:
            least = math.ceil(settings * mean_s / 360) / 10
            raise ValueError(f"{self.hours:g} hours are less than one song at each setting, which takes {least:g}")
        takes = min(takes, settings * len(songs))
        return [(place + 1) * takes // settings - place * takes // settings for place in range(settings)]


def song_counts(by_setting: Mapping[str, Songs]) -> Counter[str]:
    """At how many settings each song is played."""
    return Counter(song for songs in by_setting.values() for song in songs)

"""The plan: songs x settings in visiting order, what it costs, and a hash that says whether two plans are the same."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..manifests.schema import ACCEPTED
from ..manifests.unit import Setting, Unit
from .grid import Grid
from .order import move_cost_s, moves, visit_order
from .settling import settle_s

Row = dict[str, Any]
OVERHEAD_S_PER_TAKE = 1.8  # probes before and after the song, and the gaps around them
FLAC_RATIO = 0.60  # of 24-bit PCM; music at -12 dBFS lies between 0.5 and 0.7
BYTES_PER_SAMPLE = 3


@dataclass(frozen=True)
class Plan:
    """What is to be captured. Setting-major: all songs at a setting (a pass), then the next setting."""

    unit: Unit
    settings: tuple[Setting, ...]  # in visiting order
    songs: tuple[Mapping[str, Any], ...]  # accepted rows of `songs`
    combinations: int  # what the grid's factors multiply to, before its exclude rules
    sha256: str  # of what is captured, whatever the order: settings, dry audio, unit

    @property
    def settings_rows(self) -> list[Row]:
        """Rows of the table `settings`."""
        rows = []
        for place, setting in enumerate(self.settings):
            turned = moves(self.settings[place - 1], setting) if place else 0
            rows.append(
                {
                    "setting_id": setting.setting_id,
                    "origin": setting.origin,
                    **self.unit.to_row(setting.values),
                    "visit_order": place,
                    "moves_from_previous": turned,
                }
            )
        return rows

    @property
    def takes_rows(self) -> list[Row]:
        """What `Journal.plan` takes, in order: the journal gives each take its place and its id."""
        return [
            {"song_id": song["song_id"], "setting_id": setting.setting_id, "unit_id": self.unit.unit_id}
            for setting in self.settings
            for song in self.songs
        ]

    def summary(self, overhead_s_per_take: float = OVERHEAD_S_PER_TAKE) -> dict[str, Any]:
        """Counts, hours and bytes of the whole plan.

        `hours` is the unit at work: songs, the silence in which it forgets (`settling.settle_s`), and
        `overhead_s_per_take`. `operator_hours` is the turning of knobs between the passes; `days_continuous` is both,
        round the clock. `wet_bytes` takes FLAC for 0.60 of 24-bit PCM. A move counts for the origin of the setting
        that it arrives at."""
        moved: Counter[str] = Counter({"grid": 0, "random": 0})
        operator_s = 0.0
        for before, after in pairwise(self.settings):
            moved[after.origin] += moves(before, after)
            operator_s += move_cost_s(before, after, self.unit)
        songs_s = sum(song["frames"] / song["sample_rate"] for song in self.songs)
        settling_s = len(self.songs) * sum(settle_s(self.unit, setting.values) for setting in self.settings)
        takes = len(self.songs) * len(self.settings)
        hours = (songs_s * len(self.settings) + settling_s + takes * overhead_s_per_take) / 3600
        pcm_bytes = sum(song["frames"] * song["channels"] * BYTES_PER_SAMPLE for song in self.songs)
        by_origin = Counter(setting.origin for setting in self.settings)
        return {
            "takes": takes,
            "songs": len(self.songs),
            "settings_by_origin": {"grid": by_origin["grid"], "random": by_origin["random"]},
            "combinations": self.combinations,
            "moves": {**moved, "total": moved.total()},
            "hours": hours,
            "settling_hours": settling_s / 3600,
            "operator_hours": operator_s / 3600,
            "days_continuous": (hours + operator_s / 3600) / 24,
            "wet_bytes": round(pcm_bytes * len(self.settings) * FLAC_RATIO),
        }


def make_plan(songs: Iterable[Mapping[str, Any]], grid: Grid, unit: Unit) -> Plan:
    """The plan for rows of the table `songs` (quarantined ones are left out) on `grid`. `UsageError` when the grid
    does not fit the unit or does not keep its promises. No songs is a plan too, of settings and moves."""
    settings = visit_order(grid.settings(unit), unit)
    accepted = tuple(song for song in songs if song["status"] == ACCEPTED)
    return Plan(unit, tuple(settings), accepted, grid.combinations, _plan_sha256(accepted, settings, unit))


def _plan_sha256(songs: Iterable[Mapping[str, Any]], settings: Iterable[Setting], unit: Unit) -> str:
    """Hash of canonical JSON. Labels, costs and the order are not in it: they may be corrected during a capture,
    and a later buscomp may find a shorter way, without making it another plan."""
    document = {
        "settings": {s.setting_id: {"origin": s.origin, "values": dict(s.values)} for s in settings},
        "songs": {song["song_id"]: song["dry_sha256"] for song in songs},
        "unit": unit.unit_id,
        "controls": {
            name: {"positions": control.positions, "held": control.held, "panel_offset": control.panel_offset}
            for name, control in unit.controls.items()
        },
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

"""The plan: songs x settings in visiting order, what it costs, and a hash that says whether two plans are the same."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import cached_property
from itertools import pairwise
from typing import Any

from ..manifests.schema import ACCEPTED
from ..manifests.unit import Setting, Unit
from .blocks import Songs
from .grid import Grid
from .order import BLOCK, move_cost_s, moves, path_cost_s, visit_order
from .settling import settle_s
from .shifts import Campaign, Pass, simulate
from .visits import Visit, calibration_settings, visits

Row = dict[str, Any]
OVERHEAD_S_PER_TAKE = 1.8  # probes before and after the song, and the gaps around them
FINGERPRINT_S = 4.4  # the signal alone; probes and settling come on top
FLAC_RATIO = 0.60  # of 24-bit PCM; music at -12 dBFS lies between 0.5 and 0.7
BYTES_PER_SAMPLE = 3


@dataclass(frozen=True)
class Plan:
    """What is to be captured. Setting-major: all songs of a setting (a pass), then the next setting."""

    unit: Unit
    units: tuple[str, ...]  # unit_ids: everything is captured with each of them, at once
    grid: Grid
    settings: tuple[Setting, ...]  # in visiting order
    songs: tuple[Mapping[str, Any], ...]  # accepted rows of `songs`
    songs_by_setting: Mapping[str, Songs]  # song_ids, by setting_id
    anchor: Setting | None  # where drift is watched
    calibration: tuple[Setting, ...]  # visited before the first pass
    sha256: str  # of what is captured, whatever the order: settings, dry audio, units, design

    @property
    def settling(self) -> str:
        """The policy of `settling.settle_s`."""
        return self.grid.settling

    @property
    def fingerprint(self) -> bool:
        """Whether knobs are checked by ear."""
        return self.grid.fingerprint

    @property
    def anchor_every(self) -> int:
        """Passes from anchor to anchor."""
        return self.grid.anchor.every if self.grid.anchor else BLOCK

    @property
    def combinations(self) -> int:
        """What the grid's factors multiply to, before its exclude rules."""
        return self.grid.combinations

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """All visits, from the first to the last."""
        return visits(self)

    @property
    def visited_settings(self) -> tuple[Setting, ...]:
        """Every setting at which anything is played, calibrations and anchor too, each once."""
        extra = {setting.setting_id: setting for setting in (*self.calibration, *filter(None, [self.anchor]))}
        return tuple((extra | {setting.setting_id: setting for setting in self.settings}).values())

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
            {"song_id": song_id, "setting_id": setting.setting_id, "unit_id": unit_id}
            for setting in self.settings
            for song_id in self.songs_by_setting[setting.setting_id]
            for unit_id in self.units
        ]

    @cached_property
    def durations_s(self) -> dict[str, float]:
        """How long each song is, by song_id."""
        return {song["song_id"]: song["frames"] / song["sample_rate"] for song in self.songs}

    def songs_s(self, setting: Setting) -> float:
        """How long all songs of a setting are together."""
        return sum(self.durations_s[song_id] for song_id in self.songs_by_setting[setting.setting_id])

    def pass_s(self, setting: Setting, song_ids: Collection[str], overhead_s_per_take: float) -> float:
        """How long `song_ids` take at `setting`, with settling and probes, without fingerprints."""
        silence_s = settle_s(self.unit, setting.values, self.settling)
        return sum(self.durations_s[song_id] + silence_s + overhead_s_per_take for song_id in song_ids)

    def fingerprint_s(self, setting: Setting, overhead_s: float = OVERHEAD_S_PER_TAKE) -> float:
        """How long one fingerprint takes at `setting`; 0 where none are played."""
        return FINGERPRINT_S + overhead_s + settle_s(self.unit, setting.values) if self.fingerprint else 0.0

    def passes(
        self,
        overhead_s_per_take: float = OVERHEAD_S_PER_TAKE,
        left: Sequence[Visit] | None = None,
        songs_left: Mapping[str, Collection[str]] | None = None,
    ) -> list[Pass]:
        """What the calendar has to place: each pass with the turning and the fingerprints before it. Of a capture that
        has begun: the visits that are `left`, and the `songs_left` of each setting."""
        found = []
        attended_s = 0.0
        before: Setting | None = None
        for visit in self.visits if left is None else left:
            attended_s += self.fingerprint_s(visit.setting)
            attended_s += move_cost_s(before, visit.setting, self.unit) if before else 0.0
            before = visit.setting
            if visit.kind == "pass":
                song_ids = (songs_left or self.songs_by_setting)[visit.setting.setting_id]
                alone_s = self.pass_s(visit.setting, song_ids, overhead_s_per_take) + self.fingerprint_s(visit.setting)
                found.append(Pass(attended_s, alone_s))
                attended_s = 0.0
        return [*found, Pass(attended_s, 0.0)] if attended_s else found

    def campaign(self, hands_free: bool = False, overhead_s_per_take: float = OVERHEAD_S_PER_TAKE) -> Campaign | None:
        """How the capture goes by the calendar of the grid; None where it has none. `hands_free`: the panel turns
        itself, and nobody is waited for."""
        shifts = self.grid.shifts
        if shifts is None:
            return None
        start = datetime.combine(shifts.start, time())
        return simulate(self.passes(overhead_s_per_take), None if hands_free else shifts, start)

    def summary(self, overhead_s_per_take: float = OVERHEAD_S_PER_TAKE, hands_free: bool = False) -> dict[str, Any]:
        """Counts, hours and bytes of the whole plan.

        `hours` is the unit at work: songs, the silence in which it forgets (`settling.settle_s`),
        `overhead_s_per_take`, and fingerprints. `operator_hours` is the turning of knobs; `days_continuous` is both,
        round the clock; `calendar` is what the operator's shifts make of it. `wet_bytes` takes FLAC for 0.60 of 24-bit
        PCM. Moves count for the origin of the setting that a pass arrives at; those on the way to anchors and
        calibrations are `extra`."""
        moved: Counter[str] = Counter({"grid": 0, "random": 0})
        for before, after in pairwise(self.settings):
            moved[after.origin] += moves(before, after)
        way = [visit.setting for visit in self.visits]
        moved["extra"] = sum(moves(before, after) for before, after in pairwise(way)) - moved.total()
        operator_s = path_cost_s(way, self.unit)
        every = [song["song_id"] for song in self.songs]
        songs_s = settling_s = full_s = 0.0
        for setting in self.settings:
            song_ids = self.songs_by_setting[setting.setting_id]
            songs_s += self.pass_s(setting, song_ids, overhead_s_per_take)
            full_s += self.pass_s(setting, every, overhead_s_per_take)
            settling_s += len(song_ids) * settle_s(self.unit, setting.values, self.settling)
        kinds = Counter(visit.kind for visit in self.visits)
        passes_s = sum(2 * self.fingerprint_s(setting) for setting in self.settings) if self.songs else 0.0
        extra_s = sum(self.fingerprint_s(v.setting) for v in self.visits if v.kind in ("calibration", "anchor"))
        hours = (songs_s + passes_s + extra_s) / 3600
        played = Counter(song_id for song_ids in self.songs_by_setting.values() for song_id in song_ids)
        bytes_of = {s["song_id"]: s["frames"] * s["channels"] * BYTES_PER_SAMPLE for s in self.songs}
        pcm_bytes = len(self.units) * sum(bytes_of[song_id] * times for song_id, times in played.items())
        by_origin = Counter(setting.origin for setting in self.settings)
        return {
            "takes": played.total() * len(self.units),
            "songs": len(self.songs),
            "units": len(self.units),
            "settings_by_origin": {"grid": by_origin["grid"], "random": by_origin["random"]},
            "combinations": self.combinations,
            "order": self.grid.order,
            "design": self.grid.design.kind,
            "moves": {**moved, "total": moved.total()},
            "anchors": kinds["anchor"],
            "calibrations": kinds["calibration"],
            "hours": hours,
            "settling_hours": settling_s / 3600,
            "fingerprint_s_per_pass": passes_s / len(self.settings) if self.settings else 0.0,
            "fingerprint_hours": (passes_s + extra_s) / 3600,
            "extra_visits_hours": extra_s / 3600,
            "hours_saved_by_design": (full_s - songs_s) / 3600,
            "operator_hours": operator_s / 3600,
            "days_continuous": (hours + operator_s / 3600) / 24,
            "calendar": _told(self.campaign(hands_free, overhead_s_per_take)) if self.songs else None,
            "wet_bytes": round(pcm_bytes * FLAC_RATIO),
        }


def make_plan(
    songs: Iterable[Mapping[str, Any]],
    grid: Grid,
    unit: Unit,
    units: tuple[str, ...] = (),
    planned: Mapping[str, Collection[str]] | None = None,
) -> Plan:
    """The plan for rows of the table `songs` (quarantined ones are left out) on `grid`.

    `units` are the unit_ids at the rack, `unit` alone where nothing is said. `planned` holds the song_ids that an
    earlier plan of this dataset has laid down for a setting (`planned_songs`): a design that leaves songs out does not
    change them. `UsageError` when the grid does not fit the unit or does not keep its promises. No songs is a plan
    too, of settings and moves."""
    as_written = grid.settings(unit)
    accepted = tuple(song for song in songs if song["status"] == ACCEPTED)
    anchor = grid.anchor_setting(unit, as_written)
    anchor = next((setting for setting in as_written if anchor and setting.setting_id == anchor.setting_id), anchor)
    calibration = calibration_settings(unit, as_written, grid.calibrated_controls(unit))
    block = grid.anchor.every if grid.anchor else BLOCK
    ordered = visit_order(as_written, unit, grid.order, seed=grid.order_seed, block=block, anchor=anchor)
    by_setting = grid.songs_by_setting(accepted, as_written, planned)
    unit_ids = units or (unit.unit_id,)
    return Plan(
        unit=unit,
        units=unit_ids,
        grid=grid,
        settings=tuple(ordered),
        songs=accepted,
        songs_by_setting=by_setting,
        anchor=anchor,
        calibration=calibration,
        sha256=_plan_sha256(accepted, ordered, unit, unit_ids, by_setting),
    )


def planned_songs(takes: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """What rows of `takes` say was planned: song_ids by setting_id."""
    found: dict[str, set[str]] = {}
    for take in takes:
        found.setdefault(take["setting_id"], set()).add(take["song_id"])
    return found


def _told(campaign: Campaign | None) -> dict[str, Any] | None:
    """A campaign as a part of the summary."""
    if campaign is None:
        return None
    return {
        "start": campaign.start.isoformat(timespec="minutes"),
        "finish": campaign.finish.isoformat(timespec="minutes"),
        "days": campaign.days,
        "duty": campaign.duty,
        "waiting_hours": campaign.waiting_s / 3600,
        "operator_visits": campaign.visits,
    }


def _plan_sha256(
    songs: Collection[Mapping[str, Any]],
    settings: Iterable[Setting],
    unit: Unit,
    units: tuple[str, ...],
    by_setting: Mapping[str, Songs],
) -> str:
    """Hash of canonical JSON. Labels, costs and the order are not in it: they may be corrected during a capture,
    and a later buscomp may find a shorter way, without making it another plan."""
    document: dict[str, Any] = {
        "settings": {s.setting_id: {"origin": s.origin, "values": dict(s.values)} for s in settings},
        "songs": {song["song_id"]: song["dry_sha256"] for song in songs},
        "unit": unit.unit_id if units == (unit.unit_id,) else sorted(units),
        "controls": {
            name: {"positions": control.positions, "held": control.held, "panel_offset": control.panel_offset}
            for name, control in unit.controls.items()
        },
    }
    if any(len(song_ids) < len(songs) for song_ids in by_setting.values()):
        document["design"] = {setting_id: sorted(song_ids) for setting_id, song_ids in by_setting.items()}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

"""Earlier visits of one unit: what its settings looked like when they were trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..manifests.unit import Position, Setting
from .fingerprint import Fingerprint

MATCH: Final = "match"
MISMATCH: Final = "mismatch"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Visit:
    """One trusted fingerprint of one setting."""

    setting_id: str
    values: Mapping[str, Position]  # every control of the unit
    fingerprint: Fingerprint


@dataclass(frozen=True)
class References:
    """The trusted visits of one unit, oldest first."""

    unit_id: str
    visits: tuple[Visit, ...] = ()

    @classmethod
    def from_rows(cls, unit_id: str, rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Setting]) -> References:
        """From rows of the table `fingerprints`, of this unit and of `settings`, oldest first.

        A visit is trusted when its verdict was match, or unknown (the first visit of a setting has nothing to be
        compared with), or when a person took it against the verdict."""
        return cls(
            unit_id,
            tuple(
                Visit(
                    row["setting_id"],
                    settings[row["setting_id"]].values,
                    Fingerprint.from_texts(row["features"]),
                )
                for row in rows
                if row["unit_id"] == unit_id
                and row["setting_id"] in settings
                and (row["verdict"] in (MATCH, UNKNOWN) or row.get("override_reason"))
            ),
        )

    def with_visit(self, setting: Setting, fingerprint: Fingerprint) -> References:
        """These and one more."""
        return replace(self, visits=(*self.visits, Visit(setting.setting_id, setting.values, fingerprint)))

    def of(self, setting_id: str) -> tuple[Visit, ...]:
        """Visits of one setting, oldest first."""
        return tuple(visit for visit in self.visits if visit.setting_id == setting_id)

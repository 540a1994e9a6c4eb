"""What stands at the rack: the units, who turns each of them, and where each one's audio returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..manifests.pcm import Float32
from ..manifests.unit import Unit
from .calibration import Calibration
from .device import DeviceProfile
from .panel import Panel


@dataclass(frozen=True)
class RackUnit:
    """One unit, as a session sees it."""

    unit: Unit  # with its own serial
    panel: Panel
    returns: tuple[int, ...]  # columns of a recording
    cv: tuple[int, ...] = ()  # columns with its gain-control voltage
    folder: str | None = None  # of its takes below `wet/`: its unit_id where there are several units
    noise_floor_dbfs: float | None = None  # of its louder return, as it was calibrated

    @property
    def unit_id(self) -> str:
        return self.unit.unit_id


def units_of(profile: DeviceProfile, unit: Unit) -> tuple[Unit, ...]:
    """The units on the device: `unit` itself, or one of its model for every serial that the profile names."""
    if not profile.units:
        return (unit,)
    return tuple(unit.model_copy(update={"serial": place.serial}) for place in profile.units)


def rack_of(
    profile: DeviceProfile, units: Sequence[Unit], panels: Sequence[Panel], calibration: Calibration | None
) -> tuple[RackUnit, ...]:
    """Every unit with its panel and its columns."""
    wiring = profile.wiring
    rack = []
    for number, (unit, panel) in enumerate(zip(units, panels, strict=True)):
        measured = calibration.of_unit(unit.serial if profile.units else None) if calibration else ()
        rack.append(
            RackUnit(
                unit=unit,
                panel=panel,
                returns=wiring.returns[number],
                cv=wiring.cv[number],
                folder=unit.unit_id if profile.units else None,
                noise_floor_dbfs=max((way.noise_dbfs for way in measured), default=None),
            )
        )
    return tuple(rack)


def columns_of(audio: Float32, columns: Sequence[int]) -> Float32:
    """Some columns of `audio` (frames, inputs); no copy where they are neighbours."""
    first = columns[0]
    if list(columns) == list(range(first, first + len(columns))):
        return audio[:, first : first + len(columns)]
    return audio[:, list(columns)]

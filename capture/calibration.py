"""A calibration: what device, cables and levels were measured to be, and the file that keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError
from ..manifests.storage import write_text

FILE = "calibration.json"
Response = tuple[tuple[float, float], ...]  # (hz, db): gain of thirds of an octave


@dataclass(frozen=True)
class MeasuredReturn:
    """One way through the rack: from a send to its return."""

    serial: str  # of the unit on the way; `loopback` where there is none
    send: int  # output channel of the device, from 1
    channel: int  # input channel
    latency_samples: float
    latency_std_samples: float  # of one chirp, from the scatter of them all
    gain_db: float  # 2-15 kHz, at -46 dBFS
    inverted: bool
    noise_dbfs: float  # RMS, without DC and mains hum
    hum_dbfs: float  # RMS of the first harmonics of the mains
    mains_hz: float  # 50 or 60
    dc_offset: float  # of full scale
    crosstalk_db: float | None  # loudest other send re the own one; None where there is no other
    response: Response  # gain in dB, send to return


@dataclass(frozen=True)
class Calibration:
    """All that `buscomp calibrate` found."""

    device: str
    host_api: str
    sample_rate: int  # Hz
    block_size: int  # frames
    measured_at: datetime  # UTC
    operator: str
    buscomp_version: str
    returns: tuple[MeasuredReturn, ...]
    loopback: MeasuredReturn | None = None
    tone_dbfs: float | None = None  # peak of the 1 kHz tone that the meter read
    meter_dbu: float | None = None  # the reading at the unit's input
    return_meter_dbu: float | None = None  # the reading at the unit's output, if there was one
    dbu_at_0dbfs_out: float | None = None  # None: no meter was read
    dbu_at_0dbfs_in: float | None = None
    assumed: str = ""  # what dbu_at_0dbfs_in rests on
    remarks: tuple[str, ...] = ()  # what a person should look at

    def of_unit(self, serial: str | None = None) -> tuple[MeasuredReturn, ...]:
        """The returns of one unit, left first; without `serial` those of the first."""
        serial = self.returns[0].serial if serial is None else serial
        return tuple(way for way in self.returns if way.serial == serial)

    def age_s(self, now: datetime | None = None) -> float:
        """How long ago it was made."""
        return ((now or datetime.now(UTC)) - self.measured_at).total_seconds()

    def to_document(self) -> dict[str, Any]:
        """All of it as plain values."""
        document: dict[str, Any] = _ONE.dump_python(self, mode="json")
        return document

    def to_json(self) -> str:
        """All of it as one JSON object."""
        return _ONE.dump_json(self).decode()


_ONE = TypeAdapter(Calibration)
_ALL = TypeAdapter(tuple[Calibration, ...])


def calibrations(dataset: Dataset) -> tuple[Calibration, ...]:
    """Every calibration of the dataset, oldest first. `DatasetError` when the file is not ours."""
    path = dataset.root / FILE
    try:
        return _ALL.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DatasetError(
            f"{FILE} is not what buscomp calibrate writes: {where + ': ' if where else ''}{first['msg']}",
            mend="restore it, or delete it and calibrate again",
        ) from None


def load_calibration(dataset: Dataset, device: str) -> Calibration | None:
    """The newest calibration of `device` in the dataset."""
    return next((one for one in reversed(calibrations(dataset)) if one.device == device), None)


def save_calibration(dataset: Dataset, calibration: Calibration) -> None:
    """Put `calibration` behind the earlier ones, which stay; one a line. All or nothing."""
    lines = [one.to_json() for one in (*calibrations(dataset), calibration)]
    write_text(dataset.root / FILE, "[\n" + ",\n".join(lines) + "\n]\n")

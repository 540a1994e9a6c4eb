"""Which audio device a capture runs on: device profiles, and how one device is found by its name.

`--device NAME` is a device profile (`NAME.yaml` in the dataset, in the user's configuration folder, or shipped),
else a part of the name that the system gives the device. Devices go by name, never by number: numbers change
whenever something is plugged in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..manifests.errors import DeviceError, UsageError, did_you_mean
from ..manifests.levels import RETURN_TRIM_DB, SEND_BOOST_DB
from ..manifests.yaml_file import Strict, load_yaml
from .panel import PanelChoice
from .profiles import find_profile, profile_names
from .wiring import Wiring

SEE_DEVICES = "type `buscomp devices`"
Channel = Annotated[int, Field(ge=1, le=256)]


class UnitPlace(Strict):
    """Where one of several units of the same model hangs on the device."""

    serial: str = Field(min_length=1)
    returns: tuple[Channel, ...] = Field(min_length=1)  # input channels from this unit
    sends: tuple[Channel, ...] = ()  # output channels to it; none: the profile's, split outside to every unit
    cv_returns: tuple[Channel, ...] = ()  # input channels with its gain-control voltage
    panel: PanelChoice | None = None  # who turns its knobs; none: as the profile says


class DeviceProfile(Strict):
    """How an audio device is used: what `NAME.yaml` holds."""

    kind: Literal["portaudio", "virtual"] = "portaudio"
    match: str = ""  # part of the system's name of the device, in any case
    host_api: str | None = None  # part of the audio system's name (JACK, ALSA, ASIO, Core Audio); null: any
    sample_rate: int = Field(default=44100, ge=8000, le=192000)  # Hz
    block_size: int = Field(default=1024, ge=16, le=16384)  # frames per callback
    sends: tuple[Channel, ...] = Field(default=(1, 2), min_length=1)  # output channels to the unit, counted from 1
    returns: tuple[Channel, ...] = Field(default=(1, 2), min_length=1)  # input channels from the unit
    cv_returns: tuple[Channel, ...] = ()  # DC-coupled input channels with the unit's gain-control voltage
    panel: PanelChoice = PanelChoice()  # who turns the knobs
    units: tuple[UnitPlace, ...] = ()  # several units at once; none: one unit between sends and returns
    loopback_send: Channel | None = None  # an output wired straight to an input
    loopback_return: Channel | None = None  # that input
    dbu_at_0dbfs_out: float | None = None  # level at the unit's input for digital full scale; null until calibrated
    dbu_at_0dbfs_in: float | None = None  # level at the return that reads full scale; null until calibrated
    send_boost_db: float = SEND_BOOST_DB  # digital boost of dry before the converter
    return_trim_db: float = RETURN_TRIM_DB  # digital trim of the return before it is stored
    max_latency_samples: int = Field(default=8192, ge=0, le=1 << 20)  # longest round trip that is looked for
    device_wait_s: float = Field(default=600.0, ge=0)  # how long a device that died is waited for
    alarm: tuple[str, ...] = ()  # a command that is run when a person is needed: docs/how-to/daemon.md

    # for kind: virtual
    latency_samples: float = Field(default=137.37, ge=0)  # of the simulated converters
    noise_dbfs: float = Field(default=-100.0, le=0)  # noise at the return, RMS
    seed: int = 1  # of that noise
    pace: float | None = Field(default=None, gt=0, le=1000)  # so many times as fast as real time; null: at once
    specimen_seed: int | None = None  # which simulated specimen: tolerances, harmonics; null: the ideal one
    warm_up_degc: float = Field(default=0.0, ge=0, le=100)  # how far it warms up from the begin of a stream

    @model_validator(mode="after")
    def _check(self) -> DeviceProfile:
        if self.kind == "portaudio" and not self.match.strip():
            raise ValueError("match must be a part of the device's name")
        if (self.loopback_send is None) != (self.loopback_return is None):
            raise ValueError("loopback_send and loopback_return go together")
        if self.units and self.cv_returns:
            raise ValueError("with several units each has cv_returns of its own")
        serials = [place.serial for place in self.units]
        if len(set(serials)) != len(serials):
            raise ValueError("two units have the same serial")
        for place in self.places:
            if len(set(place.sends)) != len(place.sends):
                raise ValueError("sends must not name a channel twice")
            if len(place.sends) != len(self.sends):
                raise ValueError("every unit needs as many sends as the profile")
            if len(place.returns) != len(self.sends):
                raise ValueError("a unit needs as many returns as sends")
            if self.loopback_send in place.sends:
                raise ValueError("the loopback pair must not use a channel of the unit")
        inputs = [channel for place in self.places for channel in (*place.returns, *place.cv_returns)]
        if len(set(inputs)) != len(inputs):
            raise ValueError("returns must not name a channel twice")
        if self.loopback_return in inputs:
            raise ValueError("the loopback pair must not use a channel of the unit")
        return self

    @property
    def places(self) -> tuple[UnitPlace, ...]:
        """Every unit on the device with its own channels; one without a serial of its own where `units` is empty."""
        if not self.units:
            return (UnitPlace(serial="-", returns=self.returns, sends=self.sends, cv_returns=self.cv_returns),)
        return tuple(place.model_copy(update={"sends": place.sends or self.sends}) for place in self.units)

    @property
    def wiring(self) -> Wiring:
        """Which column of what is sent and of what returns belongs to which channel of the device."""
        return Wiring.of(
            sends=tuple(place.sends for place in self.places),
            returns=tuple(place.returns for place in self.places),
            cv_returns=tuple(place.cv_returns for place in self.places),
            loopback=None
            if self.loopback_send is None or self.loopback_return is None
            else (self.loopback_send, self.loopback_return),
        )


@dataclass(frozen=True)
class AudioDevice:
    """One device as the system lists it."""

    name: str
    host_api: str
    sends: int  # output channels
    returns: int  # input channels
    sample_rate: int  # Hz, its default


def resolve_device(name: str, dataset_root: Path) -> tuple[str, DeviceProfile]:
    """The device's name as the user gave it, and its profile.

    A name without a profile gets the default profile of a PortAudio device whose name contains it; whether there is
    one is found out when it is opened.
    """
    if not name.strip():
        raise UsageError("the device must have a name", mend=SEE_DEVICES)
    path = find_profile(name, dataset_root, "device", missing_ok=True)
    if path is not None:
        return name, load_yaml(path, DeviceProfile)
    return name, DeviceProfile(match=name)


def choose_device(devices: Sequence[AudioDevice], profile: DeviceProfile) -> int:
    """Index of the one device that the profile means.

    A device whose whole name is `match` wins over those that only contain it. `UsageError` when none or several are
    left, `DeviceError` when it has too few channels.
    """

    def named(device: AudioDevice) -> str:
        return f"{device.name} [{device.host_api}]"

    wanted, host_api = profile.match.strip().lower(), (profile.host_api or "").lower()
    reachable = [index for index, device in enumerate(devices) if host_api in device.host_api.lower()]
    matching = [index for index in reachable if wanted in devices[index].name.lower()]
    matching = [index for index in matching if devices[index].name.lower() == wanted] or matching
    if not matching:
        seen = ", ".join(named(device) for device in devices) or "none"
        near = [*profile_names("device"), *(device.name for device in devices)]
        raise UsageError(
            "no such audio device" + (f" under {profile.host_api}" if profile.host_api else ""),
            got=profile.match,
            allowed=f"profiles {', '.join(profile_names('device'))}; devices of this system: {seen}",
            mend=" ".join(filter(None, (did_you_mean(profile.match, near), SEE_DEVICES))),
        )
    sends, returns = max(profile.wiring.outputs), max(profile.wiring.inputs)
    wide = [index for index in matching if devices[index].sends >= sends and devices[index].returns >= returns]
    if not wide:
        device = devices[matching[0]]
        raise DeviceError(
            f"{named(device)} has too few channels",
            got=f"{device.sends} out and {device.returns} in",
            allowed=f"at least {sends} out and {returns} in",
            mend=f"correct sends and returns in a device profile; {SEE_DEVICES}",
        )
    if len(wide) > 1:
        raise UsageError(
            "several audio devices have this name",
            got=profile.match,
            allowed=[named(devices[index]) for index in wide],
            mend="write match and host_api of one of them into a device profile (NAME.yaml beside grid.yaml)",
        )
    return wide[0]

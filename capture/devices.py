"""The verb `devices`: what `--device` can be on this machine."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..manifests.console import json_option, tell
from ..manifests.errors import DeviceError
from .device import AudioDevice
from .profiles import profile_names

QUERY_LIMIT_S = 10.0


def list_devices() -> list[AudioDevice]:
    """The audio devices of this system, in its own order. Asked in a process of its own, because the question hangs
    on a dead audio server. `DeviceError` when PortAudio is missing or nothing answers."""
    from .portaudio import AudioProcess
    from .portaudio_child import query

    process = AudioProcess(query)
    try:
        devices: list[AudioDevice] = process.answer(QUERY_LIMIT_S, "listing its devices")
        return devices
    finally:
        process.close()


@click.command()
@json_option
def devices(as_json: bool) -> None:
    """Audio interfaces that can be captured with: shipped profiles, and the devices of this system.

    `buscomp capture --device NAME` takes the name of a profile, or a part of a device's name. A line `2 out, 3 in`
    counts the channels that can be sends and returns.

    Example: buscomp devices
    """
    missing: str | None = None
    found: list[AudioDevice] = []
    try:
        found = list_devices()
    except DeviceError as error:
        missing = str(error)
    width = max((len(device.name) for device in found), default=0)
    lines = [
        f"  {device.name:<{width}}  {device.sends} out, {device.returns} in, {device.sample_rate} Hz"
        f"  [{device.host_api}]"
        for device in found
    ]
    tell(
        as_json,
        {"profiles": profile_names("device"), "devices": [asdict(device) for device in found], "missing": missing},
        f"Profiles: {', '.join(profile_names('device'))}",
        f"Not listed: {missing}" if missing else "Devices of this system:" if found else "This system has no devices.",
        *lines,
    )

"""A whole calibration, from words to the file: device, bypass, ways, tones, levels."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.unit import load_unit
from ..manifests.version import version
from .calibration import Calibration, save_calibration
from .calibration_levels import level_at_returns, measure_tones, remarks_about_tones
from .device import DeviceProfile, resolve_device
from .interface import Interface
from .meter import dbu_at_0dbfs
from .profiles import find_profile
from .ways import LOOPBACK, measure_ways, remarks_about


def calibrate(
    dataset: Dataset,
    *,
    device: str,
    meter_dbu: float | None,
    return_meter_dbu: float | None,
    tone_dbfs: float,
    operator: str,
    bypass: Callable[[], None] | None,
    read_meter: Callable[[float], float | None] | None,
    report: Callable[[str], None],
) -> Calibration:
    """Measure the rack and keep the result in the dataset.

    `bypass` returns when somebody has bypassed the unit; `read_meter` is called while a tone of the given level
    sounds, unless there is a reading already, and returns what a meter at the unit's input shows in dBu. Both are None
    where nobody is there. `DeviceError`, and nothing kept, when a cable is wrong."""
    if not dataset.root.is_dir():
        raise UsageError(f"no such folder: {dataset.root}")
    device_name, profile = resolve_device(device, dataset.root)
    if profile.kind == "virtual":
        bypass = read_meter = None
    if return_meter_dbu is not None and meter_dbu is None and read_meter is None:
        raise UsageError("a reading at the return needs one at the unit's input, too", mend="add --meter")
    if meter_dbu is not None:
        dbu_at_0dbfs(meter_dbu, tone_dbfs)  # one that cannot be is refused before anything is played
    readings = [meter_dbu]

    def while_the_tone_sounds() -> None:
        if meter_dbu is None and read_meter is not None:
            readings.append(read_meter(tone_dbfs))

    with dataset.lock():
        interface = open_bypassed(profile, dataset)
        try:
            if bypass is not None:
                bypass()
            ways = measure_ways(interface, profile, report)
            report(f"A tone of 1 kHz at {tone_dbfs:g} dBFS.")
            tones = measure_tones(interface, profile, tone_dbfs, while_the_tone_sounds)
        finally:
            interface.close()
        read_dbu = readings[-1]
        out_dbu = None if read_dbu is None else dbu_at_0dbfs(read_dbu, tone_dbfs)
        in_dbu, assumed = None, ""
        if out_dbu is not None:
            in_dbu, assumed = level_at_returns(ways, tones, out_dbu, return_meter_dbu)
        calibration = Calibration(
            device=device_name,
            host_api=interface.host_api,
            sample_rate=interface.sample_rate,
            block_size=interface.block_size,
            measured_at=datetime.now(UTC),
            operator=operator,
            buscomp_version=version(),
            returns=tuple(way for way in ways if way.serial != LOOPBACK),
            loopback=next((way for way in ways if way.serial == LOOPBACK), None),
            tone_dbfs=tone_dbfs,
            meter_dbu=read_dbu,
            return_meter_dbu=return_meter_dbu,
            dbu_at_0dbfs_out=out_dbu,
            dbu_at_0dbfs_in=in_dbu,
            assumed=assumed,
            remarks=(*remarks_about(ways), *remarks_about_tones(tones)),
        )
        save_calibration(dataset, calibration)
    return calibration


def open_bypassed(profile: DeviceProfile, dataset: Dataset) -> Interface:
    """The open interface of a profile. A virtual unit behind it is bypassed already; it is the dataset's own, else the
    shipped bus compressor."""
    if profile.kind == "portaudio":
        from .portaudio import PortAudioInterface

        return PortAudioInterface(profile)
    from .faults import FaultSchedule
    from .virtual import VirtualInterface, VirtualPanel

    own = dataset.unit_path
    unit = load_unit(own if own.exists() else find_profile("ssl-500-bus", dataset.root, "unit"))
    positions = {name: control.positions[0] for name, control in unit.controls.items()} | unit.held
    if "engaged" in positions:
        positions["engaged"] = False
    bypassed = unit.setting(positions, "grid")
    interface = VirtualInterface.of_profile(profile, unit, FaultSchedule([]))
    for number in range(len(profile.places)):
        VirtualPanel(interface, number).bring(bypassed, None)
    return interface

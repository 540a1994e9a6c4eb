"""A whole capture, from words to takes: device, plan, rack, session."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.unit import Unit
from ..manifests.version import version
from .attempts import Attempts
from .calibration import load_calibration
from .control import Control
from .daemon import Daemon
from .device import DeviceProfile, resolve_device
from .interface import Interface
from .knob_check import KnobCheck
from .layout import TakeLayout
from .live import Live
from .operator_panel import OperatorPanel
from .orders import Orders
from .overrides import parse_overrides
from .panel import Panel, open_panel
from .preflight import Ready, commit_plan, preflight
from .proof import Proof
from .question import Desk
from .rack import rack_of
from .referee import Referee
from .session import Session
from .settling import settle_s
from .staging import Staging
from .stream import Stopped, Stream
from .visits import remaining_visits

if TYPE_CHECKING:
    from .faults import FaultSchedule

Row = dict[str, Any]


def capture(
    dataset: Dataset,
    *,
    device: str,
    grid: str,
    operator: str | None,
    extend: bool,
    overrides: Sequence[str] = (),
    faults: Sequence[str] = (),
    page: bool = False,
    report: Callable[[str], None],
    progress: Callable[[int], Callable[[], None]],
) -> bool:
    """Play every planned song at every setting and keep what is right; goes on where an earlier session stopped.

    Nothing is written before device, grid, unit, songs and disk are found fit. `page`: `buscomp panel` runs beside it,
    so that questions are answered without a terminal. `report` gets one line at a time for
    whoever watches; `progress(total)` gives a function to call after each take. False when it was asked to stop."""
    operator = operator or getpass.getuser()
    device_name, profile = resolve_device(device, dataset.root)
    accepted_by_name = parse_overrides(overrides, operator)
    schedule = fault_schedule(faults, profile)
    staging = Staging(profile.send_boost_db, profile.return_trim_db)
    ready = preflight(dataset, grid, device_name, profile, staging)
    with dataset.lock(), ExitStack() as open_things:
        if dataset.journal_path.exists():
            with dataset.journal() as journal:
                commit_plan(dataset, journal, ready, extend)
                if journal.next_planned() is None:
                    Attempts(dataset, journal).clear_unfinished()  # of a session that was killed at its very end
                    dataset.snapshot(journal)
                    return True

        interface = open_interface(profile, ready, schedule)  # one that cannot be leaves a new dataset untouched
        open_things.callback(interface.close)
        control = Control(dataset)
        panels = open_panels(profile, ready.units, interface, Desk(dataset, page))
        for panel in panels:
            open_things.callback(panel.close)
        journal = open_things.enter_context(dataset.journal())
        open_things.enter_context(control.signals())
        if new := commit_plan(dataset, journal, ready, extend):
            report(f"Planned {new} takes: {len(ready.songs)} songs at {len(ready.settings)} settings.")
        row = session_row(dataset, device_name, profile, ready, interface, operator)
        session_id = str(row["session_id"])
        left = journal.counts().get("planned", 0)
        attended = not all(panel.hands_free for panel in panels)
        daemon = open_things.enter_context(Daemon.opened(dataset, session_id, left, profile.alarm, attended=attended))
        attempts = Attempts(dataset, journal)
        knobs = KnobCheck(
            dataset,
            journal,
            session_id,
            sample_rate=profile.sample_rate,
            channels=len(profile.sends),
            block_size=interface.block_size,
            max_latency_samples=profile.max_latency_samples,
            settings=ready.plan.visited_settings,
            tolerated=tuple(accepted_by_name),
        )
        reopen = partial(open_again, interface, profile, ready)
        stream = Stream(interface, reopen, profile.wiring, staging, profile.device_wait_s, control, daemon, report)
        rack = rack_of(profile, ready.units, panels, load_calibration(dataset, device_name))
        session = Session(
            dataset=dataset,
            journal=journal,
            rack=rack,
            visits=remaining_visits(ready.plan, journal),
            songs=ready.songs,
            settling=ready.plan.settling,
            max_latency_samples=profile.max_latency_samples,
            stream=stream,
            proof=Proof(
                rack=rack,
                stream=stream,
                knobs=knobs if ready.plan.fingerprint else None,
                warm_up=ready.plan.grid.warm_up,
                control=control,
                daemon=daemon,
                report=report,
            ),
            attempts=attempts,
            referee=Referee(
                attempts, session_id, staging, interface.block_size, daemon, report, overrides=accepted_by_name
            ),
            daemon=daemon,
            report=report,
            step=progress(left),
            orders=Orders(dataset),
            operator=operator,
            settings={setting.setting_id: setting for setting in ready.plan.settings},
        )
        open_things.enter_context(Live(dataset, stream, rack, session.proof, daemon).running())
        journal.start_session(row)
        try:
            session.run()
        except Stopped:
            return False
        finally:
            journal.end_session(session_id, datetime.now(UTC))
            dataset.snapshot(journal)
        return True


def fault_schedule(faults: Sequence[str], profile: DeviceProfile) -> FaultSchedule | None:
    """What a virtual device shall commit; `UsageError` for another device, and for a fault that cannot be meant."""
    if profile.kind != "virtual":
        if faults:
            raise UsageError("only a virtual device commits faults", got=profile.match, mend="leave --fault out")
        return None
    from .faults import FaultSchedule, parse_fault

    return FaultSchedule([parse_fault(fault) for fault in faults])


def open_interface(profile: DeviceProfile, ready: Ready, schedule: FaultSchedule | None) -> Interface:
    """The open interface that a device profile describes; `DeviceError` when it cannot be opened."""
    if profile.kind == "virtual":
        from .virtual import VirtualInterface

        assert schedule is not None
        return VirtualInterface.of_profile(profile, ready.unit, schedule)
    from .portaudio import PortAudioInterface

    return PortAudioInterface(profile, longest_frames(ready, profile))


def open_again(interface: Interface, profile: DeviceProfile, ready: Ready) -> Interface:
    """The interface anew, after `interface` died. What stands at the rack has kept its knobs, the simulated too."""
    if profile.kind == "virtual":
        from .virtual import VirtualInterface

        assert isinstance(interface, VirtualInterface)
        interface.revive()
        return interface
    return open_interface(profile, ready, None)


def longest_frames(ready: Ready, profile: DeviceProfile) -> int:
    """Of all takes of the plan."""
    song = max(row["frames"] for row in ready.songs.values())
    silence_s = max(settle_s(ready.unit, setting.values, ready.plan.settling) for setting in ready.settings.values())
    return TakeLayout.of(song, profile.sample_rate, silence_s, profile.max_latency_samples).frames


def open_panels(profile: DeviceProfile, units: Sequence[Unit], interface: Interface, desk: Desk) -> tuple[Panel, ...]:
    """Whoever turns the knobs of each unit: what the profile says, else the operator; the simulation by itself, unless
    the profile says that an operator is asked first."""
    serials = [unit.serial if profile.units else None for unit in units]
    if profile.kind != "virtual":
        return tuple(
            open_panel(place.panel or profile.panel, unit, serial, desk)
            for place, unit, serial in zip(profile.places, units, serials, strict=True)
        )
    from .virtual import VirtualInterface, VirtualOperator, VirtualPanel

    assert isinstance(interface, VirtualInterface)
    panels: list[Panel] = []
    for number, (place, unit, serial) in enumerate(zip(profile.places, units, serials, strict=True)):
        knobs = VirtualPanel(interface, number)
        choice = place.panel or (profile.panel if "panel" in profile.model_fields_set else None)
        asked = choice is not None and choice.kind == "operator"
        panels.append(VirtualOperator(OperatorPanel(unit, serial=serial, desk=desk), knobs) if asked else knobs)
    return tuple(panels)


def session_row(
    dataset: Dataset, device_name: str, profile: DeviceProfile, ready: Ready, interface: Interface, operator: str
) -> Row:
    """The row of `sessions` for a run that begins now."""
    started_at = datetime.now(UTC)
    calibration = load_calibration(dataset, device_name)
    return {
        "session_id": f"s{started_at:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}",
        "device": device_name,
        "host_api": interface.host_api,
        "sample_rate": interface.sample_rate,
        "block_size": interface.block_size,
        "sends": ",".join(map(str, profile.wiring.outputs)),
        "returns": ",".join(map(str, profile.wiring.inputs)),
        "loopback_send": profile.loopback_send,
        "loopback_return": profile.loopback_return,
        "unit_make": ready.unit.make,
        "unit_model": ready.unit.model,
        "unit_serial": ",".join(unit.serial for unit in ready.units),
        "dbu_at_0dbfs_out": ready.levels["dbu_at_0dbfs_out"],
        "dbu_at_0dbfs_in": ready.levels["dbu_at_0dbfs_in"],
        "calibrated_at": calibration and calibration.measured_at,
        "calibration": calibration and calibration.to_json(),
        "send_boost_db": profile.send_boost_db,
        "return_trim_db": profile.return_trim_db,
        "operator": operator,
        "settling": ready.plan.settling,
        "plan_sha256": ready.plan.sha256,
        "buscomp_version": version(),
        "started_at": started_at,
    }

"""A whole capture, from words to takes: device, plan, session."""

from __future__ import annotations

import getpass
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.unit import Unit
from ..manifests.version import version
from .device import DeviceProfile, resolve_device
from .interface import Interface
from .panel import OperatorPanel, Panel
from .preflight import Ready, commit_plan, preflight
from .session import Session
from .staging import Staging


def capture(
    dataset: Dataset,
    *,
    device: str,
    grid: str,
    operator: str | None,
    extend: bool,
    report: Callable[[str], None],
    progress: Callable[[int], Callable[[], None]],
) -> None:
    """Play every planned song at every setting and keep what is right; goes on where an earlier session stopped.

    Nothing is written before device, grid, unit, songs and disk are found fit. `report` gets one line at a time for
    whoever watches; `progress(total)` gives a function to call after each take.
    """
    device_name, profile = resolve_device(device, dataset.root)
    staging = Staging(profile.send_boost_db, profile.return_trim_db)
    ready = preflight(dataset, grid, device_name, profile, staging)
    with dataset.lock():
        if dataset.journal_path.exists():
            with dataset.journal() as journal:
                commit_plan(dataset, journal, ready, extend)
                if not journal.planned():
                    dataset.snapshot(journal)
                    return
        interface = open_interface(profile, ready.unit)  # one that cannot be opened leaves a new dataset untouched
        try:
            with dataset.journal() as journal, _terminate_is_interrupt():
                if new := commit_plan(dataset, journal, ready, extend):
                    report(f"Planned {new} takes: {len(ready.songs)} songs at {len(ready.settings)} settings.")
                row = session_row(device_name, profile, ready, interface, operator)
                session = Session(
                    dataset=dataset,
                    journal=journal,
                    session_id=row["session_id"],
                    unit=ready.unit,
                    settings=ready.settings,
                    songs=ready.songs,
                    staging=staging,
                    max_latency_samples=profile.max_latency_samples,
                    interface=interface,
                    reopen=lambda: open_interface(profile, ready.unit),
                    panel=panel_for(profile, ready.unit, interface),
                    report=report,
                    step=progress(len(journal.planned())),
                )
                journal.start_session(row)
                try:
                    session.run()
                finally:
                    journal.end_session(session.session_id, datetime.now(UTC))
                    dataset.snapshot(journal)
        finally:
            interface.close()


def open_interface(profile: DeviceProfile, unit: Unit) -> Interface:
    """The open interface that a device profile describes; `DeviceError` when it cannot be opened."""
    if profile.kind == "virtual":
        from .virtual import VirtualInterface

        if missing := {"threshold_db", "ratio", "attack_ms", "release_s"} - set(unit.controls):
            raise UsageError(
                f"the virtual device simulates a bus compressor; unit {unit.model} has no {', '.join(sorted(missing))}",
                mend="use a grid for the unit ssl-500-bus",
            )
        return VirtualInterface(
            sample_rate=profile.sample_rate,
            latency_samples=profile.latency_samples,
            noise_dbfs=profile.noise_dbfs,
            seed=profile.seed,
        )
    from .portaudio import PortAudioInterface

    return PortAudioInterface(profile)


def panel_for(profile: DeviceProfile, unit: Unit, interface: Interface) -> Panel:
    """Whoever turns the knobs: the simulation itself, else the operator in the terminal."""
    if profile.kind == "virtual":
        from .virtual import VirtualInterface, VirtualPanel

        assert isinstance(interface, VirtualInterface)
        return VirtualPanel(interface)
    return OperatorPanel(unit)


def session_row(
    device_name: str, profile: DeviceProfile, ready: Ready, interface: Interface, operator: str | None
) -> dict[str, Any]:
    """The row of `sessions` for a run that begins now."""
    started_at = datetime.now(UTC)
    return {
        "session_id": f"s{started_at:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}",
        "device": device_name,
        "host_api": interface.host_api,
        "sample_rate": interface.sample_rate,
        "block_size": interface.block_size,
        "sends": ",".join(map(str, profile.sends)),
        "returns": ",".join(map(str, profile.returns)),
        "loopback_send": profile.loopback_send,
        "loopback_return": profile.loopback_return,
        "unit_make": ready.unit.make,
        "unit_model": ready.unit.model,
        "unit_serial": ready.unit.serial,
        "dbu_at_0dbfs_out": profile.dbu_at_0dbfs_out,
        "dbu_at_0dbfs_in": profile.dbu_at_0dbfs_in,
        "send_boost_db": profile.send_boost_db,
        "return_trim_db": profile.return_trim_db,
        "operator": operator or getpass.getuser(),
        "plan_sha256": ready.plan.sha256,
        "buscomp_version": version(),
        "started_at": started_at,
    }


@contextmanager
def _terminate_is_interrupt() -> Iterator[None]:
    """SIGTERM (a service manager, a closed terminal) ends a session as orderly as Ctrl-C does."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

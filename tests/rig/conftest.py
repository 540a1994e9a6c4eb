"""The fixture `rig`: a fresh JACK server with a compressor named `fireface` for every test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import filelock
import pytest

from buscomp.tests.rig.rig import Rig, missing

LOCK_LIMIT_S = 600.0  # another test run on this machine may hold the rig
StartRig = Callable[..., Rig]


@pytest.fixture
def start_rig() -> Iterator[StartRig]:
    """`start_rig(sample_rate=44100, units=2, loopback=True, thr=-20, ...)` starts the rig of this test; a further call
    starts another one, when the one before has been stopped."""
    with one_rig_at_a_time() as start:
        yield start


@pytest.fixture
def rig(start_rig: StartRig) -> Rig:
    """A running rig with a neutral compressor (ratio 1)."""
    return start_rig()


@pytest.fixture(scope="module")
def one_rig() -> Callable[[], object]:
    """`with one_rig() as start:` holds the machine's rig for a part of a module; `start()` starts it."""
    return one_rig_at_a_time


@contextmanager
def one_rig_at_a_time() -> Iterator[StartRig]:
    """Hold the rig of this machine, and stop what was started of it. Environment and rig are as before afterwards."""
    if absent := _missing():
        reason = f"the rig needs {', '.join(absent)}"
        if os.environ.get("BUSCOMP_REQUIRE_RIG") == "1":
            pytest.fail(f"{reason} and BUSCOMP_REQUIRE_RIG=1")
        pytest.skip(reason)
    rigs: list[Rig] = []
    with (
        filelock.FileLock(Path(tempfile.gettempdir()) / f"buscomp-rig-{os.getuid()}.lock", timeout=LOCK_LIMIT_S),
        pytest.MonkeyPatch.context() as environment,
    ):

        def start(
            sample_rate: int = 44100,
            *,
            units: int = 1,
            loopback: bool = False,
            control_voltage: bool = False,
            split: bool = False,
            **controls: float,
        ) -> Rig:
            assert all(rig.stopped for rig in rigs), "one rig at a time"
            rig = Rig(
                sample_rate, controls, units=units, loopback=loopback, control_voltage=control_voltage, split=split
            )
            rigs.append(rig)
            for name, value in rig.environment.items():
                environment.setenv(name, value)
            return rig

        try:
            yield start
        finally:
            for rig in rigs:
                rig.stop()


@cache
def _missing() -> list[str]:
    return missing()

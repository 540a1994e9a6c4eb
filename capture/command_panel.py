"""The command panel: a program of the user's brings the unit to a setting, be it motors, a robot or a serial line.

    PROGRAM ARGUMENTS... SETTING_ID < order.json        exit status 0: the unit stands there

`docs/reference/panels.md` describes the order. The program is run without a shell and in a session of its own, so that
a program that hangs can be killed with everything it has started.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from ..manifests.errors import DeviceError, UsageError
from ..manifests.unit import Setting, Unit
from .panel import AGAIN, Answer, Suspect


@dataclass(frozen=True)
class Ended:
    """What a program left behind."""

    exit_status: int  # negative: killed by that signal
    output: str
    errors: str

    @property
    def last_error(self) -> str:
        """The last line that it wrote to its standard error."""
        return next((line.strip() for line in reversed(self.errors.splitlines()) if line.strip()), "it said nothing")


class CommandPanel:
    """Runs the user's program for every setting."""

    hands_free = True

    def __init__(self, unit: Unit, command: Sequence[str], timeout_s: float = 60.0, wait_s: float = 0.0):
        program = shutil.which(command[0])
        if program is None:
            raise UsageError("no such program for the panel", got=command[0], mend="correct command in the profile")
        self._unit, self._timeout_s, self._wait_s = unit, timeout_s, wait_s
        self._command = (os.path.abspath(program), *command[1:])

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Run the program. `DeviceError` when it fails or takes longer than `timeout_s`."""
        self._run(setting, order(self._unit, setting, before))

    def correct(self, setting: Setting, told: str, suspect: Suspect | None = None) -> Answer:
        """Run the program once more; the order holds `told`."""
        self._run(setting, order(self._unit, setting, None, told))
        return AGAIN

    def close(self) -> None:
        """Nothing to give back."""

    def _run(self, setting: Setting, document: dict[str, Any]) -> None:
        ended = run_program([*self._command, setting.setting_id], json.dumps(document), self._timeout_s)
        if ended.exit_status:
            raise DeviceError(
                f"{os.path.basename(self._command[0])} did not bring the unit to {setting.setting_id}: "
                f"{ended.last_error}",
                got=f"exit status {ended.exit_status}",
                allowed="0",
            )
        time.sleep(self._wait_s)


def order(unit: Unit, setting: Setting, before: Setting | None, told: str | None = None) -> dict[str, Any]:
    """What the program reads on its standard input."""
    controls = {
        name: {
            "position": setting.values[name],
            "index": control.index(setting.values[name]),
            "before": None if before is None else before.values[name],
            "moves": before is None or before.values[name] != setting.values[name],
        }
        for name, control in unit.controls.items()
    }
    return {
        "setting_id": setting.setting_id,
        "unit_id": unit.unit_id,
        "serial": unit.serial,
        "controls": controls,
        "told": told,
    }


def run_program(command: Sequence[str], text: str, timeout_s: float) -> Ended:
    """Run `command` with `text` on its standard input. `DeviceError` when it cannot be started or has not ended after
    `timeout_s`; it is killed then, with all that it has started.

    Files instead of pipes: a program that leaves a child behind would hold a pipe open for as long as that lives."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        given.write(text.encode())
        given.seek(0)
        try:
            process = subprocess.Popen(command, stdin=given, stdout=said, stderr=complained, start_new_session=True)
        except OSError as error:
            raise DeviceError(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"{os.path.basename(command[0])} had not ended after {timeout_s:g} s and was killed"
            ) from None
        finally:  # also after Ctrl-C
            if process.poll() is None:
                _kill(process)
        output, errors = (_text(file) for file in (said, complained))
    return Ended(process.returncode, output, errors)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")

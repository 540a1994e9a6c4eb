"""The MIDI panel: control changes, non-registered parameters and program changes, as the unit profile maps them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from ..manifests.errors import BuscompError, DeviceError, UsageError
from ..manifests.midi_mapping import ControlMidi
from ..manifests.unit import Setting, Unit, shown
from .command_panel import run_program
from .panel import AGAIN, Answer, Suspect

CONTROL_CHANGE, PROGRAM_CHANGE = 0xB0, 0xC0
DATA_COARSE, DATA_FINE, NRPN_FINE, NRPN_COARSE = 6, 38, 98, 99  # controller numbers (MIDI 1.0)
FINE = 32  # from a controller to the one that holds its 7 bits more
OPEN_LIMIT_S = 15.0  # beside what sending and waiting take by themselves; JACK takes 5 s after a client was killed
Message = tuple[int, ...]  # the bytes of one MIDI message
State = dict[tuple[int, ...], int]  # (channel from 0, address...): value


class MidiPanel:
    """Moves a unit that listens to MIDI. Every message is sent at every setting, whether the control moves or not, so
    that a knob which was turned by hand stands right again."""

    hands_free = True

    def __init__(self, unit: Unit, port: str, channel: int | None = None, wait_s: float = 0.5):
        self._unit, self._channel, self._wait_s = unit, channel, wait_s
        if not unit.midi.programs and not any(control.midi for control in unit.controls.values()):
            raise UsageError(f"the unit profile of {unit.model} maps no control to MIDI", mend="write midi: into it")
        self._wanted = port
        self.port = self._converse([], 0.0)[0]  # its whole name; a port that is not there is found out now

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Send the setting and wait `wait_s`. `DeviceError` when the port is gone or not connected, or when a unit
        that should echo has not done so; `UsageError` for a control that has to move and is not mapped."""
        messages = setting_messages(self._unit, setting, self._channel)
        _, heard = self._converse(messages, self._wait_s)
        if self._unit.midi.echo:
            require_echo(messages, heard)

    def correct(self, setting: Setting, told: str, suspect: Suspect | None = None) -> Answer:
        """Send the setting once more."""
        self.bring(setting, None)
        return AGAIN

    def close(self) -> None:
        """Nothing to give back: the port is open only while something is sent."""

    def _converse(self, messages: Sequence[Message], wait_s: float) -> tuple[str, list[Message]]:
        interval_ms = self._unit.midi.interval_ms
        order = {
            "port": self._wanted,
            "messages": messages,
            "interval_ms": interval_ms,
            "wait_s": wait_s,
            "listen": self._unit.midi.echo,
        }
        command = [sys.executable, "-m", f"{__package__}.midi_port"]
        ended = run_program(command, json.dumps(order), OPEN_LIMIT_S + wait_s + len(messages) * interval_ms / 1000)
        if ended.exit_status:
            raise DeviceError(f"the MIDI port {self._wanted} cannot be used: {ended.last_error}")
        answer = json.loads(ended.output)
        if "error" in answer:
            kind: type[BuscompError] = UsageError if answer["usage"] else DeviceError
            raise kind(answer["error"])
        return answer["port"], [tuple(message) for message in answer["heard"]]


def setting_messages(unit: Unit, setting: Setting, channel: int | None = None) -> list[Message]:
    """Everything to send for `setting`, on `channel` (from 1) instead of the profile's channels, if given. A held
    control without a mapping is left to whoever set it."""
    unit_channel = channel or unit.midi.channel
    if setting.setting_id in unit.midi.programs:
        return [(PROGRAM_CHANGE | unit_channel - 1, unit.midi.programs[setting.setting_id])]
    program = unit.midi.program_change
    messages: list[Message] = [] if program is None else [(PROGRAM_CHANGE | unit_channel - 1, program)]
    for name, control in unit.controls.items():
        position = setting.values[name]
        if control.midi is not None:
            value = control.midi_values[control.index(position)]
            messages += control_messages(control.midi, value, channel or control.midi.channel or unit_channel)
        elif control.held is None or control.position(control.held) != position:
            raise UsageError(
                f"{setting.setting_id} needs {control.label} at {shown(position)}, and the unit profile has no midi "
                f"for {name}",
                mend="map it, or hold it",
            )
    return messages


def control_messages(midi: ControlMidi, value: int, channel: int) -> list[Message]:
    """The messages that bring one control to `value`; `channel` counts from 1."""
    status = CONTROL_CHANGE | channel - 1
    if midi.program_change:
        return [(PROGRAM_CHANGE | channel - 1, value)]
    if midi.nrpn is not None:
        select = [(status, NRPN_COARSE, midi.nrpn[0]), (status, NRPN_FINE, midi.nrpn[1])]
        if midi.value_bits == 7:
            return [*select, (status, DATA_COARSE, value)]
        return [*select, (status, DATA_COARSE, value >> 7), (status, DATA_FINE, value & 127)]
    assert midi.cc is not None
    if midi.value_bits == 7:
        return [(status, midi.cc, value)]
    return [(status, midi.cc, value >> 7), (status, midi.cc + FINE, value & 127)]


def state_of(messages: Iterable[Message]) -> State:
    """What stands where after `messages`: programs, controllers, and parameters by their number."""
    state: State = {}
    selected: dict[int, dict[int, int]] = {}
    for message in messages:
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == PROGRAM_CHANGE:
            state[(channel, PROGRAM_CHANGE)] = message[1]
        elif kind == CONTROL_CHANGE:
            number, value = message[1:]
            parameter = selected.setdefault(channel, {})
            if number in (NRPN_COARSE, NRPN_FINE):
                parameter[number] = value
            elif number in (DATA_COARSE, DATA_FINE) and len(parameter) == 2:
                state[(channel, parameter[NRPN_COARSE], parameter[NRPN_FINE], number)] = value
            else:
                state[(channel, number)] = value
    return state


def require_echo(sent: Iterable[Message], heard: Iterable[Message]) -> None:
    """`DeviceError` unless everything that was sent was answered with the same."""
    told, answered = state_of(sent), state_of(heard)
    for address, value in told.items():
        if answered.get(address) != value:
            where = f"channel {address[0] + 1}, {' '.join(str(number) for number in address[1:])}"
            raise DeviceError(
                f"the unit has not confirmed what it was sent ({where})",
                got=answered.get(address, "no answer"),
                allowed=str(value),
                mend="raise wait_s, or look at its MIDI output",
            )

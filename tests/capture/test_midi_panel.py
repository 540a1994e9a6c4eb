"""MIDI: which bytes a setting is, which port is meant, and what an echo proves. No port is opened here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.capture import midi_panel
from buscomp.capture.command_panel import Ended
from buscomp.capture.midi_panel import MidiPanel, control_messages, require_echo, setting_messages, state_of
from buscomp.capture.midi_port import choose_port
from buscomp.manifests.errors import DeviceError, UsageError
from buscomp.manifests.midi_mapping import ControlMidi
from buscomp.manifests.unit import Unit

SEVEN = st.integers(0, 127)
CONTROL = {"kind": "switch", "meaning": "x", "positions": [1, 2, 4]}


def unit(midi: dict[str, Any] | None = None, **controls: dict[str, Any]) -> Unit:
    """A unit with a control for every keyword."""
    described = {
        name: CONTROL | {"label": name.upper(), "short": name} | described for name, described in controls.items()
    }
    return Unit.model_validate({"make": "M", "model": "X", "controls": described, "midi": midi or {}})


def sent(unit: Unit, channel: int | None = None, **values: Any) -> list[tuple[int, ...]]:
    return setting_messages(unit, unit.setting(values, "grid"), channel)


def test_a_control_change_carries_the_value_of_the_position():
    ratio = {"midi": {"cc": 21, "values": {1: 0, 2: 64, 4: 127}}}
    assert sent(unit(ratio=ratio), ratio=2) == [(0xB0, 21, 64)]
    assert sent(unit({"channel": 16}, ratio=ratio), ratio=4) == [(0xBF, 21, 127)]
    assert sent(unit(ratio=ratio), channel=3, ratio=4) == [(0xB2, 21, 127)]


def test_ends_make_a_line_on_the_controls_own_scale():
    threshold = {"positions": [-40, -20, 0], "midi": {"cc": 20, "ends": {-40: 0, 0: 127}}}
    assert [sent(unit(thr=threshold), thr=v)[0][2] for v in (-40, -20, 0)] == [0, 64, 127]
    attack = {"positions": [0.1, 1, 10], "scale": "log", "midi": {"cc": 20, "ends": {10: 100, 0.1: 0}}}
    assert [sent(unit(att=attack), att=v)[0][2] for v in (0.1, 1, 10)] == [0, 50, 100]


def test_a_word_between_numbers_has_a_value_of_its_own_and_so_may_a_number():
    release = {
        "positions": [0, 10, "auto"],
        "midi": {"cc": 1, "ends": {0: 0, 10: 100}, "values": {"auto": 127, 10: 99}},
    }
    assert [sent(unit(rel=release), rel=v)[0][2] for v in (0, 10, "auto")] == [0, 99, 127]


def test_a_parameter_number_takes_four_messages_of_14_bits_or_three_of_7():
    values = {1: 0, 2: 8192, 4: 16383}
    assert sent(unit(ratio={"midi": {"nrpn": [1, 8], "values": values}}), ratio=4) == [
        (0xB0, 99, 1),
        (0xB0, 98, 8),
        (0xB0, 6, 127),
        (0xB0, 38, 127),
    ]
    coarse = {"midi": {"nrpn": [1, 8], "bits": 7, "values": {1: 0, 2: 64, 4: 127}}}
    assert sent(unit(ratio=coarse), ratio=2)[2:] == [(0xB0, 6, 64)]


def test_a_control_change_of_14_bits_has_its_fine_part_32_numbers_further():
    assert control_messages(ControlMidi(cc=20, bits=14, values={1: 300}), 300, 1) == [(0xB0, 20, 2), (0xB0, 52, 44)]


def test_programs_come_first_and_a_stored_setting_is_one_program_change():
    ratio = {"midi": {"cc": 21, "values": {1: 0, 2: 64, 4: 127}}}
    stored = unit({"channel": 2, "program_change": 9, "programs": {"ratio4": 77}}, ratio=ratio)
    assert sent(stored, ratio=2) == [(0xC1, 9), (0xB1, 21, 64)]
    assert sent(stored, ratio=4) == [(0xC1, 77)]
    by_program = unit(ratio={"midi": {"program_change": True, "channel": 5, "values": {1: 0, 2: 1, 4: 2}}})
    assert sent(by_program, ratio=4) == [(0xC4, 2)]


def test_a_held_control_may_stay_unmapped_where_it_is_held_and_nothing_else_may():
    two = unit(ratio={"midi": {"cc": 21, "values": {1: 0, 2: 64, 4: 127}}}, mak={"held": 1})
    assert sent(two, ratio=2) == [(0xB0, 21, 64)]
    with pytest.raises(UsageError, match=r"ratio2_mak4 needs MAK at 4, and the unit profile has no midi for mak"):
        sent(two, ratio=2, mak=4)


@pytest.mark.parametrize(
    ("midi", "message"),
    [
        ({"values": {1: 0, 2: 1, 4: 2}}, "one of cc, nrpn and program_change"),
        ({"cc": 1, "nrpn": [0, 1], "values": {1: 0}}, "one of cc, nrpn and program_change"),
        ({"cc": 120, "values": {1: 0}}, "less than or equal to 119"),
        ({"cc": 1}, "needs values or ends"),
        ({"cc": 1, "values": {1: 0, 2: 1}}, "no value for the position 4"),
        ({"cc": 1, "values": {1: 0, 2: 1, 4: 128}}, r"within 0 and 127, got 128 for 4"),
        ({"cc": 1, "values": {1: 0, 2: 5, 4: 5}}, "sends 5 both for 2 and for 4"),
        ({"cc": 1, "values": {1: 0, 2: 1, 3: 2}}, r"must be a position of the unit, got 3"),
        ({"cc": 1, "ends": {1: 0}}, "two positions, got 1"),
        ({"cc": 1, "ends": {1: 0, 2: 100}}, r"within 0 and 127, got 300 for 4"),
        ({"cc": 32, "bits": 14, "values": {1: 0}}, "a number up to 31, got 32"),
        ({"program_change": True, "bits": 14, "values": {1: 0}}, "7 bits"),
        ({"cc": 1, "values": {1: "64"}}, "valid integer"),
        ({"cc": 1, "channel": 17, "values": {1: 0}}, "less than or equal to 16"),
        ({"cc": 1, "value": {1: 0}}, "Extra inputs"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_when_it_is_read(midi: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        unit(ratio={"midi": midi})


def test_two_controls_may_not_listen_to_one_message():
    midi = {"midi": {"cc": 1, "values": {1: 0, 2: 1, 4: 2}}}
    with pytest.raises(ValueError, match="same midi message"):
        unit(a=midi, b=midi)
    unit(a=midi, b={"midi": midi["midi"] | {"channel": 2}})


def test_a_mapping_changes_nothing_of_what_the_unit_is():
    with_midi = unit(ratio={"midi": {"cc": 21, "values": {1: 0, 2: 64, 4: 127}}})
    assert with_midi.model_dump() == unit(ratio={}).model_dump()


@given(st.lists(st.tuples(st.integers(0, 95), SEVEN), max_size=8), st.tuples(SEVEN, SEVEN), st.integers(0, 16383))
def test_the_state_after_any_stream_is_the_last_value_of_each_address(changes, parameter, value):
    nrpn = control_messages(ControlMidi(nrpn=parameter, values={1: 0}), value, 1)
    plain = [(0xB0, number, v) for number, v in changes if number not in (6, 38)]
    state = state_of([*plain, *nrpn])
    assert state == {(0, number): v for _, number, v in plain} | {
        (0, *parameter, 6): value >> 7,
        (0, *parameter, 38): value & 127,
    }


def test_an_echo_must_hold_every_value_that_was_sent():
    messages = sent(unit(ratio={"midi": {"nrpn": [1, 8], "values": {1: 0, 2: 300, 4: 500}}}), ratio=2)
    require_echo(messages, [(0xF8,), (0xB0, 7, 99), *messages])  # a clock tick and another controller between
    with pytest.raises(DeviceError, match=r"not confirmed what it was sent \(channel 1, 1 8 6\), got no answer"):
        require_echo(messages, [])
    with pytest.raises(DeviceError, match=r"got 45 \(allowed: 44\)"):
        require_echo(messages, [*messages[:3], (0xB0, 38, 45)])


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["Midi Through:0", "USB MIDI:USB MIDI 20:0"], "usb", "USB MIDI:USB MIDI 20:0"),
        (["emu:in", "emu:in 2"], "EMU:IN", "emu:in"),  # a whole name wins
        (["emu:in", "emu:in"], "emu", "emu:in"),
    ],
)
def test_a_port_is_found_by_a_part_of_its_name(names: list[str], wanted: str, found: str):
    assert choose_port(names, wanted, "output") == found


def test_a_missing_port_and_an_ambiguous_one_list_what_is_there():
    with pytest.raises(DeviceError, match=r"no such MIDI output port, got rack \(allowed: a, b\)"):
        choose_port(["a", "b"], "rack", "output")
    with pytest.raises(DeviceError, match="none is there"):
        choose_port([], "rack", "output")
    with pytest.raises(
        UsageError, match=r"several MIDI output ports have this name, got rack \(allowed: rack 1, rack 2"
    ):
        choose_port(["rack 1", "rack 2"], "rack", "output")


MAPPED = unit({"echo": True, "interval_ms": 5}, ratio={"midi": {"cc": 21, "values": {1: 0, 2: 64, 4: 127}}})


@pytest.fixture
def conversations(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Orders to a port named `The Rack` that echoes what it hears, except that the last one is answered wrongly once
    there are three."""
    orders: list[dict[str, Any]] = []

    def run(command: list[str], text: str, timeout_s: float) -> Ended:
        assert command[1:] == ["-m", "buscomp.capture.midi_port"]
        orders.append(json.loads(text))
        heard = orders[-1]["messages"]
        if len(orders) == 3:
            heard = [[status, number, value ^ 1] for status, number, value in heard]
        return Ended(0, json.dumps({"port": "The Rack", "heard": heard}), "")

    monkeypatch.setattr(midi_panel, "run_program", run)
    return orders


def test_the_panel_finds_its_port_at_once_and_again_for_every_setting(conversations: list[dict[str, Any]]):
    panel = MidiPanel(MAPPED, "rack", wait_s=0.1)
    assert panel.hands_free
    assert panel.port == "The Rack"
    panel.bring(MAPPED.setting({"ratio": 2}, "grid"), None)
    assert conversations == [
        {"port": "rack", "messages": [], "interval_ms": 5, "wait_s": 0, "listen": True},
        {"port": "rack", "messages": [[0xB0, 21, 64]], "interval_ms": 5, "wait_s": 0.1, "listen": True},
    ]
    with pytest.raises(DeviceError, match="not confirmed"):
        panel.correct(MAPPED.setting({"ratio": 4}, "grid"), "looks like ratio 2")


def test_a_unit_without_a_mapping_has_no_midi_panel():
    with pytest.raises(UsageError, match="maps no control to MIDI"):
        MidiPanel(unit(ratio={}), "rack")


def test_a_machine_without_midi_is_a_device_error_of_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MIDO_BACKEND", "mido.backends.nowhere")
    with pytest.raises(DeviceError, match=r"the MIDI port rack cannot be used: ModuleNotFoundError.*nowhere"):
        MidiPanel(MAPPED, "rack")


def test_mido_is_loaded_by_the_process_that_talks_to_the_port_alone():
    script = "import sys, buscomp.capture.midi_panel, buscomp.capture.midi_port; print('mido' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout == "False\n"

"""Real MIDI over JACK: the panel turns the knob of the compressor on the rig, and the audio proves it.

The rig's plugin has no MIDI input of its own, so an emulator listens in its place, and this test turns what it hears
into orders to the plugin's host. Everything that loads libjack runs in processes of its own.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from buscomp.capture.device import DeviceProfile
from buscomp.capture.interface import play_and_record
from buscomp.capture.midi_panel import MidiPanel
from buscomp.capture.portaudio import PortAudioInterface
from buscomp.manifests.errors import DeviceError, UsageError
from buscomp.manifests.pcm import Float32
from buscomp.manifests.unit import Setting, Unit
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, Rig

pytestmark = pytest.mark.rig

EMULATOR = Path(__file__).with_name("midi_emulator.py")
THRESHOLD_CC = 20
UNIT = Unit.model_validate(
    {
        "make": "Zam",
        "model": "ZamCompX2",
        "midi": {"channel": 3, "echo": True},
        "controls": {
            "threshold_db": {
                **{"label": "THRESHOLD", "kind": "pot", "short": "thr", "unit": "dB", "meaning": "threshold"},
                **{"positions": [-40, -30, -20, -10], "midi": {"cc": THRESHOLD_CC, "ends": {-40: 40, -10: 100}}},
            },
        },
    }
)


def threshold_db(value: int) -> float:
    """What the emulated unit makes of a controller's value."""
    return value / 2 - 60


def setting(threshold_db: float) -> Setting:
    return UNIT.setting({"threshold_db": threshold_db}, "grid")


@contextmanager
def emulator(rig: Rig, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The emulated unit, whose threshold is the plugin's."""

    def turn_what_it_hears() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            status, number, value = (int(word) for word in line.split())
            if (status, number) == (0xB2, THRESHOLD_CC):
                rig.knob(thr=threshold_db(value))

    command = [sys.executable, str(EMULATOR), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n"
            listener = threading.Thread(target=turn_what_it_hears)
            listener.start()
            yield process
        finally:
            process.terminate()
            listener.join()


@pytest.fixture(autouse=True)
def _midi_over_jack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDO_BACKEND", "mido.backends.rtmidi/UNIX_JACK")


def tone() -> Float32:
    """A second of 1 kHz at -12 dBFS after half a second of silence."""
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    wave = 0.25 * np.sin(2 * np.pi * 1000 * time_s)
    return np.concatenate([np.zeros(SAMPLE_RATE // 2), wave, np.zeros(2 * PERIOD)])[:, None].repeat(2, 1).astype("f4")


def gain_db(audio: Float32, start: int) -> float:
    """Of the tone's last half second."""
    late = slice(start + SAMPLE_RATE, start + SAMPLE_RATE * 3 // 2)
    return float(20 * np.log10(audio[late].std() / tone()[SAMPLE_RATE : SAMPLE_RATE * 3 // 2].std()))


def test_the_midi_panel_turns_the_plugins_threshold_and_the_gain_is_what_the_oracle_says(start_rig):
    rig = start_rig(rat=4.0, thr=0.0)
    interface = PortAudioInterface(DeviceProfile(match="fireface"))
    try:
        with emulator(rig):
            panel = MidiPanel(UNIT, "emu", wait_s=0.5)
            assert panel.port == "emu:in"
            gains = {}
            for position in (-40, -20, -30):
                panel.bring(setting(position), None)
                assert rig.controls["thr"] == position
                gains[position] = gain_db(play_and_record(interface, tone()).audio, PERIOD)
                assert gains[position] == pytest.approx(gain_db(rig.oracle(tone()), 0), abs=0.001)
    finally:
        interface.close()
    assert gains[-40] < gains[-30] - 5 < gains[-20] - 10


def test_a_port_that_is_gone_or_not_connected_is_a_device_error_and_never_silence(rig: Rig):
    with emulator(rig) as unit:
        panel = MidiPanel(UNIT, "EMU", wait_s=0.1)
        panel.bring(setting(-20), None)
        unit.terminate()
        unit.wait()
        with pytest.raises(DeviceError, match="no such MIDI output port, got EMU"):
            panel.bring(setting(-30), None)
        assert rig.controls["thr"] == -20
    with emulator(rig, "deaf"), pytest.raises(DeviceError, match="emu:in is not connected"):
        MidiPanel(UNIT, "emu", wait_s=0.1).bring(setting(-30), None)


def test_a_port_name_that_means_nothing_lists_the_ports_that_are_there(rig: Rig):
    with emulator(rig):
        with pytest.raises(DeviceError, match=r"no such MIDI output port, got rack \(allowed: .*emu:in"):
            MidiPanel(UNIT, "rack")
        several = UNIT.model_copy(update={"midi": UNIT.midi.model_copy(update={"echo": False})})
        with emulator(rig), pytest.raises(UsageError, match="several MIDI output ports"):
            MidiPanel(several, "emu")

"""A device with several compressors behind it: one JACK client that hosts them itself.

PortAudio shows a JACK client as one device, and jalv hosts one plugin, so a device with two units, a loopback pair and
returns for control voltage needs a client of its own. This one calls the LADSPA build of ZamCompX2, the same code as
the LV2 one, between its inputs and outputs, in the server's cycle: every way around is one period, as with jalv.

    python many_units.py NAME UNITS LOOPBACK CV SPLIT      the last three: 1 or 0
    outputs of the device: 2 for every unit (SPLIT: 2 for all of them), then the loopback
    inputs of the device: 2 from every unit, then 1 control voltage from each, then the loopback
    stdin: "UNIT thr -20" turns a knob of a unit (from 0); its end is the end
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Mapping

import jack
import numpy as np

PLUGIN_FILE = "/usr/lib/ladspa/ZamCompX2-ladspa.so"
AUDIO_PORTS = 5  # two inputs, a side chain, two outputs
CONTROLS = {  # ports 5 to 13; the values compress nothing
    "att": 10.0, "rel": 100.0, "kn": 0.0, "rat": 1.0, "thr": 0.0, "mak": 0.0, "slew": 1.0, "stereodet": 1.0,
    "sidechain": 0.0,
}  # fmt: skip
CV_FRAMES = 64  # the control voltage is a staircase of this width
CV_PER_DB = 0.01  # 10 dB of gain reduction are -20 dBFS of control voltage

_Handle, _Index = ctypes.c_void_p, ctypes.c_ulong


class _Descriptor(ctypes.Structure):
    """LADSPA_Descriptor of ladspa.h."""

    _fields_ = (
        ("unique_id", ctypes.c_ulong),
        ("label", ctypes.c_char_p),
        ("properties", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("maker", ctypes.c_char_p),
        ("copyright", ctypes.c_char_p),
        ("port_count", ctypes.c_ulong),
        ("ports", ctypes.c_void_p),
        ("port_names", ctypes.c_void_p),
        ("hints", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("instantiate", ctypes.CFUNCTYPE(_Handle, ctypes.c_void_p, ctypes.c_ulong)),
        ("connect_port", ctypes.CFUNCTYPE(None, _Handle, _Index, ctypes.c_void_p)),
        ("activate", ctypes.CFUNCTYPE(None, _Handle)),
        ("run", ctypes.CFUNCTYPE(None, _Handle, ctypes.c_ulong)),
    )


class Compressor:
    """One ZamCompX2."""

    def __init__(self, sample_rate: int):
        library = ctypes.CDLL(PLUGIN_FILE)
        library.ladspa_descriptor.restype = ctypes.POINTER(_Descriptor)
        found = library.ladspa_descriptor(ctypes.c_ulong(0))
        self._plugin = found.contents
        self._handle = self._plugin.instantiate(ctypes.addressof(self._plugin), sample_rate)
        self._controls = {name: ctypes.c_float(value) for name, value in CONTROLS.items()}
        self._gain_reduction_db, self._level = ctypes.c_float(), ctypes.c_float()
        self._side_chain = np.zeros(CV_FRAMES, np.float32)
        values = (*self._controls.values(), self._gain_reduction_db, self._level)  # the last two: ports 14, 15
        for port, value in enumerate(values, AUDIO_PORTS):
            self._plugin.connect_port(self._handle, port, ctypes.addressof(value))
        self._plugin.connect_port(self._handle, 2, self._side_chain.ctypes.data)
        if self._plugin.activate:
            self._plugin.activate(self._handle)

    def turn(self, controls: Mapping[str, float]) -> None:
        for name, value in controls.items():
            self._controls[name].value = value

    def run(self, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> np.ndarray:
        """Compress one period; returns the gain reduction in dB, one value for each `CV_FRAMES` frames."""
        frames = len(inputs[0])
        ports = ((0, inputs[0]), (1, inputs[1]), (3, outputs[0]), (4, outputs[1]))
        starts = [(port, array.ctypes.data) for port, array in ports]
        reductions_db = np.empty(frames // CV_FRAMES, np.float32)
        for step in range(len(reductions_db)):
            for port, start in starts:
                self._plugin.connect_port(self._handle, port, start + 4 * CV_FRAMES * step)
            self._plugin.run(self._handle, CV_FRAMES)
            reductions_db[step] = self._gain_reduction_db.value
        return reductions_db


def main(name: str, units: int, loopback: bool, cv: bool, split: bool) -> None:
    client = jack.Client(name, no_start_server=True)
    compressors = [Compressor(client.samplerate) for _ in range(units)]
    sends = 2 if split else 2 * units
    device_outputs = [client.inports.register(f"playback_{n + 1}") for n in range(sends + loopback)]
    device_inputs = [client.outports.register(f"capture_{n + 1}") for n in range((2 + cv) * units + loopback)]

    def process(frames: int) -> None:
        played = [port.get_array() for port in device_outputs]
        returned = [port.get_array() for port in device_inputs]
        for number, compressor in enumerate(compressors):
            first = 0 if split else 2 * number
            reductions_db = compressor.run(played[first : first + 2], returned[2 * number : 2 * number + 2])
            if cv:
                returned[2 * units + number][:] = np.repeat(reductions_db * CV_PER_DB, CV_FRAMES)
        if loopback:
            returned[-1][:] = played[-1]

    client.set_process_callback(process)
    client.set_shutdown_callback(lambda status, reason: os._exit(0))
    gc.disable()
    with client:
        for line in sys.stdin:
            unit, control, value = line.split()
            compressors[int(unit)].turn({control: float(value)})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *(word == "1" for word in sys.argv[3:6]))

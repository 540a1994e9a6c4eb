"""Hardware in the loop without a sound card: a JACK server, and a compressor that looks like a device.

`jackd -S -d dummy` runs without hardware, and every JACK client is a PortAudio device: `jalv` hosting ZamCompX2 under
the name `fireface` is a two-channel interface with a compressor between its output and its input. In synchronous
mode (`-S`) the way around is exactly one period and no sample is lost, however loaded the machine; time stretches
instead. `lv2file` renders the same plugin offline: the oracle. With several units, a loopback pair or a control
voltage, `many_units.py` takes jalv's place. `docs/rig.md` shows all this by hand.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile

from buscomp.capture.device import DeviceProfile
from buscomp.manifests.pcm import Float32

PLUGIN = "urn:zamaudio:ZamCompX2"
CLIENT = "fireface"
PORTS = 5  # two inputs, a side chain, two outputs
SAMPLE_RATE, PERIOD = 44100, 1024
MANY_UNITS = Path(__file__).with_name("many_units.py")
NEUTRAL = {"thr": 0.0, "rat": 1.0, "att": 10.0, "rel": 100.0, "kn": 0.0, "mak": 0.0, "slew": 1.0, "stereodet": 1.0}
PROGRAMS = ("jackd", "jalv", "lv2file", "setpriv")
READY_LIMIT_S = 20.0
WATCH_PORTS = """
import sys, time, jack
jack.set_error_function(lambda message: None)
jack.set_info_function(lambda message: None)
server, pattern, ports = sys.argv[1:]
while True:
    try:
        client = jack.Client("rigctl", servername=server, no_start_server=True)
        break
    except jack.JackError:
        time.sleep(0.05)
while len(client.get_ports(pattern)) < int(ports):
    time.sleep(0.02)
client.close()
"""
SHARED_MEMORY = Path("/dev/shm")


def missing() -> list[str]:
    """What has to be installed before a rig can start."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if "lv2file" not in absent and "jalv" not in absent:
        listed = subprocess.run(["lv2file", "--list"], capture_output=True, text=True)
        if PLUGIN not in listed.stdout:
            absent.append(f"the plugin {PLUGIN} (zam-plugins)")
    if importlib.util.find_spec("jack") is None:
        absent.append("JACK-Client")
    return absent


_numbers = itertools.count()


class Rig:
    """A running server and a compressor, stopped by `stop`. One at a time: JACK's client names are global.

    `units`: so many compressors hang on the device, each on its own two outputs, or with `split` all on the first two.
    `loopback`: one more output wired to one more input. `control_voltage`: one more input for each unit, its gain
    reduction in dB times 0.01, held for 64 frames. `profile` says which channel is which.
    """

    def __init__(
        self,
        sample_rate: int = SAMPLE_RATE,
        controls: Mapping[str, float] | None = None,
        *,
        units: int = 1,
        loopback: bool = False,
        control_voltage: bool = False,
        split: bool = False,
    ):
        self.sample_rate = sample_rate
        self.knobs = [NEUTRAL | dict(controls or {}) for _ in range(units)]  # of each unit
        self.profile = _profile(sample_rate, units, loopback, control_voltage, split)
        self.server_name = f"rig{os.getpid()}-{next(_numbers)}"
        self.environment = {
            "JACK_DEFAULT_SERVER": self.server_name,
            "JACK_NO_START_SERVER": "1",  # a dead server shall stay dead
            "JACK_NO_AUDIO_RESERVATION": "1",
        }
        self._folder = Path(tempfile.mkdtemp(prefix="buscomp-rig-"))
        self._processes: list[subprocess.Popen[str]] = []
        self._many = [str(units), *(str(int(switch)) for switch in (loopback, control_voltage, split))]
        self._by_jalv = not (units > 1 or loopback or control_voltage)
        self.stopped = False
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise

    @property
    def controls(self) -> dict[str, float]:
        """The knobs of the only, or the first, unit."""
        return self.knobs[0]

    def knob(self, **controls: float) -> None:
        """Turn knobs of every unit while the stream runs."""
        for unit in range(len(self.knobs)):
            self._turn(unit, controls)
        time.sleep(0.2)  # jalv reads its orders between periods

    def knob_of(self, unit: int, **controls: float) -> None:
        """Turn knobs of one unit, counted from 0, while the stream runs."""
        self._turn(unit, controls)
        time.sleep(0.2)

    def oracle(self, send: Float32, unit: int = 0, **controls: float) -> Float32:
        """What a unit makes of `send` (frames, 2) at the rig's knobs, rendered offline from a fresh state."""
        return render_offline(send, self.sample_rate, self.knobs[unit] | controls)

    def log(self) -> str:
        """What jackd and jalv said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log")))

    def restart(self) -> None:
        """End everything, as it is, and start it again under the same names, with the knobs where they were."""
        self._end()
        self._begin()

    def stop(self) -> None:
        """End everything, the host before the server, and leave nothing in shared memory."""
        self._end()
        self.stopped = True
        shutil.rmtree(self._folder, ignore_errors=True)

    def _turn(self, unit: int, controls: Mapping[str, float]) -> None:
        assert self.host.stdin is not None
        self.knobs[unit] |= controls
        for name, value in controls.items():
            self.host.stdin.write(f"{name} = {value}\n" if self._by_jalv else f"{unit} {name} {value}\n")
        self.host.stdin.flush()

    def _begin(self) -> None:
        if not _jack_runs():
            _remove_leftovers()
        self.server = self._start("jackd", "-n", self.server_name, "-r", "-S", "-d", "dummy",
                                  "-r", str(self.sample_rate), "-p", str(PERIOD))  # fmt: skip
        socket = SHARED_MEMORY / f"jack_{self.server_name}_{os.getuid()}_0"
        self._wait_for(socket.exists, "jackd")
        if self._by_jalv:
            settings = [word for name, value in self.controls.items() for word in ("-c", f"{name}={value}")]
            self.host = self._start("jalv", "-x", "-n", CLIENT, *settings, PLUGIN)
            self._wait_for_ports(PORTS)
        else:
            self.host = self._start(sys.executable, str(MANY_UNITS), CLIENT, *self._many)
            self._wait_for_ports(len(self.profile.wiring.outputs) + len(self.profile.wiring.inputs))
            for unit, controls in enumerate(self.knobs):
                self._turn(unit, controls)
            time.sleep(0.2)

    def _end(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGCONT)  # a host cannot leave a server that stands still
        for process in reversed(self._processes):
            with suppress(OSError, subprocess.TimeoutExpired):
                assert process.stdin is not None
                process.stdin.close()  # a host's way to leave in order; jackd needs its signal
                process.wait(0.0 if process is self._processes[0] else 2.0)
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(3.0)
            process.kill()
            process.wait()
        self._processes.clear()
        if not _jack_runs():
            _remove_leftovers()

    def _start(self, *command: str) -> subprocess.Popen[str]:
        with (self._folder / f"{Path(command[0]).name}.log").open("w") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],  # no server may outlive a test run that was killed
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=os.environ | self.environment,
            )
        self._processes.append(process)
        return process

    def _wait_for_ports(self, ports: int) -> None:
        """In a process of its own: libjack in this one would remember a server for ever."""
        watcher = self._start(sys.executable, "-c", WATCH_PORTS, self.server_name, f"{CLIENT}:.*", str(ports))
        self._processes.remove(watcher)
        try:
            self._wait_for(lambda: watcher.poll() is not None, CLIENT)
            if watcher.returncode:
                raise RuntimeError(f"{CLIENT} has no ports:\n{self.log()}")
        finally:
            watcher.kill()
            watcher.communicate()

    def _wait_for(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + READY_LIMIT_S
        while not ready():
            if dead := [process.args for process in self._processes if process.poll() is not None]:
                raise RuntimeError(f"{dead} ended:\n{self.log()}")
            if time.monotonic() > end:
                raise RuntimeError(f"{what} was not ready within {READY_LIMIT_S:g} s:\n{self.log()}")
            time.sleep(0.02)


def _profile(sample_rate: int, units: int, loopback: bool, control_voltage: bool, split: bool) -> DeviceProfile:
    """The device as `many_units.py` lays out its channels; units have the serials rig-1, rig-2, ..."""
    sends = 2 if split else 2 * units
    voltages = [(2 * units + unit + 1,) if control_voltage else () for unit in range(units)]
    places = [
        {
            "serial": f"rig-{unit + 1}",
            "sends": (1, 2) if split else (2 * unit + 1, 2 * unit + 2),
            "returns": (2 * unit + 1, 2 * unit + 2),
            "cv_returns": voltages[unit],
        }
        for unit in range(units)
    ]
    return DeviceProfile.model_validate(
        {
            "match": CLIENT,
            "sample_rate": sample_rate,
            "units": places if units > 1 else (),
            "cv_returns": voltages[0] if units == 1 else (),
            "loopback_send": sends + 1 if loopback else None,
            "loopback_return": (3 if control_voltage else 2) * units + 1 if loopback else None,
        }
    )


def render_offline(send: Float32, sample_rate: int, controls: Mapping[str, float]) -> Float32:
    """What the plugin makes of `send` (frames, 2) from a fresh state, by `lv2file`; no server takes part."""
    with tempfile.TemporaryDirectory(prefix="buscomp-oracle-") as folder:
        source, target = Path(folder, "in.wav"), Path(folder, "out.wav")
        soundfile.write(source, send, sample_rate, "FLOAT")
        knobs = [word for name, value in (NEUTRAL | dict(controls)).items() for word in ("-p", f"{name}:{value}")]
        wires = ["-c", "1:lv2_audio_in_1", "-c", "2:lv2_audio_in_2"]
        command = ["lv2file", "-i", str(source), "-o", str(target), *wires, *knobs, PLUGIN]
        subprocess.run(command, check=True, capture_output=True)
        rendered: Float32 = soundfile.read(target, dtype="float32", always_2d=True)[0]
    return rendered


def settled_from(wet: Float32, oracle: Float32) -> int:
    """The frame from which on `wet` equals `oracle` to the last bit; the length when it never does."""
    different = np.flatnonzero((wet != oracle).any(axis=1))
    return int(different[-1]) + 1 if len(different) else 0


def _jack_runs() -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text().strip() in ("jackd", "jackdbus", "jackdmp"):
                return True
    return False


def _remove_leftovers() -> None:
    """After seven servers that were killed, jackd refuses to start: entries in shared memory are never freed."""
    for path in SHARED_MEMORY.glob("jack*"):
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

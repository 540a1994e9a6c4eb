"""Hardware in the loop without a sound card: a JACK server, and a compressor that looks like a device.

`jackd -S -d dummy` runs without hardware, and every JACK client is a PortAudio device: `jalv` hosting ZamCompX2 under
the name `fireface` is a two-channel interface with a compressor between its output and its input. In synchronous
mode (`-S`) the way around is exactly one period and no sample is lost, however loaded the machine; time stretches
instead. `lv2file` renders the same plugin offline: the oracle. `docs/rig.md` shows all this by hand.
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

from buscomp.manifests.pcm import Float32

PLUGIN = "urn:zamaudio:ZamCompX2"
CLIENT = "fireface"
PORTS = 5  # two inputs, a side chain, two outputs
SAMPLE_RATE, PERIOD = 44100, 1024
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
    """A running server and a compressor, stopped by `stop`. One at a time: JACK's client names are global."""

    def __init__(self, sample_rate: int = SAMPLE_RATE, controls: Mapping[str, float] | None = None):
        self.sample_rate = sample_rate
        self.controls = NEUTRAL | dict(controls or {})
        self.server_name = f"rig{os.getpid()}-{next(_numbers)}"
        self.environment = {
            "JACK_DEFAULT_SERVER": self.server_name,
            "JACK_NO_START_SERVER": "1",  # a dead server shall stay dead
            "JACK_NO_AUDIO_RESERVATION": "1",
        }
        self._folder = Path(tempfile.mkdtemp(prefix="buscomp-rig-"))
        self._processes: list[subprocess.Popen[str]] = []
        if not _jack_runs():
            _remove_leftovers()
        try:
            self.server = self._start("jackd", "-n", self.server_name, "-r", "-S", "-d", "dummy",
                                      "-r", str(sample_rate), "-p", str(PERIOD))  # fmt: skip
            socket = SHARED_MEMORY / f"jack_{self.server_name}_{os.getuid()}_0"
            self._wait_for(socket.exists, "jackd")
            settings = [word for name, value in self.controls.items() for word in ("-c", f"{name}={value}")]
            self.host = self._start("jalv", "-x", "-n", CLIENT, *settings, PLUGIN)
            self._wait_for_ports()
        except BaseException:
            self.stop()
            raise

    def knob(self, **controls: float) -> None:
        """Turn knobs while the stream runs."""
        assert self.host.stdin is not None
        self.controls |= controls
        for name, value in controls.items():
            self.host.stdin.write(f"{name} = {value}\n")
        self.host.stdin.flush()
        time.sleep(0.2)  # jalv reads its orders between periods

    def oracle(self, send: Float32, **controls: float) -> Float32:
        """What the plugin makes of `send` (frames, 2) at the rig's knobs, rendered offline from a fresh state."""
        return render_offline(send, self.sample_rate, self.controls | controls)

    def log(self) -> str:
        """What jackd and jalv said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log")))

    def stop(self) -> None:
        """End everything, the host before the server, and leave nothing in shared memory."""
        for process in self._processes:
            process.send_signal(signal.SIGCONT)  # a host cannot leave a server that stands still
        for process in reversed(self._processes):
            with suppress(OSError, subprocess.TimeoutExpired):
                assert process.stdin is not None
                process.stdin.close()  # jalv's way to leave in order; jackd needs its signal
                process.wait(0.0 if process is self._processes[0] else 2.0)
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(3.0)
            process.kill()
            process.wait()
        if not _jack_runs():
            _remove_leftovers()
        shutil.rmtree(self._folder, ignore_errors=True)

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

    def _wait_for_ports(self) -> None:
        """In a process of its own: libjack in this one would remember a server for ever."""
        watcher = self._start(sys.executable, "-c", WATCH_PORTS, self.server_name, f"{CLIENT}:.*", str(PORTS))
        self._processes.remove(watcher)
        try:
            self._wait_for(lambda: watcher.poll() is not None, "jalv")
            if watcher.returncode:
                raise RuntimeError(f"jalv has no ports:\n{self.log()}")
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

"""A stream between the inputs and outputs of a sound device, by PortAudio (JACK, ALSA, Core Audio, ASIO).

When an audio server dies, callbacks just stop, and every further call into PortAudio hangs for ever. So the number of
frames that went through is watched, and a stream that stands still ends the program without closing the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..manifests.errors import DeviceError, UsageError
from ..manifests.pcm import Float32
from ..manifests.portaudio import import_portaudio
from .streaming import Stream

STALL_S = 8.0  # without one callback
POLL_S = 0.05
LONGEST_BLOCK = 16_384  # frames


class Callback:
    """What PortAudio calls for every block: inputs through the stream to the outputs."""

    def __init__(self, stream: Stream):
        self._stream = stream
        self._x, self._y = (np.zeros((LONGEST_BLOCK, stream.channels), np.float32) for _ in range(2))
        self.frames = 0  # that went through
        self.xruns = 0
        self.error: Exception | None = None

    def __call__(self, indata: Float32, outdata: Float32, frames: int, times: Any, status: Any) -> None:
        if status and not status.priming_output:
            self.xruns += 1
        try:
            x, y = self._x[:frames], self._y[:frames]
            x[:] = indata
            self._stream.process_into(x, y)
            outdata[:] = y
        except Exception as error:  # noqa: BLE001  PortAudio would swallow it: the main thread shall hear of it
            self.error = error
            outdata.fill(0)
        self.frames += frames


def run_live(
    stream: Stream,
    device: str,
    block_size: int,
    obey: Callable[[], bool],
    say: Callable[[str], None],
) -> Callback:
    """Open the device whose name contains `device`, and process until `obey()`, asked 20 times a second, says False.
    `DeviceError` when it cannot be opened, or stands still: then the process must be ended without another word to
    PortAudio."""
    sd = import_portaudio()
    index = _index(sd, device)
    name = sd.query_devices(index)["name"]
    callback = Callback(stream)
    try:
        opened = sd.Stream(
            device=(index, index),
            samplerate=stream.sample_rate,
            blocksize=0 if "JACK" in _host_api(sd, index) else block_size,  # JACK's server sets the period
            channels=(stream.channels, stream.channels),
            dtype="float32",
            latency="low",
            callback=callback,
        )
        opened.start()
    except sd.PortAudioError as error:
        raise DeviceError(
            f"{name} cannot be opened ({error.args[0]})",
            got=f"{round(sd.query_devices(index)['default_samplerate'])} Hz on the device",
            allowed=f"{stream.sample_rate} Hz, of the model",
            mend="set the device, or its audio server, to that; or choose --channels",
        ) from error
    say(f"{name}: {stream.channels} channels at {stream.sample_rate} Hz. Ctrl-C ends it.")
    seen, moved_at = -1, time.monotonic()
    try:
        while obey() and callback.error is None:
            time.sleep(POLL_S)
            if callback.frames != seen:
                seen, moved_at = callback.frames, time.monotonic()
            elif time.monotonic() - moved_at > STALL_S:
                raise StalledError(
                    f"{name} moved no sample for {STALL_S:g} s", mend="look at its cable and at the audio server"
                )
    except KeyboardInterrupt:
        pass
    opened.stop()
    opened.close()
    if callback.error is not None:
        raise DeviceError(f"the stream broke ({type(callback.error).__name__}: {callback.error})")
    return callback


class StalledError(DeviceError):
    """The device stands still: PortAudio must not be called any more."""


def _host_api(sd: Any, index: int) -> str:
    name: str = sd.query_hostapis(sd.query_devices(index)["hostapi"])["name"]
    return name


def _index(sd: Any, wanted: str) -> int:
    """The one device whose name contains `wanted`, in any case; a whole name wins."""
    devices = [str(device["name"]) for device in sd.query_devices()]
    found = [i for i, name in enumerate(devices) if wanted.lower() in name.lower()]
    found = [i for i in found if devices[i].lower() == wanted.lower()] or found
    if len(found) != 1:
        raise UsageError(
            "no such audio device" if not found else "several audio devices have this name",
            got=wanted, allowed=devices or "none: this system has no devices", mend="type `buscomp devices`",
        )  # fmt: skip
    return found[0]

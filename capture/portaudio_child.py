"""What runs in the audio process: the only code that touches PortAudio.

A dead audio server makes every PortAudio call hang for ever, so they are all made here, in a process that its parent
watches and can kill (`portaudio.py`). Nothing else runs here: a Python thread that holds the interpreter would
starve the callback.

    parent -> child   frames of a take, then its audio              None: give the device back
    child -> parent   the device and its block size, or an error    flags of a take, then its audio, or an error
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np

from ..manifests.errors import BuscompError, DeviceError
from ..manifests.pcm import Float32
from .device import SEE_DEVICES, AudioDevice, DeviceProfile, choose_device

CHUNK_BYTES = 1 << 20  # audio crosses the pipe in such pieces
ORPHAN_S = 3.0  # after its parent's death the child may take so long to give the device back
START_LIMIT_S = 10.0  # from the start of the stream to its first callback
FLAGS = ("input_overflow", "output_underflow", "input_underflow", "output_overflow")
INVALID_SAMPLE_RATE, INVALID_CHANNEL_COUNT = -9997, -9998  # PaErrorCode in portaudio.h
Xrun = tuple[int, str]  # frame of the take, which flags


class Counter(Protocol):
    """A number in memory that parent and child share."""

    value: int


@dataclass
class Take:
    """One take on its way through the callback."""

    send: Float32  # (frames, output channels)
    recorded: Float32  # (frames, input channels)
    position: int = 0
    xruns: list[Xrun] = field(default_factory=list)
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Player:
    """The stream's callback: copies slices of the take there is, and silence between takes."""

    def __init__(self, streamed: Counter):
        self._streamed = streamed
        self.take: Take | None = None
        self.block_size = 0  # frames of the first callback
        self.running = threading.Event()

    def __call__(self, indata: Float32, outdata: Float32, frames: int, times: Any, status: Any) -> None:
        outdata.fill(0)
        self._streamed.value += frames
        if not self.block_size:
            self.block_size = frames
            self.running.set()
        take = self.take
        if take is None:
            return
        try:
            begin = take.position
            end = min(begin + frames, len(take.send))
            outdata[: end - begin] = take.send[begin:end]
            take.recorded[begin:end] = indata[: end - begin]
            if status and (raised := [flag for flag in FLAGS if getattr(status, flag)]):
                take.xruns.append((begin, " ".join(raised)))
            take.position = end
        except BaseException as error:  # noqa: BLE001  PortAudio would swallow it: the parent shall hear of it
            take.error = error
        if take.error is not None or take.position == len(take.send):
            self.take = None
            take.done.set()


def serve(connection: Connection, streamed: Counter, profile: DeviceProfile) -> None:
    """Main function of the audio process: open the device, then play takes until the parent has enough."""
    _become_audio_process()
    player = Player(streamed)
    try:
        sd = import_portaudio()
        devices = _devices(sd)
        index = choose_device(devices, profile)
        stream = _open_stream(sd, index, devices[index], profile, player)
    except BuscompError as error:
        connection.send(error)
        return
    connection.send((devices[index], player.block_size))
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while (frames := connection.recv()) is not None:
            _play(connection, player, frames, profile)
    except (EOFError, OSError):  # the parent is gone, or has closed its end to interrupt a take
        pass
    finally:
        stream.stop()
        stream.close()


def query(connection: Connection) -> None:
    """Main function of a short-lived audio process: the devices of this system, or an error."""
    _become_audio_process()
    try:
        connection.send(_devices(import_portaudio()))
    except BuscompError as error:
        connection.send(error)


def import_portaudio() -> Any:
    """The module sounddevice; `DeviceError` when there is no PortAudio library or it cannot start."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            f"PortAudio cannot be loaded ({error})",
            mend="install it: sudo apt-get install libportaudio2 (Debian, Ubuntu), brew install portaudio (macOS)",
        ) from error
    return sounddevice


def send_audio(connection: Connection, audio: Float32) -> None:
    """Put the samples of `audio` into the pipe."""
    raw = np.ascontiguousarray(audio).data.cast("B")
    for begin in range(0, len(raw), CHUNK_BYTES):
        connection.send_bytes(raw[begin : begin + CHUNK_BYTES])


def receive_audio(connection: Connection, frames: int, channels: int) -> Float32:
    """Take `(frames, channels)` samples out of the pipe."""
    audio = np.zeros((frames, channels), np.float32)
    raw = audio.data.cast("B")
    received = 0
    while received < len(raw):
        received += connection.recv_bytes_into(raw, received)
    return audio


def _play(connection: Connection, player: Player, frames: int, profile: DeviceProfile) -> None:
    audio = receive_audio(connection, frames, len(profile.sends))
    send = np.zeros((frames, max(profile.sends)), np.float32)
    send[:, _columns(profile.sends)] = audio
    recorded = np.empty((frames, max(profile.returns)), np.float32)
    recorded.fill(0)  # touches every page now, so that the callback never waits for one
    take = player.take = Take(send, recorded)
    while not take.done.wait(0.05):
        if connection.poll():  # nothing is due during a take: the parent is gone, or wants no more of it
            player.take = None
            return
    if take.error is not None:
        connection.send(DeviceError(f"the audio callback failed ({type(take.error).__name__}: {take.error})"))
        return
    connection.send(take.xruns)
    send_audio(connection, recorded[:, _columns(profile.returns)])


def _columns(channels: Sequence[int]) -> list[int]:
    return [channel - 1 for channel in channels]


def _devices(sd: Any) -> list[AudioDevice]:
    host_apis = sd.query_hostapis()
    return [
        AudioDevice(
            name=device["name"],
            host_api=host_apis[device["hostapi"]]["name"],
            sends=device["max_output_channels"],
            returns=device["max_input_channels"],
            sample_rate=round(device["default_samplerate"]),
        )
        for device in sd.query_devices()
    ]


def _open_stream(sd: Any, index: int, device: AudioDevice, profile: DeviceProfile, player: Player) -> Any:
    """The running full-duplex stream; `DeviceError` when the device cannot do what the profile asks."""
    sends, returns = max(profile.sends), max(profile.returns)
    # JACK's server sets the period; asking PortAudio for a block size there costs one more period of latency
    block_size = 0 if "JACK" in device.host_api else profile.block_size
    try:
        stream = sd.Stream(
            device=(index, index),
            samplerate=profile.sample_rate,
            blocksize=block_size,
            channels=(returns, sends),
            dtype="float32",
            latency="high",
            callback=player,
        )
        stream.start()
    except sd.PortAudioError as error:
        code = error.args[1] if len(error.args) > 1 else None
        if code == INVALID_SAMPLE_RATE:
            raise _wrong_rate(device, profile, device.sample_rate) from error
        if code == INVALID_CHANNEL_COUNT:
            raise DeviceError(
                f"{device.name} has too few channels",
                got=f"{device.sends} out and {device.returns} in",
                allowed=f"at least {sends} out and {returns} in",
                mend=SEE_DEVICES,
            ) from error
        raise DeviceError(f"{device.name} cannot be opened ({error.args[0]})", mend=SEE_DEVICES) from error
    if round(stream.samplerate) != profile.sample_rate:
        raise _wrong_rate(device, profile, round(stream.samplerate))
    if not player.running.wait(START_LIMIT_S):
        raise DeviceError(f"{device.name} was opened but moves no sample", mend="restart the audio server")
    return stream


def _wrong_rate(device: AudioDevice, profile: DeviceProfile, actual: int) -> DeviceError:
    return DeviceError(
        f"{device.name} does not run at the profile's sample rate",
        got=f"{actual} Hz",
        allowed=f"{profile.sample_rate} Hz",
        mend=f"set the device, or its audio server, to {profile.sample_rate} Hz",
    )


def _become_audio_process() -> None:
    """Quiet, deaf to Ctrl-C, quick to hand the interpreter to the callback, and never longer-lived than its parent."""
    for name in ("SIGINT", "SIGHUP"):  # the parent gets them too, and closes the stream in good order
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.setswitchinterval(0.0005)
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # libjack and ALSA print pages
        os.dup2(silence, descriptor)
    os.close(silence)
    threading.Thread(target=_die_after, args=(os.getppid(),), daemon=True).start()


def _die_after(parent: int) -> None:
    """End this process when `parent` is dead. The pipe's end does it in good order; this is for when it cannot."""
    while os.getppid() == parent:
        time.sleep(0.25)
    time.sleep(ORPHAN_S)
    os._exit(1)

"""What runs in the audio process: the only code that touches PortAudio.

A dead audio server makes every PortAudio call hang for ever, so they are all made here, in a process that its parent
watches and can kill (`portaudio.py`). Nothing else runs here: a Python thread that holds the interpreter would
starve the callback. Audio lies in take buffers that both processes share; only short messages cross the pipe:

    parent -> child   PlayTake, Withdraw, Attach                     the pipe's end: give the device back
    child -> parent   Opened, then TakeDone, Withdrawn, Attached     an error: the device cannot be opened, or is lost
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..manifests.errors import BuscompError, DeviceError
from ..manifests.portaudio import import_portaudio
from .audio_process import become_audio_process, become_real_time
from .device import SEE_DEVICES, AudioDevice, DeviceProfile, choose_device
from .player import Counter, Player, Take
from .take_buffer import TakeBuffer, TakeShape

START_LIMIT_S = 10.0  # from the start of the stream to its first callback
POLL_S, IDLE_POLL_S = 0.01, 0.25  # the end of a take, or of a server, is told so long after it at the latest
INVALID_SAMPLE_RATE, INVALID_CHANNEL_COUNT = -9997, -9998  # PaErrorCode in portaudio.h


@dataclass(frozen=True)
class Opened:
    """The stream runs."""

    device: AudioDevice
    block_size: int  # frames per callback
    real_time: bool  # whether the system granted real-time priority


@dataclass(frozen=True)
class PlayTake:
    """Play what lies in a take buffer."""

    slot: int
    frames: int


@dataclass(frozen=True)
class TakeDone:
    """A take is over; what returned lies in its buffer."""

    slot: int
    stream_frame: int
    started_unix_s: float
    elapsed_s: float
    xrun_frames: tuple[int, ...]

    @classmethod
    def of(cls, take: Take) -> TakeDone:
        """What the parent shall know of a take that is over."""
        elapsed_s = take.ended_s - take.started_s
        return cls(take.slot, take.stream_frame, take.started_unix_s, elapsed_s, tuple(take.xrun_frames))


@dataclass(frozen=True)
class Withdraw:
    """Take back the take queued last."""


@dataclass(frozen=True)
class Withdrawn:
    """Whether it was taken back: it was not if it had begun."""

    taken_back: bool


@dataclass(frozen=True)
class Attach:
    """Use another take buffer from now on."""

    slot: int
    shape: TakeShape


@dataclass(frozen=True)
class Attached:
    """It is in use."""


def serve(connection: Connection, streamed: Counter, profile: DeviceProfile, shapes: Sequence[TakeShape]) -> None:
    """Main function of the audio process: open the device, then play takes until the parent has enough."""
    become_audio_process()
    buffers = [TakeBuffer.attach(shape) for shape in shapes]
    real_time = become_real_time()  # before PortAudio starts its thread, which inherits it
    player = Player(streamed, profile.sample_rate)
    try:
        sd = import_portaudio()
        devices = _devices(sd)
        index = choose_device(devices, profile)
        stream = _open_stream(sd, index, devices[index], profile, player)
    except BuscompError as error:
        connection.send(error)
        return
    connection.send(Opened(devices[index], player.block_size, real_time))
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        connection.send(play_takes(connection, player, stream, buffers))
        while True:  # what the parent still says is of no use; it ends this process
            connection.recv()
    except (EOFError, OSError):  # the parent is gone, or has closed its end
        if not stream.active:
            os._exit(1)  # its server is dead: to stop or close it would hang for ever
        stream.stop()
        stream.close()


def query(connection: Connection) -> None:
    """Main function of a short-lived audio process: the devices of this system, or an error."""
    become_audio_process()
    try:
        connection.send(_devices(import_portaudio()))
    except BuscompError as error:
        connection.send(error)


def play_takes(connection: Connection, player: Player, stream: Any, buffers: list[TakeBuffer]) -> DeviceError:
    """Do what the parent says until something breaks; returns what. `EOFError` or `OSError` when the parent has
    closed its end."""
    while player.error is None:
        if connection.poll(POLL_S if player.busy else IDLE_POLL_S):
            _obey(connection, connection.recv(), player, buffers)
        while player.finished:
            connection.send(TakeDone.of(player.finished.popleft()))
        if not stream.active:  # PortAudio says it without hanging, where it hears of it
            return DeviceError(
                "the audio stream ended: its server or its device is gone",
                mend="start the audio server again, or look at the cable",
            )
    return DeviceError(f"the audio callback failed ({type(player.error).__name__}: {player.error})")


def _obey(connection: Connection, message: object, player: Player, buffers: list[TakeBuffer]) -> None:
    if isinstance(message, PlayTake):
        buffer = buffers[message.slot]
        player.queue(Take(message.slot, message.frames, buffer.send, buffer.returned))
    elif isinstance(message, Withdraw):
        connection.send(Withdrawn(player.withdraw()))
    elif isinstance(message, Attach):
        buffers[message.slot].close()
        buffers[message.slot] = TakeBuffer.attach(message.shape)
        connection.send(Attached())


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
    sends, returns = max(profile.wiring.outputs), max(profile.wiring.inputs)
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

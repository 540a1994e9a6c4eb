"""The unbroken stream of a session: what is played through the open interface, and how it is opened again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..manifests.errors import BuscompError, DeviceError
from ..manifests.pcm import Float32
from .control import GO, PAUSE, STOP, Control
from .daemon import Daemon
from .interface import Interface, Recording
from .playlist import Play, Playlist
from .staging import Staging
from .wiring import Wiring

RETRY_S = 1.0  # between two tries to open a device that is gone
PAUSE_POLL_S = 0.2
UNBOOSTED = Staging(0.0, 0.0)  # a fingerprint is made at the level of the send


class Stopped(Exception):  # noqa: N818  not an error: somebody asked for it
    """The session was asked to stop, and everything that had begun is finished."""


@dataclass
class Stream:
    """The interface of a session, however often its device dies."""

    interface: Interface  # open
    reopen: Callable[[], Interface]
    wiring: Wiring
    staging: Staging
    device_wait_s: float  # how long a device that died is waited for
    control: Control
    daemon: Daemon
    report: Callable[[str], None]
    playing: deque[Play] = field(default_factory=deque)  # the plays that sound or were not fetched yet, oldest first

    def playlist(self) -> Playlist:
        """An empty one on this stream."""
        playlist = Playlist(self.interface, self.send_of, self.may_go_on)
        self.playing = playlist.under_way
        return playlist

    def send_of(self, play: Play) -> Float32:
        """What is sent for `play`, to every output."""
        return self.wiring.fan_out(play.layout.send(play.dry, self.staging if play.song_id else UNBOOSTED))

    def loopback(self, recording: Recording) -> Float32 | None:
        """The loopback return (frames,); None without a pair."""
        column = self.wiring.loopback_input
        return None if column is None else recording.audio[:, column]

    def play_alone(self, load: Callable[[], Play]) -> tuple[Play, Recording]:
        """One fingerprint with nothing behind it, however often the device dies on the way."""
        while True:
            play = load()
            self.daemon.doing("fingerprint", lasts_s=play.layout.frames / play.layout.sample_rate)
            self.playing = deque([play])
            try:
                self.interface.play(self.send_of(play))
                return play, self.interface.record()
            except DeviceError as error:
                self.report(str(error))
                self.open_again(error)

    def open_again(self, error: BuscompError) -> None:
        """Give the device back and wait until it can be opened again. `DeviceError` when it does not come back."""
        self.interface.close()
        self.report(f"Waiting for the device, {self.device_wait_s:g} s at most")
        last_try = time.monotonic() + self.device_wait_s
        with self.daemon.waiting("waiting for the device", str(error)):
            while True:
                try:
                    self.interface = self.reopen()
                    self.daemon.event("device_back")
                    return
                except BuscompError as still:  # a device that is gone from the list was typed rightly
                    if time.monotonic() >= last_try:
                        raise DeviceError(
                            f"the device did not come back within {self.device_wait_s:g} s: {still}"
                        ) from still
                time.sleep(RETRY_S)
                if self.control.wanted() == STOP:
                    raise Stopped

    def may_go_on(self) -> bool:
        """Whether nobody wants a pause or a stop."""
        return self.control.wanted() == GO

    def pause_or_stop(self) -> None:
        """Return when the session may go on; `Stopped` when it may not."""
        if self.control.wanted() == PAUSE:
            with self.daemon.waiting("paused", "the capture is paused: type `buscomp resume`"):
                while self.control.wanted() == PAUSE:
                    time.sleep(PAUSE_POLL_S)
        if self.control.wanted() == STOP:
            raise Stopped

    def close(self) -> None:
        """Give the device back."""
        self.interface.close()

"""A playlist: what is still to be played, kept flowing through an interface without a pause between the plays.

While one play sounds the next one is queued behind it already, and the one before it is examined. The stream
therefore waits for nothing that happens here, as long as an examination takes less time than a play.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..manifests.pcm import Float32
from .interface import Interface, Recording
from .layout import TakeLayout

QUEUED = 2  # sends that an interface holds: the one that sounds, and the one after it
Row = dict[str, Any]


@dataclass
class Play:
    """One send: a song with the takes that wait for it, one per unit, or a fingerprint, which has no song."""

    occasion: str  # `song`, or what a fingerprint is taken for
    dry: Float32  # (frames, channels): the song, or the fingerprint's signal
    layout: TakeLayout
    song_id: str | None = None
    takes: list[Row] = field(default_factory=list)
    after: dict[str, str] = field(default_factory=dict)  # unit_id: the take played right before it in the stream


@dataclass
class Playlist:
    """Plays in order. `load` makes the next one when its turn has come, so that only few songs are in memory."""

    interface: Interface
    send_of: Callable[[Play], Float32]
    go_on: Callable[[], bool]  # False: let what sounds end, and queue nothing more
    waiting: deque[Callable[[], Play]] = field(default_factory=deque)
    under_way: deque[Play] = field(default_factory=deque)
    before: Play | None = None  # the one that was queued last

    def add(self, loads: Iterable[Callable[[], Play]]) -> None:
        """Put plays at the end."""
        self.waiting.extend(loads)

    def feed(self) -> None:
        """Queue what fits into the interface."""
        while self.waiting and len(self.under_way) < QUEUED and self.go_on():
            play = self.waiting[0]()
            self.interface.play(self.send_of(play))
            self.waiting.popleft()
            self.under_way.append(play)
            play.after = {take["unit_id"]: take["take_id"] for take in self.before.takes} if self.before else {}
            self.before = play

    def next(self) -> tuple[Play, Recording] | None:
        """The next play that has ended, with what came back; the ones after it are on their way by then. None when
        nothing is left, or `go_on` is False and what sounded has ended."""
        self.feed()
        if not self.under_way:
            return None
        if not self.go_on() and len(self.under_way) == QUEUED and self.interface.withdraw():
            withdrawn = self.under_way.pop()
            self.waiting.appendleft(lambda: withdrawn)
            self.before = self.under_way[-1]
        recording = self.interface.record()
        play = self.under_way.popleft()
        self.feed()
        return play, recording

    def lose(self) -> tuple[Play | None, list[Play]]:
        """The device died: what was sounding, and what was queued behind it and goes back to the front."""
        sounding = self.under_way.popleft() if self.under_way else None
        behind = list(self.under_way)
        self.under_way.clear()
        self.before = None
        return sounding, behind

"""The playlist keeps the stream fed: the next play is queued before the one that ended is looked at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from buscomp.capture.interface import Recording
from buscomp.capture.layout import TakeLayout
from buscomp.capture.playlist import Play, Playlist
from buscomp.manifests.errors import DeviceError


class Tape:
    """An interface that notes the order of what it is asked, and loses its device at a given play."""

    name = host_api = "tape"
    sample_rate, block_size = 44_100, 64

    def __init__(self, dies_at: int | None = None):
        self.told: list[str] = []
        self.queue: list[float] = []
        self.begun = 0
        self.dies_at = dies_at

    def play(self, send: np.ndarray) -> None:
        assert len(self.queue) < 2, "an interface holds two sends at most"
        self.queue.append(float(send[0, 0]))
        self.told.append(f"play {send[0, 0]:g}")

    def record(self) -> Recording:
        number = self.queue.pop(0)
        if number == self.dies_at:
            raise DeviceError("the device stopped answering")
        self.told.append(f"record {number:g}")
        return Recording(np.full((1, 1), number, np.float32))

    def withdraw(self) -> bool:
        if len(self.queue) < 2:
            return False
        self.told.append(f"withdraw {self.queue.pop():g}")
        return True

    def close(self) -> None:
        self.told.append("close")


LAYOUT = TakeLayout.of(1, 44_100, 0.0)


def load(number: int) -> Callable[[], Play]:
    return lambda: Play("song", np.full((1, 1), number, np.float32), LAYOUT, f"song-{number}", [take(number)])


def take(number: int) -> dict[str, str]:
    return {"unit_id": "u", "take_id": f"t{number}"}


def playlist(tape: Tape, go_on: Callable[[], bool] = lambda: True, plays: int = 4) -> Playlist:
    made = Playlist(tape, lambda play: play.dry, go_on)
    made.add([load(number) for number in range(plays)])
    return made


def test_four_plays_come_back_in_order_and_each_next_one_is_queued_before_the_last_is_fetched():
    tape = Tape()
    flow = playlist(tape)
    heard = []
    while ended := flow.next():
        play, recording = ended
        heard.append((play.song_id, float(recording.audio[0, 0])))
    assert heard == [(f"song-{n}", n) for n in range(4)]
    assert tape.told == [
        *("play 0", "play 1", "record 0", "play 2", "record 1", "play 3", "record 2", "record 3"),
    ]


def test_every_play_names_the_take_right_before_it_and_the_first_one_none():
    flow = playlist(Tape())
    after = []
    while ended := flow.next():
        after.append(ended[0].after.get("u"))
    assert after == [None, "t0", "t1", "t2"]


def test_when_it_may_not_go_on_what_sounds_ends_what_is_queued_is_taken_back_and_nothing_is_lost():
    tape = Tape()
    answers = [True]
    flow = playlist(tape, lambda: answers[0])
    assert flow.next() is not None
    answers[0] = False
    ended = flow.next()
    assert ended is not None
    assert ended[0].song_id == "song-1"
    assert tape.told[-2:] == ["withdraw 2", "record 1"]
    assert flow.next() is None
    answers[0] = True
    rest = []
    while ended := flow.next():
        rest.append(ended[0].song_id)
    assert rest == ["song-2", "song-3"]


def test_a_device_that_dies_leaves_what_sounded_and_what_was_queued_apart():
    flow = playlist(Tape(dies_at=1))
    assert flow.next() is not None
    with pytest.raises(DeviceError):
        flow.next()
    sounding, behind = flow.lose()
    assert sounding is not None
    assert sounding.song_id == "song-1"
    assert [play.song_id for play in behind] == ["song-2"]
    assert len(flow.waiting) == 1


def test_plays_added_while_others_sound_come_after_them():
    flow = playlist(Tape(), plays=2)
    heard = []
    while ended := flow.next():
        heard.append(ended[0].song_id)
        if heard == ["song-0"]:
            flow.add([load(7)])
    assert heard == ["song-0", "song-1", "song-7"]

"""What the audio process does with the parent's messages, and how it gets at PortAudio."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

from buscomp.capture import audio_process
from buscomp.capture.player import Player
from buscomp.capture.portaudio_child import (
    Attach,
    Attached,
    PlayTake,
    TakeDone,
    Withdraw,
    Withdrawn,
    play_takes,
)
from buscomp.capture.take_buffer import TakeBuffer


@dataclass
class Count:
    value: int = 0


@dataclass
class Stream:
    """The part of sounddevice.Stream that is asked after the start."""

    active: bool = True


@dataclass
class Child:
    """The audio process's loop, in a thread, with the test as its parent and its device."""

    pipe: Connection
    buffers: list[TakeBuffer]
    player: Player = field(default_factory=lambda: Player(Count(), 44100))
    stream: Stream = field(default_factory=Stream)
    ended_with: list[object] = field(default_factory=list)
    thread_ended: threading.Event = field(default_factory=threading.Event)

    def run_device(self, frames: int) -> None:
        outdata = np.empty((frames, 2), np.float32)
        self.player(outdata, outdata, frames, None, None)  # what is played returns at once

    def end(self) -> object:
        """What its loop ended with."""
        assert self.thread_ended.wait(5.0)
        return self.ended_with[0]

    def says(self) -> object:
        assert self.pipe.poll(5.0)
        return self.pipe.recv()


@contextmanager
def child() -> Iterator[Child]:
    ours, theirs = multiprocessing.Pipe()
    running = Child(ours, [TakeBuffer.create(1000, 2, 2) for _ in range(2)])

    def loop() -> None:
        try:
            running.ended_with.append(play_takes(theirs, running.player, running.stream, running.buffers))
        except (EOFError, OSError) as error:
            running.ended_with.append(error)
        running.thread_ended.set()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield running
    finally:
        ours.close()
        thread.join()
        theirs.close()
        for buffer in running.buffers:
            buffer.unlink()
            buffer.close()


def test_two_takes_that_were_queued_are_played_and_their_ends_told_in_order():
    with child() as running:
        for slot, level in enumerate((0.25, 0.5)):
            running.buffers[slot].send[:] = level
            running.pipe.send(PlayTake(slot, 700 + slot))
        running.pipe.send(PlayTake(0, 10))
        running.pipe.send(Withdraw())
        assert running.says() == Withdrawn(True)  # by then all three were queued
        running.run_device(1000)
        first = running.says()
        running.run_device(1000)
        second = running.says()
        assert isinstance(first, TakeDone)
        assert isinstance(second, TakeDone)
        assert (first.slot, first.stream_frame, second.slot, second.stream_frame) == (0, 0, 1, 700)
        assert set(running.buffers[0].returned[:700].ravel()) == {np.float32(0.25)}
        assert set(running.buffers[1].returned[:701].ravel()) == {np.float32(0.5)}
        assert not running.buffers[1].returned[701:].any()


def test_a_longer_buffer_takes_the_place_of_one_that_is_free():
    with child() as running:
        longer = TakeBuffer.create(5000, 2, 2)
        running.pipe.send(Attach(1, longer.shape))
        assert running.says() == Attached()
        longer.send[:] = 0.125
        running.pipe.send(PlayTake(1, 4000))
        while not running.player.busy:
            pass
        running.run_device(4096)
        assert isinstance(running.says(), TakeDone)
        assert set(longer.returned[:4000].ravel()) == {np.float32(0.125)}
        assert running.buffers[1].shape == longer.shape
        longer.unlink()
        longer.close()


def test_a_server_that_ended_an_error_in_the_callback_and_a_parent_that_left_each_end_the_loop():
    with child() as running:
        running.stream.active = False
        assert "its server or its device is gone" in str(running.end())
    with child() as running:
        running.player.error = ValueError("no room")
        assert "the audio callback failed (ValueError: no room)" in str(running.end())
    with child() as running:
        running.pipe.send(Withdraw())
        assert running.says() == Withdrawn(False)
    assert isinstance(running.end(), EOFError)


def test_real_time_priority_that_is_not_granted_is_no_error(monkeypatch):
    asked = []

    def refuse(*arguments: object) -> None:
        asked.append(arguments)
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert audio_process.become_real_time() is False
    assert asked[0][1] == os.SCHED_FIFO

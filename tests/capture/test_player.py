"""The stream's callback, without a stream."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.player import Player, Take

RATE = 44100


@dataclass
class Count:
    value: int = 0


@dataclass
class Status:
    """What sounddevice.CallbackFlags looks like."""

    input_overflow: bool = False
    output_underflow: bool = False
    input_underflow: bool = False
    output_overflow: bool = False
    priming_output: bool = False


class Device:
    """A device with two outputs and three inputs. Frame n of its stream brings n + 1 on every input, and what the
    player plays there is kept."""

    def __init__(self) -> None:
        self.count = Count()
        self.player = Player(self.count, RATE)
        self.played = np.empty((0, 2), np.float32)

    def run(self, *blocks: int, statuses: dict[int, Status] | None = None) -> None:
        for number, frames in enumerate(blocks):
            begin = len(self.played)
            outdata = np.full((frames, 2), np.nan, np.float32)
            indata = np.repeat(np.arange(begin + 1, begin + frames + 1, dtype=np.float32)[:, None], 3, axis=1)
            self.player(indata, outdata, frames, None, (statuses or {}).get(number))
            self.played = np.concatenate([self.played, outdata])


def take(frames: int, level: float = 1.0, slot: int = 0) -> Take:
    """A take with `level` in every sample, in a buffer that is longer than it."""
    send = np.full((frames + 5, 2), level, np.float32)
    return Take(slot, frames, send, np.zeros((frames + 5, 3), np.float32))


@settings(deadline=None, max_examples=100)
@given(
    blocks=st.lists(st.integers(1, 300), min_size=1, max_size=20),
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=5),
    idle=st.integers(0, 400),
)
def test_in_blocks_of_any_size_queued_takes_follow_each_other_without_a_frame_between(
    blocks: list[int], lengths: list[int], idle: int
):
    device = Device()
    if idle:
        device.run(idle)
    takes = [take(frames, level) for level, frames in enumerate(lengths, 1)]
    for one in takes:
        device.player.queue(one)
    device.run(*blocks)
    streamed = sum(blocks)
    wanted = np.repeat(np.arange(1, len(lengths) + 1), lengths)[:streamed]
    assert not device.played[:idle].any()
    np.testing.assert_array_equal(device.played[idle:][: len(wanted), 1], wanted)
    assert not device.played[idle + len(wanted) :].any()
    ends = np.cumsum(lengths)
    assert [one.frames for one in device.player.finished] == [
        frames for frames, end in zip(lengths, ends, strict=True) if end <= streamed
    ]
    for before, after in pairwise(device.player.finished):
        assert after.stream_frame == before.stream_frame + before.frames
    for one in device.player.finished:
        first = one.stream_frame + 1
        np.testing.assert_array_equal(one.returned[: one.frames, 2], np.arange(first, first + one.frames))
        assert not one.returned[one.frames :].any()
    assert device.count.value == idle + streamed
    assert device.player.busy == (streamed < sum(lengths))
    assert device.player.block_size == (idle or blocks[0])


def test_a_flag_is_kept_with_the_first_frame_of_its_block_in_the_take():
    device = Device()
    one, other = take(700), take(500)
    device.player.queue(one)
    device.player.queue(other)
    flagged = {
        1: Status(input_overflow=True, output_underflow=True),
        2: Status(input_underflow=True),  # ends the first take and begins the second
        3: Status(priming_output=True),
        4: Status(output_overflow=True),
    }
    device.run(*[256] * 5, statuses=flagged)
    assert one.xrun_frames == [256, 512]
    assert other.xrun_frames == [0, 324]


def test_a_flag_in_the_silence_between_takes_is_of_no_take():
    device = Device()
    device.run(256, statuses={0: Status(output_underflow=True)})
    one = take(256)
    device.player.queue(one)
    device.run(256)
    assert one.xrun_frames == []


def test_a_take_that_waits_is_withdrawn_and_one_that_plays_is_not():
    device = Device()
    playing, waiting = take(300, 1), take(300, 2)
    device.player.queue(playing)
    device.player.queue(waiting)
    device.run(100)
    assert device.player.withdraw() is True
    assert device.player.withdraw() is False
    device.run(300)
    assert list(device.player.finished) == [playing]
    assert not device.played[300:].any()


def test_an_error_in_the_callback_is_kept_and_silence_played():
    device = Device()
    broken = take(1000)
    broken.returned = np.zeros((10, 3), np.float32)  # no room for what comes back
    device.player.queue(broken)
    device.run(256, 256)
    assert isinstance(device.player.error, ValueError)
    assert not device.played.any()
    assert device.count.value == 512


def test_elapsed_time_is_from_the_first_to_the_last_sample_of_a_take():
    device = Device()
    one = take(RATE // 10 * 3)  # 0.3 s in blocks of 0.1 s, the last of them due 0.2 s after the first
    device.player.queue(one)
    before_s, before_unix_s = time.monotonic(), time.time()
    device.run(RATE // 10)
    time.sleep(0.25)
    device.run(RATE // 10)
    device.run(RATE // 10)
    slept_s = time.monotonic() - before_s
    assert 0.25 + 0.1 <= one.ended_s - one.started_s <= slept_s + 0.1
    assert 0 <= one.started_unix_s - before_unix_s <= slept_s

"""The stream's callback, without a stream, and what crosses the pipe."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.portaudio_child import CHUNK_BYTES, Player, Take, import_portaudio, receive_audio, send_audio
from buscomp.manifests.errors import DeviceError


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


def play(take: Take, blocks: list[int], statuses: dict[int, Status] | None = None) -> tuple[Player, np.ndarray]:
    """A device whose inputs are its outputs, with no delay at all."""
    count = Count()
    player = Player(count)
    player.take = take
    played = []
    for number, frames in enumerate(blocks):
        outdata = np.full((frames, take.send.shape[1]), np.nan, np.float32)
        indata = np.full((frames, take.recorded.shape[1]), number + 1, np.float32)
        player(indata, outdata, frames, None, (statuses or {}).get(number))
        played.append(outdata)
    assert count.value == sum(blocks)
    return player, np.concatenate(played)


@settings(deadline=None, max_examples=50)
@given(blocks=st.lists(st.integers(1, 300), min_size=1, max_size=20), frames=st.integers(1, 1000))
def test_any_block_sizes_play_the_take_once_from_its_first_frame_and_silence_after_it(blocks: list[int], frames: int):
    send = np.arange(1, 2 * frames + 1, dtype=np.float32).reshape(frames, 2)
    take = Take(send, np.zeros((frames, 3), np.float32))
    player, played = play(take, blocks)
    length = min(frames, sum(blocks))
    np.testing.assert_array_equal(played[:length], send[:length])
    assert not played[length:].any()
    block_of_frame = np.repeat(np.arange(1, len(blocks) + 1), blocks)[:length]
    np.testing.assert_array_equal(take.recorded[:length, 2], block_of_frame)
    assert take.done.is_set() == (sum(blocks) >= frames)
    assert (player.take is None) == take.done.is_set()


def test_a_flag_is_kept_with_the_first_frame_of_its_block_and_its_names():
    take = Take(np.ones((1000, 2), np.float32), np.zeros((1000, 2), np.float32))
    flagged = {
        1: Status(input_overflow=True, output_underflow=True),
        2: Status(priming_output=True),
        3: Status(input_underflow=True),
    }
    play(take, [256] * 4, flagged)
    assert take.xruns == [(256, "input_overflow output_underflow"), (768, "input_underflow")]


def test_an_error_in_the_callback_ends_the_take_and_is_kept():
    take = Take(np.ones((1000, 2), np.float32), np.zeros((10, 2), np.float32))  # no room for what comes back
    player, played = play(take, [256, 256])
    assert isinstance(take.error, ValueError)
    assert take.done.is_set()
    assert not played[256:].any()
    assert player.take is None


def test_audio_longer_than_a_chunk_crosses_the_pipe_to_the_last_bit():
    frames = CHUNK_BYTES // 8 * 2 + 77  # two channels of 4 bytes: two whole chunks and a bit
    audio = np.random.default_rng(1).standard_normal((frames, 2)).astype(np.float32)
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        sender = threading.Thread(target=send_audio, args=(ours, audio))
        sender.start()
        np.testing.assert_array_equal(receive_audio(theirs, frames, 2), audio)
        sender.join()


def test_a_missing_portaudio_library_is_told_with_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(DeviceError, match=r"library not found.*apt-get install libportaudio2"):
        import_portaudio()

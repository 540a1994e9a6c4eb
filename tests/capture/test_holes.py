from __future__ import annotations

import numpy as np
import pytest

from buscomp.capture.holes import is_hole
from buscomp.tests.capture_music import song
from buscomp.tests.capture_takes import SETTINGS, virtual_take


def test_a_muted_block_is_a_hole_and_what_is_beside_it_is_none():
    dry = song(3, 3.0)
    wet = 0.5 * dry
    wet[60_000:60_064] = 1e-5
    for frame in (59_600, 60_000, 60_060):
        assert is_hole(dry, wet, frame)
    for frame in (58_000, 61_000, 0, len(dry) - 1):
        assert not is_hole(dry, wet, frame)


def test_a_hole_on_one_channel_is_enough():
    dry = song(3, 3.0)
    wet = dry.copy()
    wet[60_000:60_064, 1] = 0
    assert is_hole(dry, wet, 60_064)


@pytest.mark.parametrize("setting", [0, 1, 2])
def test_no_onset_under_a_fast_attack_is_a_hole(setting):
    take = virtual_take(song(16, 4.0), SETTINGS[setting])
    begin = take.layout.song_start + 137
    wet = take.recording.audio[begin : begin + len(take.dry)]
    assert not any(is_hole(take.dry, wet, frame) for frame in range(0, len(wet), 256))


def test_silence_and_the_ends_of_a_song_have_no_holes():
    silence = np.zeros((2000, 2), np.float32)
    for frame in (0, 1000, 1999):
        assert not is_hole(silence, silence, frame)
    assert not is_hole(silence[:5], silence[:5], 2)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.layout import TakeLayout
from buscomp.capture.probe import make_probe, probe_frames
from buscomp.capture.staging import Staging
from buscomp.manifests.errors import UsageError


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 10**7), st.sampled_from([44_100, 48_000, 96_000]), st.floats(0, 60), st.integers(1, 20_000)
)  # fmt: skip
def test_probes_and_song_never_meet_in_the_return_for_any_latency_in_range(frames, rate, settle_s, latency):
    layout = TakeLayout.of(frames, rate, settle_s, latency)
    probe = probe_frames(rate)
    assert layout.head_start >= settle_s * rate - 1
    assert layout.head_start - layout.noise_start == round(0.25 * rate) <= layout.head_start
    assert layout.head_start + probe + latency < layout.song_start
    assert layout.song_start + frames + latency < layout.tail_start - latency  # a return that lost samples is early
    assert layout.tail_start + probe + latency < layout.frames
    assert layout.overhead_s == pytest.approx((layout.frames - frames) / rate)


def test_overhead_of_a_take_is_under_two_and_a_half_seconds_beyond_settling():
    assert TakeLayout.of(44_100, 44_100, 3.0).overhead_s - 3.0 < 2.5


def test_send_holds_the_probe_as_it_is_the_song_boosted_and_silence():
    dry = np.random.default_rng(0).uniform(-0.25, 0.25, (5000, 2)).astype(np.float32)
    layout = TakeLayout.of(5000, 44_100, 1.0, 1000)
    send, probe = layout.send(dry, Staging()), make_probe(44_100)
    assert send.shape == (layout.frames, 2)
    assert send.dtype == np.float32
    song = slice(layout.song_start, layout.song_start + 5000)
    assert np.array_equal(send[song], Staging().boost(dry))
    send[song] = 0
    for start in (layout.head_start, layout.tail_start):
        assert np.array_equal(send[start : start + len(probe)], np.stack([probe, probe], axis=1))
        send[start : start + len(probe)] = 0
    assert not send.any()


def test_impossible_layouts_and_the_wrong_song_are_refused():
    for song_frames, settle_s, latency in ((0, 1.0, 10), (10, -1.0, 10), (10, 1.0, 0)):
        with pytest.raises(UsageError):
            TakeLayout.of(song_frames, 44_100, settle_s, latency)
    with pytest.raises(ValueError, match="layout is for 10 frames, dry has 11"):
        TakeLayout.of(10, 44_100, 1.0).send(np.zeros((11, 2), np.float32), Staging())

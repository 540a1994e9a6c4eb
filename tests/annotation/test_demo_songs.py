"""Key and tempo on rendered music with known truth. docs/verbs/annotate.md has the figures for all eight songs."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.annotation.key import estimate_key
from buscomp.annotation.tempo import estimate_tempo
from buscomp.curation.demo_songs import DEMO_SONGS, render_song
from buscomp.curation.synthesis import SAMPLE_RATE
from buscomp.manifests.pcm import Float32

CHOSEN = ("heron-on-the-weir", "corner-store-rain", "paper-lanterns")  # quick to render; two modes, fractional tempi


@pytest.fixture(scope="module")
def rendered() -> dict[str, Float32]:
    return {song.name: render_song(song).astype(np.float32) for song in DEMO_SONGS if song.name in CHOSEN}


@pytest.mark.parametrize("name", CHOSEN)
def test_key_and_tempo_of_a_demo_song_are_those_it_was_written_in(name: str, rendered: dict[str, Float32]) -> None:
    truth = next(song for song in DEMO_SONGS if song.name == name)
    assert estimate_key(rendered[name], SAMPLE_RATE).name == truth.key
    assert estimate_tempo(rendered[name], SAMPLE_RATE).bpm == pytest.approx(truth.tempo_bpm, abs=0.1)

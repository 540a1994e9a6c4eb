"""The estimate of mastering, sign by sign and on music before and after a limiter."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from buscomp.curation.mastering import estimate_mastering
from buscomp.curation.song_measures import clipped_runs, first_look, measure_song
from buscomp.manifests.levels import from_db
from buscomp.manifests.pcm import Float32
from buscomp.tests.small_dataset import music


def limited(audio: Float32, drive_db: float) -> Float32:
    """`audio`, driven so far into a limiter that looks 5 ms ahead, at a ceiling of -0.4 dBFS."""
    loud = audio / np.abs(audio).max() * from_db(drive_db)
    gain = np.minimum(1, 1 / np.maximum(np.abs(loud).max(axis=1), 1e-9))
    gain = scipy.ndimage.uniform_filter1d(scipy.ndimage.minimum_filter1d(gain, 441), 441)
    return np.asarray(0.95 * loud * gain[:, np.newaxis], np.float32)


def estimate_of(audio: Float32) -> tuple[str, list[str]]:
    measured = measure_song(audio, 44_100)
    loudness, true_peak = measured["loudness_lufs"], measured["true_peak_dbtp"]
    estimate = estimate_mastering(
        plr_db=true_peak - loudness,
        true_peak_dbtp=true_peak,
        loudness_lufs=loudness,
        ceiling_share=measured["ceiling_share"],
        clipped_runs=clipped_runs(audio, first_look(audio)),
    )
    return estimate.verdict, estimate.signs


def varied() -> Float32:
    """30 s in which only one beat is the loudest."""
    song = music(30.0)
    song *= np.linspace(0.5, 1, len(song), dtype=np.float32)[:, np.newaxis]
    return song


@pytest.mark.parametrize("level_db", [0.0, -8.0])
def test_a_mix_at_moderate_level_is_unmastered(level_db: float) -> None:
    assert estimate_of(varied() * np.float32(from_db(level_db)))[0] == "unmastered"


@pytest.mark.parametrize("drive_db", [9.0, 15.0])
def test_the_same_mix_through_a_limiter_is_mastered_and_says_why(drive_db: float) -> None:
    verdict, signs = estimate_of(limited(varied(), drive_db))
    assert verdict == "mastered"
    assert any(sign.startswith("+2") and sign.endswith("half seconds at the ceiling") for sign in signs)


@pytest.mark.parametrize(
    ("plr_db", "true_peak_dbtp", "loudness_lufs", "ceiling_share", "clipped", "verdict"),
    [
        (8.0, 0.2, -7.8, 0.9, 0, "mastered"),
        (12.0, -0.5, -12.5, 0.3, 0, "mastered"),
        (18.0, -6.0, -24.0, 0.01, 0, "unmastered"),
        (14.0, -0.1, -14.1, 0.02, 0, "unclear"),  # normalised to 0 dBFS, peaks free
        (16.0, -2.0, -18.0, 0.1, 0, "unclear"),
        (16.0, 0.0, -16.0, 0.1, 50, "unclear"),
        (None, -40.0, None, 0.0, 0, "unmastered"),
    ],
)
def test_the_signs_are_added(plr_db, true_peak_dbtp, loudness_lufs, ceiling_share, clipped, verdict) -> None:
    found = estimate_mastering(
        plr_db=plr_db,
        true_peak_dbtp=true_peak_dbtp,
        loudness_lufs=loudness_lufs,
        ceiling_share=ceiling_share,
        clipped_runs=clipped,
    )
    assert found.verdict == verdict


def test_signs_are_told_with_points_and_figures() -> None:
    found = estimate_mastering(plr_db=8.04, true_peak_dbtp=0.1, loudness_lufs=-7.94, ceiling_share=0.9, clipped_runs=3)
    assert found.signs == [
        "+2 peak to loudness 8.0 dB",
        "+2 90 % of half seconds at the ceiling",
        "+1 true peak +0.1 dBTP",
        "+1 loudness -7.9 LUFS",
        "+1 3 flat tops",
    ]

"""`annotation.musicnn`: features, networks and labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.annotation.calibration import lines, probability
from buscomp.annotation.musicnn import (
    FRAMES,
    LIKELY,
    MOST_PATCHES,
    RATE,
    TAGS,
    Musicnn,
    log_mel,
    named,
    patches_of,
    run,
)
from buscomp.annotation.vocabulary import labels
from buscomp.manifests.pcm import Float32
from buscomp.tests.small_dataset import music

pytest.importorskip("onnxruntime")

# network: best tag of a ramp over the bands, its score, mean of the mean pool; as converted and checked in 2026
GOLDEN = {"msd": ("dance", 0.93844, 0.07454), "mtt": ("techno", 0.41291, 0.01249)}


def noise(seconds: float, seed: int = 0) -> Float32:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE), np.float32)


def test_a_patch_has_the_spectra_that_the_whole_song_has_there() -> None:
    import librosa

    song = noise(10)
    whole = librosa.feature.melspectrogram(y=song, sr=RATE, n_fft=512, hop_length=256, n_mels=96).T
    expected = np.log10(10000 * whole + 1)
    first = 100  # its centre lies at 25,600; the patch begins half a window before
    patch = log_mel(song[first * 256 - 256 :][: (FRAMES - 1) * 256 + 512])
    np.testing.assert_allclose(patch, expected[first : first + FRAMES], atol=1e-4)
    assert patch.shape == (187, 96)


def test_loud_music_does_not_overflow() -> None:
    assert np.isfinite(log_mel(noise(3.01) * np.float32(1e4))).all()


@pytest.mark.parametrize(
    ("seconds", "starts_s"),
    [(1, [0]), (9, [0]), (24, [0, 10]), (45, [0, 10, 20, 30]), (300, None)],
)
def test_one_piece_is_heard_of_every_ten_seconds_and_twelve_at_most(
    seconds: float, starts_s: list[float] | None
) -> None:
    starts, patches = patches_of(noise(seconds))
    assert patches.shape == (len(starts), 187, 96)
    if starts_s is None:
        assert len(starts) == MOST_PATCHES
        assert (starts[0], starts[-1]) == (0, 290)
    else:
        assert starts == starts_s


def test_scores_are_probabilities_and_the_mean_pool_of_no_patch_depends_on_another() -> None:
    patches = np.stack([log_mel(noise(3.01, seed)[: 186 * 256 + 512]) for seed in (1, 2)])
    for network in TAGS:
        tags, pool = run(network, patches)
        assert tags.shape == (2, len(TAGS[network]))
        assert pool.shape == (2, 753)
        assert ((tags >= 0) & (tags <= 1)).all()
        np.testing.assert_allclose(run(network, patches[1:])[1][0], pool[1], rtol=1e-4, atol=1e-5)


def test_tags_and_embedding_do_not_depend_on_the_level_that_a_song_was_stored_at() -> None:
    audio = music(6.0)
    loud, quiet = (Musicnn().annotate(audio * gain, 44_100) for gain in (np.float32(1), np.float32(0.06)))
    assert loud["genres"].value == quiet["genres"].value
    assert "drum" in loud["instruments"].value
    np.testing.assert_allclose(loud["embedding"].value, quiet["embedding"].value, rtol=0.02, atol=0.02)


def test_silence_has_nothing_and_a_short_song_is_repeated() -> None:
    silent = Musicnn().annotate(np.zeros((44_100, 2), np.float32), 44_100)
    assert {value.value for value in silent.values()} == {None}
    short = Musicnn().annotate(music(1.0), 44_100)
    (segment,) = short["segments"].value
    assert (segment.start_s, segment.end_s) == (0, pytest.approx(1.0, abs=1e-3))


def scored(**tags: float) -> dict[str, np.ndarray]:
    """Scores of both networks: those of `tags` by network, as msd_rock=0.3, all others nothing."""
    scores = {network: np.zeros(50) for network in TAGS}
    for name, score in tags.items():
        network, tag = name.split("_", 1)
        scores[network][TAGS[network].index(tag.replace("_", " "))] = score
    return scores


def test_a_genre_is_named_from_the_threshold_of_its_network_on_with_its_score() -> None:
    found = named("genres", scored(msd_country=0.17, mtt_techno=0.19))
    assert found.value == ["country"]
    assert found.candidates[:2] == (("electronic", 0.19), ("country", 0.17))
    assert found.confidence == 0.17
    assert named("genres", scored(msd_country=0.09)).value == ["country"], "half of what it needs, and the best"
    assert named("genres", scored(msd_country=0.07)).confidence is None


def test_an_instrument_is_named_where_it_is_more_likely_there_than_not() -> None:
    line = lines("instruments")["drum"]
    for score in (0.001, 0.02, 0.05, 0.1, 0.3, 0.9):
        found = named("instruments", scored(mtt_drums=score))
        sure = probability(line, {"mtt": score})
        assert dict(found.candidates)["drum"] == pytest.approx(sure)
        assert ("drum" in found.value) == (sure >= LIKELY or (found.candidates[0][0] == "drum" and sure >= LIKELY / 2))
    assert sure > 0.95


def test_the_confidence_of_a_list_is_the_probability_of_its_first_word_and_of_an_empty_list_there_is_none() -> None:
    found = named("instruments", scored(mtt_drums=0.5, mtt_guitar=0.6, msd_guitar=0.2))
    assert found.value[0] == "drum"
    assert found.confidence == found.candidates[0][1] == max(score for _, score in found.candidates)
    empty = named("genres", scored())
    assert (empty.value, empty.confidence) == ([], None)
    assert len(empty.candidates) == 16


@given(st.sampled_from(sorted(lines("instruments"))), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_never_makes_an_instrument_less_probable(name: str, low: float, high: float) -> None:
    line = lines("instruments")[name]
    low, high = sorted((low, high))
    one, other = (probability(line, dict.fromkeys(line.slopes, score)) for score in (low, high))
    assert 0 < one <= other < 1


def test_every_line_is_of_an_instrument_with_tags_in_its_networks() -> None:
    for name, line in lines("instruments").items():
        words = labels("instruments")[name]
        assert {network for network in TAGS if words.tags(network)} == set(line.slopes)


def test_the_networks_answer_as_they_did_when_they_were_converted() -> None:
    ramp = np.tile(np.linspace(0, 3, 96, dtype=np.float32), (1, 187, 1))
    for network, golden in GOLDEN.items():
        tags, pool = run(network, ramp)
        best = int(tags[0].argmax())
        assert TAGS[network][best] == golden[0]
        assert tags[0, best] == pytest.approx(golden[1], abs=1e-4)
        assert pool.mean() == pytest.approx(golden[2], abs=2e-5)

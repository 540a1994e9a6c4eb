"""The accuracy harness: what answers are worth, and how MIDI is cut. No synthesiser is needed."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from buscomp.tests.benchmarks.annotation_scores import (
    auroc,
    interval,
    key_kind,
    key_points,
    median_where_right,
    tempo_kind,
)
from buscomp.tests.benchmarks.rendering import MissingSourceError, Sources, dominant_tempo, first_seconds
from buscomp.tests.benchmarks.scripted_songs import write_song


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(124.7, "right"), (115.3, "right"), (125, "other"), (61, "half"), (239, "double"), (40.5, "third"),
     (360, "triple"), (180, "other"), (None, "none")],
)  # fmt: skip
def test_kind_of_an_answer_to_120_bpm(answer: float | None, kind: str) -> None:
    assert tempo_kind(120.0, answer) == kind


@pytest.mark.parametrize(
    ("truth", "answer", "kind", "points"),
    [("Db major", "C# major", "right", 1.0), ("C major", "A minor", "relative", 0.3),
     ("A minor", "C major", "relative", 0.3), ("A minor", "A major", "parallel", 0.2),
     ("C major", "C minor", "parallel", 0.2), ("C major", "G major", "other major", 0.5),
     ("C major", "E minor", "other minor", 0.0), ("C major", None, "none", 0.0)],
)  # fmt: skip
def test_kind_and_points_of_a_key(truth: str, answer: str | None, kind: str, points: float) -> None:
    assert key_kind(truth, answer) == kind
    assert key_points(truth, answer) == pytest.approx(points)


def test_interval_of_30_right_answers_in_40_is_about_13_points_wide_to_each_side() -> None:
    value, low, high = interval(lambda column: float(np.mean(column)), [1.0] * 30 + [0.0] * 10)
    assert value == 0.75
    assert 0.58 < low < 0.65
    assert 0.85 < high < 0.90


def test_a_statistic_that_is_undefined_gives_no_number() -> None:
    assert all(np.isnan(interval(auroc, [1.0, 1.0], [0.3, 0.4])))
    assert np.isnan(median_where_right(np.zeros(2), np.ones(2)))


def test_median_error_counts_right_answers_only() -> None:
    assert median_where_right(np.array([1.0, 0.0, 1.0]), np.array([0.1, 60.0, 0.3])) == pytest.approx(0.2)


def test_the_same_number_writes_the_same_song_and_another_number_another(tmp_path: Path) -> None:
    first, again, other = (write_song(tmp_path / f"{n}.mid", seed) for n, seed in enumerate((7, 7, 8)))
    assert first.path.read_bytes() == again.path.read_bytes() != other.path.read_bytes()
    assert dominant_tempo(mido.MidiFile(first.path)) == pytest.approx((first.bpm, 1.0), rel=1e-5)


def test_the_first_10_s_of_a_song_last_10_s_and_end_in_silence(tmp_path: Path) -> None:
    whole = mido.MidiFile(write_song(tmp_path / "song.mid", 7).path)
    beginning = first_seconds(whole, 10.0)
    assert whole.length > 40
    assert 9 < beginning.length <= 10
    assert sum(message.is_cc(123) for message in beginning.tracks[0]) == 16


def test_tempo_that_is_held_longest_comes_with_its_share_of_the_time() -> None:
    track = mido.MidiTrack()
    for bpm, beats in ((120, 12), (60, 2)):  # 6 s and 2 s
        track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)))
        track.append(mido.Message("control_change", time=480 * beats))
    assert dominant_tempo(mido.MidiFile(ticks_per_beat=480, tracks=[track])) == pytest.approx((120.0, 0.75))


def test_a_missing_source_is_named_with_the_package_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "nowhere"))
    with pytest.raises(MissingSourceError, match="fluid-soundfont-gm"):
        Sources((tmp_path,)).soundfont("FluidR3_GM.sf2")
    font = tmp_path / "usr" / "share" / "sounds" / "sf2" / "FluidR3_GM.sf2"
    font.parent.mkdir(parents=True)
    font.write_bytes(b"a")
    assert Sources((tmp_path,)).soundfont("FluidR3_GM.sf2") == font

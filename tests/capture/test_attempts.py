"""What becomes of an attempt: WAV while nothing is decided, FLAC when it is right, reasons beside it when it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from buscomp.capture.attempts import Attempts
from buscomp.capture.take import Examined
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.journal import Journal
from buscomp.manifests.pcm import pcm_sha256, quantise, read_pcm

RATE = 44_100
RETURNED = np.asarray(0.1 * np.random.default_rng(1).standard_normal((1000, 2)), np.float32)
WET = quantise(RETURNED[100:900])


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        takes = [{"song_id": f"song-{n}", "setting_id": "thr-28", "unit_id": "ssl"} for n in range(3)]
        journal.plan(takes, {})
        yield journal


@pytest.fixture
def attempts(tmp_path: Path, journal: Journal) -> Attempts:
    return Attempts(Dataset(tmp_path), journal)


def accept(attempts: Attempts, journal: Journal, number: int = 0, folder: str | None = None) -> str:
    take = journal.planned()[0]
    attempts.keep_recording(take["take_id"], RETURNED, RATE)
    attempts.accept(take, {"frames": len(WET)}, Examined(WET, {}, (), cv_pcm=WET[:, :1]), RATE, folder)
    return str(take["take_id"])


def test_a_recording_lies_as_24_bit_wav_whose_samples_are_those_of_our_own_rounding(attempts: Attempts):
    attempts.keep_recording("t000000-1", RETURNED, RATE)
    path = attempts.dataset.attempt_folder("t000000-1") / "return.wav"
    assert soundfile.info(path).subtype == "PCM_24"
    np.testing.assert_array_equal(read_pcm(path)[0], quantise(RETURNED))


def test_an_accepted_take_is_flac_with_the_same_samples_beside_its_voltage_and_the_wav_is_gone(
    attempts: Attempts, journal: Journal
):
    take_id = accept(attempts, journal)
    row = journal.take(take_id)
    assert (row["status"], row["wet_path"], row["cv_path"]) == (
        "accepted",
        "wet/thr-28/song-0.flac",
        "cv/thr-28/song-0.flac",
    )
    wet, _ = read_pcm(attempts.dataset.file(row["wet_path"]))
    np.testing.assert_array_equal(wet, WET)
    assert row["wet_sha256"] == pcm_sha256(WET)
    assert row["cv_sha256"] == pcm_sha256(WET[:, :1])
    assert not attempts.dataset.attempt_folder(take_id).exists()


def test_takes_of_several_units_lie_in_a_folder_for_each(attempts: Attempts, journal: Journal):
    row = journal.take(accept(attempts, journal, folder="ssl-a1"))
    assert row["wet_path"] == "wet/ssl-a1/thr-28/song-0.flac"
    assert row["cv_path"] == "cv/ssl-a1/thr-28/song-0.flac"


def test_a_rejected_attempt_keeps_its_wav_and_its_reasons_and_the_next_one_is_planned(
    attempts: Attempts, journal: Journal
):
    take = journal.planned()[0]
    attempts.keep_recording(take["take_id"], RETURNED, RATE)
    following = attempts.reject(take, {"reasons": ["hum"]}, "50 Hz at -70 dBFS")
    assert following == "t000000-2"
    folder = attempts.dataset.attempt_folder("t000000-1")
    assert sorted(path.name for path in folder.iterdir()) == ["reasons.json", "return.wav"]
    assert json.loads((folder / "reasons.json").read_text())["why"] == "50 Hz at -70 dBFS"


def test_superseded_takes_are_planned_anew_and_their_audio_moves_beside_the_rejected_ones(
    attempts: Attempts, journal: Journal
):
    made = [accept(attempts, journal), accept(attempts, journal)]
    assert attempts.supersede(made, "knob_moved") == ["t000000-2", "t000001-2"]
    assert journal.counts() == {"planned": 3, "superseded": 2}
    assert not list(attempts.dataset.root.glob("wet/*/*.flac"))
    for take_id in made:
        folder = attempts.dataset.attempt_folder(take_id)
        assert sorted(path.name for path in folder.iterdir()) == ["cv.flac", "reasons.json", "wet.flac"]


def test_what_a_killed_session_left_of_planned_and_accepted_takes_is_cleared_and_nothing_else(
    attempts: Attempts, journal: Journal
):
    accepted = accept(attempts, journal)
    rejected = journal.planned()[0]
    attempts.reject(rejected, {"reasons": ["hum"]}, "hum")
    for take_id in (accepted, "t000001-2", "t000002-1"):
        attempts.keep_recording(take_id, RETURNED, RATE)
    partial = attempts.dataset.root / "wet" / "thr-28" / "song-2.flac.partial"
    partial.write_bytes(b"half")
    attempts.clear_unfinished()
    assert [path.name for path in attempts.dataset.attempts_folder.iterdir()] == [rejected["take_id"]]
    assert not partial.exists()
    assert attempts.dataset.file("wet/thr-28/song-0.flac").exists()

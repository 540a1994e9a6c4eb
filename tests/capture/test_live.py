"""The meters: what they show while a virtual device plays at a pace, and what is expected of a song."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from buscomp.capture.fingerprint_compressor import POINT, USUAL, programme_gains_db
from buscomp.capture.live import COLUMNS, LEAST_DBFS, level, reduction
from buscomp.capture.live_file import EXPECTED, LIVE, expected_of, live_of, write_live
from buscomp.capture.virtual import VirtualInterface
from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.levels import from_db
from buscomp.tests.capture_songs import PROVEN, put_songs
from buscomp.tests.small_dataset import music

RATE = 44_100


def test_a_virtual_device_with_a_pace_lasts_and_can_be_watched_while_it_plays():
    VirtualInterface().play_and_record(music(0.1))  # compiled code is there
    interface = VirtualInterface(pace=4.0)
    send = music(4.0)
    seen = []
    thread = threading.Thread(target=lambda: seen.extend([interface.play_and_record(send)]))
    began = time.monotonic()
    thread.start()
    glances = []
    while thread.is_alive():
        if (now := interface.sounding(4410)) is not None:
            glances.append(now)
        time.sleep(0.02)
    thread.join()
    assert time.monotonic() - began >= 1.0
    assert interface.sounding(4410) is None
    frames = [glance.frame for glance in glances]
    assert frames == sorted(frames)
    assert len(set(frames)) > 10
    last = glances[-1]
    np.testing.assert_array_equal(last.returned, seen[0].audio[last.frame - len(last.returned) : last.frame])
    np.testing.assert_array_equal(last.sent, send[last.frame - len(last.sent) : last.frame])


def test_without_a_pace_nothing_lasts_and_nothing_is_shown():
    interface = VirtualInterface()
    interface.play_and_record(music(1.0))
    assert interface.sounding(4410) is None


def test_two_sends_at_a_pace_follow_each_other_without_a_pause():
    interface = VirtualInterface(pace=10.0)
    began = time.monotonic()
    interface.play(music(2.0))
    interface.play(music(2.0))
    for _ in range(2):
        interface.record()
    assert 0.4 <= time.monotonic() - began < 3.0


@pytest.mark.parametrize(("ratio", "threshold_db", "tone_dbfs"), [(4.0, -28.0, -12.0), (2.0, -20.0, -6.0)])
def test_the_expected_reduction_of_a_steady_tone_is_that_of_the_static_curve(ratio, threshold_db, tone_dbfs):
    point = np.array([threshold_db, np.log(ratio), np.log(1.0), np.log(0.1), *USUAL.values(), 0.0, 0.0])
    assert len(point) == len(POINT)
    tone = from_db(tone_dbfs) * np.sin(2 * np.pi * 441 * np.arange(RATE) / RATE)
    gains_db = programme_gains_db(RATE, point, np.stack([tone, tone], 1).astype(np.float32), 2205)
    assert len(gains_db) == 20
    wanted_db = -(tone_dbfs - threshold_db) * (1 - 1 / ratio)
    assert gains_db[10:] == pytest.approx(wanted_db, abs=0.2)


def test_silence_has_a_level_and_no_reduction():
    assert level(0.0) == LEAST_DBFS
    silence = np.zeros((8820, 2), np.float32)
    assert reduction(silence, silence, 4410, None) == {"reduction_db": None, "expected_db": None}


def test_files_that_are_missing_or_spoiled_show_nothing(tmp_path: Path):
    dataset = Dataset(tmp_path)
    assert live_of(dataset) is None
    for nonsense in ("", "[]", "{", "\x00"):
        (tmp_path / LIVE).write_text(nonsense)
        (tmp_path / EXPECTED).write_text(nonsense)
        assert live_of(dataset) is None
        assert expected_of(dataset, "s", "t", "u") is None
    write_live(Dataset(tmp_path / "nowhere"), LIVE, {})  # a folder that is gone stops nobody
    write_live(dataset, LIVE, {"units": []})
    assert live_of(dataset) == {"units": []}
    os.utime(tmp_path / LIVE, (time.time() - 10,) * 2)  # of a capture that was killed
    assert live_of(dataset) is None


def test_while_a_capture_plays_measured_and_expected_reduction_agree(tmp_path: Path):
    """On the simulated unit at a pace: every meter moves, and the model expects what is measured within 1 dB."""
    grid = PROVEN.replace("threshold_db: [-28, -20]", "threshold_db: [-28]").replace("expect: 4", "expect: 2")
    root = put_songs(tmp_path / "d", songs=1, seconds=6.0, grid=grid)
    (root / "slow.yaml").write_text("kind: virtual\npace: 3\n")
    line = ["capture", "--device", "slow", "--grid", "grid.yaml", "--dataset", str(root)]
    results = []
    thread = threading.Thread(target=lambda: results.append(CliRunner().invoke(main, line)))
    thread.start()
    seen, expected = [], None
    while thread.is_alive():
        row = live_of(Dataset(root))
        if row and row.get("units") and row not in seen:
            seen.append(row)
            if row["song_id"]:
                expected = expected_of(
                    Dataset(root), "song-0", "thr-28_att0p3_rel0p1_rat10", row["units"][0]["unit_id"]
                )
        time.sleep(0.02)
    thread.join()
    assert results[0].exit_code == 0, results[0].output
    songs = [row for row in seen if row["song_id"]]
    assert {row["occasion"] for row in seen} == {"begin", "song", "end"}
    assert max(row["units"][0]["send_peak_dbfs"][0] for row in songs) > -12
    pairs = np.array([
        [row["units"][0]["reduction_db"], row["units"][0]["expected_db"]] for row in songs
        if row["units"][0]["reduction_db"] is not None and 0.5 < row["song_position_s"] < 6.0
    ])  # fmt: skip
    assert len(pairs) >= 4
    assert pairs.max() > 5
    assert np.abs(np.diff(pairs)).mean() < 1.0
    assert expected is not None
    assert len(expected["expected_db"]) == COLUMNS
    assert -20 < min(expected["expected_db"]) < -5
    assert not (root / LIVE).exists()
    assert not (root / EXPECTED).exists()

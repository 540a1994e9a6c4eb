"""`manifests.journal`: the truth about takes survives what happens to the process and the disk."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from buscomp.manifests.errors import DatasetError, DiskFullError
from buscomp.manifests.journal import Journal, take_id_of

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def plan(songs: int = 2, settings: int = 2) -> list[dict[str, str]]:
    return [
        {"song_id": f"song-{s}", "setting_id": f"thr-{n}", "unit_id": "unit"}
        for n in range(settings)
        for s in range(songs)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def states(journal: Journal) -> dict[str, str]:
    return {take["take_id"]: take["status"] for take in journal.takes()}


def test_the_journal_writes_ahead_and_waits_for_the_disk(path: Path) -> None:
    with Journal(path) as journal:
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_plan_is_kept_in_its_order_and_planning_again_adds_only_what_is_new(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.plan(plan(), {"grid_sha256": "abc"}) == 4
        assert [(t["take_id"], t["song_id"], t["setting_id"]) for t in journal.planned()] == [
            ("t000000-1", "song-0", "thr-0"),
            ("t000001-1", "song-1", "thr-0"),
            ("t000002-1", "song-0", "thr-1"),
            ("t000003-1", "song-1", "thr-1"),
        ]
    with Journal(path) as journal:
        assert journal.plan(plan(songs=3), {}) == 2
        assert [t["song_id"] for t in journal.planned()][4:] == ["song-2", "song-2"]
        assert journal.fact("grid_sha256") == "abc"
        assert journal.fact("unheard_of") is None
        journal.keep_fact("grid_sha256", "def")
        assert journal.fact("grid_sha256") == "def"


def test_accepting_stores_what_was_measured(path: Path) -> None:
    measured = {"latency_samples": 137.25, "reasons": ["xrun_recorded"], "started_at": NOW, "xruns": 1}
    with Journal(path) as journal:
        journal.plan(plan(), {})
        journal.accept("t000001-1", measured)
    with Journal(path) as journal:
        take = journal.takes()[1]
        assert {name: take[name] for name in measured} == measured
        assert journal.counts() == {"planned": 3, "accepted": 1}


def test_rejecting_plans_the_next_attempt_at_the_same_place(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(), {})
        assert journal.reject("t000001-1", {"reasons": ["clipped"]}) == "t000001-2"
        assert journal.reject("t000001-2", {"reasons": ["clipped"]}) == "t000001-3" == take_id_of(1, 3)
        assert [t["take_id"] for t in journal.planned()] == ["t000000-1", "t000001-3", "t000002-1", "t000003-1"]
        third = journal.planned()[1]
        assert (third["song_id"], third["setting_id"], third["attempt"], third["reasons"]) == (
            "song-1",
            "thr-0",
            3,
            None,
        )


def test_superseding_an_accepted_take_plans_it_anew(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(1, 1), {})
        journal.accept("t000000-1", {"latency_samples": 1.5})
        assert journal.supersede("t000000-1", "missing_file") == "t000000-2"
        journal.accept("t000000-2", {})
        assert states(journal) == {"t000000-1": "superseded", "t000000-2": "accepted"}
        old = journal.takes()[0]
        assert (old["reasons"], old["latency_samples"]) == (["missing_file"], 1.5)


@pytest.mark.parametrize("before", ["accepted", "rejected", "superseded", "unheard-of"])
def test_a_take_that_is_not_planned_cannot_be_accepted_or_rejected_and_nothing_changes(path: Path, before: str) -> None:
    with Journal(path) as journal:
        journal.plan(plan(1, 1), {})
        if before == "rejected":
            journal.reject("t000000-1", {})
        elif before != "unheard-of":
            journal.accept("t000000-1", {})
        if before == "superseded":
            journal.supersede("t000000-1", "x")
        take_id = "t000000-9" if before == "unheard-of" else "t000000-1"
        as_it_was = states(journal)
        with pytest.raises(DatasetError, match=f"take {take_id} is not planned, so it cannot become accepted"):
            journal.accept(take_id, {})
        with pytest.raises(DatasetError, match="cannot become rejected"):
            journal.reject(take_id, {})
        if before != "accepted":
            with pytest.raises(DatasetError, match="is not accepted, so it cannot become superseded"):
                journal.supersede(take_id, "x")
        assert states(journal) == as_it_was


def test_a_measurement_without_a_column_changes_nothing(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(1, 1), {})
        with pytest.raises(KeyError, match="no column latency_ms"):
            journal.accept("t000000-1", {"latency_ms": 3})
        assert states(journal) == {"t000000-1": "planned"}


def test_a_plan_that_breaks_halfway_leaves_nothing_behind(path: Path) -> None:
    takes = plan()
    del takes[2]["unit_id"]
    with Journal(path) as journal:
        with pytest.raises(KeyError, match="unit_id"):
            journal.plan(takes, {"grid_sha256": "abc"})
        assert journal.takes() == []
        assert journal.plan(plan(), {}) == 4


def test_sessions_begin_and_end(path: Path) -> None:
    with Journal(path) as journal:
        journal.start_session({"session_id": "s1", "device": "virtual", "started_at": NOW})
        assert journal.sessions()[0]["ended_at"] is None
        journal.end_session("s1", NOW)
        (session,) = journal.sessions()
        assert (session["started_at"], session["ended_at"], session["device"]) == (NOW, NOW, "virtual")


WRITER = """
import sys
from pathlib import Path
from buscomp.manifests.journal import Journal

with Journal(Path(sys.argv[1])) as journal:
    for take in journal.planned():
        if take["sequence"] % 3 == 0 and take["attempt"] == 1:
            journal.reject(take["take_id"], {"reasons": ["test"]})
        else:
            journal.accept(take["take_id"], {"xruns": 0})
        print(take["take_id"], flush=True)
"""


def test_kill_9_amid_writes_loses_nothing_that_was_told_and_leaves_the_journal_whole(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(100, 100), {})
    told: set[str] = set()
    for run in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told.add(child.stdout.readline().strip())
            time.sleep(0.02 * (run + 1))
            child.send_signal(signal.SIGKILL)
            told |= {line.strip() for line in child.stdout if line.endswith("\n")}
        with Journal(path) as journal:
            assert journal._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            takes = journal.takes()
        done = {take["take_id"] for take in takes if take["status"] != "planned"}
        assert told <= done
        assert len(done - told) <= run + 1  # the one that was written but not told before each kill
        places = {(take["song_id"], take["setting_id"]) for take in takes if take["status"] in ("planned", "accepted")}
        assert len(places) == 10_000  # every place is planned or accepted, whatever else it also was
        rejected = {(take["song_id"], take["setting_id"]) for take in takes if take["status"] == "rejected"}
        assert len(takes) == 10_000 + len(rejected)
    assert len(told) > 8


def test_a_full_disk_is_named_and_everything_committed_is_still_there(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(), {})
        (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
        journal._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(DiskFullError, match="disk full while writing the journal"):
            journal.plan(plan(100, 100), {})
        journal._db.execute(f"PRAGMA max_page_count = {1 << 30}")
        assert journal.counts() == {"planned": 4}
        assert journal._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert journal.plan(plan(10, 10), {}) == 96


def test_a_file_that_is_no_journal_and_a_damaged_one_are_named(path: Path) -> None:
    path.write_text("this is not SQLite, whatever its name says\n" * 100)
    with pytest.raises(DatasetError, match=r"journal\.sqlite is damaged"):
        Journal(path)


def test_a_folder_that_cannot_hold_a_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"journal\.sqlite cannot be used \(unable to open"):
        Journal(tmp_path / "gone" / "journal.sqlite")


def test_a_second_writer_waits_for_the_first_and_a_reader_waits_for_nobody(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(), {})
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE takes SET xruns = 7, seal = NULL")
        assert journal.takes()[0]["xruns"] is None
        other.execute("COMMIT")
        other.close()
        assert journal.takes()[0]["xruns"] == 7


def test_a_number_that_the_disk_has_spoilt_is_an_error_that_names_the_take(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(), {"plan_sha256": "abc"})
        journal.accept("t000000-1", {"peak_dbfs": -3.5, "wet_path": "wet/a.flac"})
        journal.check()
        for table, change, told in (
            ("takes", "peak_dbfs = -3.25 WHERE take_id = 't000000-1'", "t000000-1 in takes"),
            ("facts", "value = 'abd' WHERE name = 'plan_sha256'", "plan_sha256 in facts"),
        ):
            other = sqlite3.connect(path, isolation_level=None)
            other.execute(f"UPDATE {table} SET {change}")
            with pytest.raises(DatasetError, match=f"damaged .{told} is not as it was written.*verify --restore"):
                journal.check()
            other.execute(f"UPDATE {table} SET seal = NULL")
            other.close()
            journal.check()


def test_a_journal_that_another_program_holds_is_one_line_after_the_wait(path: Path, monkeypatch) -> None:
    monkeypatch.setattr("buscomp.manifests.journal.WAIT_S", 0.05)
    with Journal(path) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(DatasetError, match=r"cannot be used .*locked.*close whatever else holds it"):
                journal.plan(plan(), {})
        finally:
            other.close()
        assert journal.plan(plan(), {}) == 4


def probe_row(number: int, unit_id: str = "unit", verdict: str = "match") -> dict[str, object]:
    return {
        "fingerprint_id": f"f{number:06d}",
        "unit_id": unit_id,
        "setting_id": "thr-0",
        "session_id": "s",
        "occasion": "begin",
        "measured_at": NOW,
        "verdict": verdict,
        "features": ["a=1.0", "b=-2.5"],
    }


def test_probes_of_a_setting_are_numbered_kept_in_order_and_found_by_unit(path: Path) -> None:
    with Journal(path) as journal:
        for number, unit_id in enumerate(("a", "b", "a")):
            assert journal.next_fingerprint_id() == f"f{number:06d}"
            journal.add_fingerprint(probe_row(number, unit_id))
        assert [row["fingerprint_id"] for row in journal.fingerprints()] == ["f000000", "f000001", "f000002"]
        assert [row["fingerprint_id"] for row in journal.fingerprints("a")] == ["f000000", "f000002"]
        assert journal.fingerprints("a")[0]["features"] == ["a=1.0", "b=-2.5"]
        assert journal.fingerprints("a")[0]["measured_at"] == NOW


def test_a_probe_that_somebody_accepts_keeps_its_verdict_and_names_the_person(path: Path) -> None:
    with Journal(path) as journal:
        journal.add_fingerprint(probe_row(0, verdict="mismatch"))
        journal.override_fingerprint("f000000", "ada: the knob is worn")
        (row,) = journal.fingerprints()
        assert (row["verdict"], row["override_reason"]) == ("mismatch", "ada: the knob is worn")


def test_two_units_have_a_take_each_of_the_same_song_at_the_same_setting(path: Path) -> None:
    takes = [{"song_id": "song", "setting_id": "thr", "unit_id": unit_id} for unit_id in ("a", "b")]
    with Journal(path) as journal:
        assert journal.plan(takes, {}) == 2
        assert journal.plan(takes, {}) == 0
        journal.reject("t000000-1", {"reasons": ["hum"]})
        assert states(journal) == {"t000000-1": "rejected", "t000000-2": "planned", "t000001-1": "planned"}
        assert [take["unit_id"] for take in journal.planned()] == ["a", "b"]


def test_what_is_planned_is_told_by_setting_and_one_at_a_time(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(songs=3, settings=3), {})
        assert journal.planned_settings() == ["thr-0", "thr-1", "thr-2"]
        for number in (0, 1, 2, 4):
            journal.accept(f"t{number:06d}-1", {})
        assert journal.planned_settings() == ["thr-1", "thr-2"]
        assert [take["song_id"] for take in journal.planned("thr-1")] == ["song-0", "song-2"]
        following = journal.next_planned()
        assert following is not None
        assert following["take_id"] == "t000003-1"
        assert sum(1 for _ in journal.each_take()) == 9


def test_a_pass_is_superseded_whole_or_not_at_all(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(), {})
        for number in (0, 1):
            journal.accept(f"t{number:06d}-1", {})
        with pytest.raises(DatasetError, match="t000002-1 is not accepted"):
            journal.supersede_all(["t000000-1", "t000001-1", "t000002-1"], "knob_moved")
        assert journal.counts() == {"accepted": 2, "planned": 2}
        assert journal.supersede_all(["t000000-1", "t000001-1"], "knob_moved") == ["t000000-2", "t000001-2"]
        assert journal.counts() == {"superseded": 2, "planned": 4}


def test_a_journal_of_an_older_version_gets_the_columns_that_it_lacks_and_keeps_its_takes(path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(), {})
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE takes DROP COLUMN cv_path")
        db.execute("DROP TABLE fingerprints")
    with Journal(path) as journal:
        assert len(journal.planned()) == 4
        journal.accept("t000000-1", {"cv_path": "cv/thr-0/song-0.flac"})
        assert journal.take("t000000-1")["cv_path"] == "cv/thr-0/song-0.flac"
        assert journal.fingerprints() == []


def test_a_copy_of_the_journal_holds_what_it_held(path: Path, tmp_path: Path) -> None:
    with Journal(path) as journal:
        journal.plan(plan(), {"plan_sha256": "abc"})
        journal.save_copy(tmp_path / "copy.sqlite")
        journal.accept("t000000-1", {})
    with Journal(tmp_path / "copy.sqlite") as copy:
        assert copy.counts() == {"planned": 4}
        assert copy.fact("plan_sha256") == "abc"

"""`buscomp verify`: what is wrong is told apart, by any number of processes, and an interrupted run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from buscomp.manifests.commands import verify as verb
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.finding import Finding
from buscomp.manifests.integrity import plan_again, verify
from buscomp.manifests.pcm import read_pcm, write_flac
from buscomp.manifests.tables import write_table
from buscomp.manifests.verified import Verified

WET = "wet/thr-28_att0p1_rel0p1_rat2/song-0.flac"


def found(dataset: Dataset) -> list[tuple[str, str]]:
    findings, _ = verify(dataset)
    return [(finding.kind, finding.path) for finding in findings]


def flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0x10
    path.write_bytes(data)


def test_a_whole_dataset_has_no_findings_and_15_files(dataset: Dataset) -> None:
    assert verify(dataset) == ([], 15)


@pytest.mark.parametrize("relative", [WET, "dry/song-1.flac"])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.95])
def test_a_flipped_byte_makes_its_file_corrupt_and_no_other(dataset: Dataset, relative: str, place: float) -> None:
    flip(dataset.file(relative), place)
    assert found(dataset) == [("corrupt", relative)]


def test_a_truncated_file_is_corrupt(dataset: Dataset) -> None:
    path = dataset.file(WET)
    path.write_bytes(path.read_bytes()[:5000])
    assert found(dataset) == [("corrupt", WET)]


def test_an_empty_file_is_corrupt(dataset: Dataset) -> None:
    dataset.file(WET).write_bytes(b"")
    assert found(dataset) == [("corrupt", WET)]


def test_one_changed_sample_in_a_sound_file_is_corrupt_by_its_hash(dataset: Dataset) -> None:
    pcm, rate = read_pcm(dataset.file(WET))
    pcm[1000, 0] ^= 256
    write_flac(dataset.file(WET), pcm, rate)
    findings, _ = verify(dataset)
    assert [(f.kind, f.path) for f in findings] == [("corrupt", WET)]
    assert "another SHA-256" in findings[0].detail


def test_a_shorter_sound_file_is_corrupt_by_its_length(dataset: Dataset) -> None:
    pcm, rate = read_pcm(dataset.file(WET))
    write_flac(dataset.file(WET), pcm[:-1], rate)
    findings, _ = verify(dataset)
    assert "44099 frames at 44100 Hz, the table says 44100" in findings[0].detail


def test_a_deleted_file_is_missing(dataset: Dataset) -> None:
    dataset.file(WET).unlink()
    assert found(dataset) == [("missing", WET)]


@pytest.mark.parametrize(
    "relative", ["dry/other.flac", "wet/x/y.flac", "attempts/t000099-1/take.wav", "manifests/a.partial"]
)
def test_a_file_that_no_table_names_is_unlisted_and_stays(dataset: Dataset, relative: str) -> None:
    path = dataset.root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    assert found(dataset) == [("unlisted", relative)]
    assert path.exists()


def test_what_a_rejected_take_left_is_not_unlisted(dataset: Dataset) -> None:
    with dataset.journal() as journal:
        again = journal.supersede("t000000-1", "missing_file")
        journal.reject(again, {"reasons": ["clipped"]})
        dataset.snapshot(journal)
    dataset.file(WET).unlink()
    left = dataset.attempt_folder(again)
    left.mkdir(parents=True)
    (left / "take.wav").write_text("x")
    assert found(dataset) == []


def test_a_table_older_than_the_journal_is_stale_until_rebuilt(dataset: Dataset) -> None:
    with dataset.journal() as journal:
        journal.supersede("t000000-1", "x")
    assert found(dataset) == [("stale", "manifests/takes.parquet"), ("unlisted", WET)]
    with dataset.journal() as journal:
        dataset.snapshot(journal)
    assert found(dataset) == [("unlisted", WET)]


def test_a_damaged_table_is_corrupt_and_a_rebuild_mends_it(dataset: Dataset) -> None:
    whole = dataset.rows("takes")
    path = dataset.table_path("takes")
    data = bytearray(path.read_bytes())
    data[1000:1200] = bytes(200)
    path.write_bytes(data)
    assert found(dataset) == [("corrupt", "manifests/takes.parquet")]
    result = CliRunner().invoke(verb, ["--dataset", str(dataset.root), "--rebuild"])
    assert result.exit_code == 0, result.output
    assert dataset.rows("takes") == whole


def test_a_deleted_takes_table_is_missing_and_a_rebuild_brings_it_back(dataset: Dataset) -> None:
    whole = dataset.rows("takes")
    dataset.table_path("takes").unlink()
    assert found(dataset) == [("missing", "manifests/takes.parquet")]
    assert CliRunner().invoke(verb, ["--dataset", str(dataset.root), "--rebuild"]).exit_code == 0
    assert dataset.rows("takes") == whole


def test_a_dataset_that_travels_without_its_journal_is_checked_against_its_tables(dataset: Dataset) -> None:
    for path in dataset.root.glob("journal.sqlite*"):
        path.unlink()
    assert found(dataset) == []
    dataset.file(WET).unlink()
    assert found(dataset) == [("missing", WET)]
    assert not dataset.journal_path.exists()


def test_a_path_that_leaves_the_dataset_is_corrupt_and_not_read(dataset: Dataset) -> None:
    rows = dataset.rows("songs")
    rows[0]["dry_path"] = "../../etc/passwd"
    write_table(dataset.table_path("songs"), "songs", rows)
    assert ("corrupt", "../../etc/passwd") in found(dataset)


SPOILERS: dict[str, Callable[[Dataset], object]] = {
    "missing": lambda dataset: dataset.file(WET).unlink(),
    "corrupt": lambda dataset: flip(dataset.file(WET), 0.5),
}


@pytest.mark.parametrize("kind", SPOILERS)
def test_a_lost_take_is_planned_anew_with_the_reason(dataset: Dataset, kind: str) -> None:
    SPOILERS[kind](dataset)
    findings, _ = verify(dataset)
    assert plan_again(dataset, findings) == ["t000000-2"]
    with dataset.journal() as journal:
        assert journal.counts() == {"accepted": 11, "superseded": 1, "planned": 1}
        assert journal.takes()[0]["reasons"] == [f"{kind}_file"]


def test_the_verb_exits_with_0_or_1_and_tells_machines_what_it_found(dataset: Dataset) -> None:
    whole = CliRunner().invoke(verb, ["--dataset", str(dataset.root)])
    assert (whole.exit_code, whole.output) == (0, "15 audio files decoded and hashed: nothing wrong.\n")
    dataset.file(WET).unlink()
    (dataset.root / "wet" / "note.txt").write_text("x")
    spoiled = CliRunner().invoke(verb, ["--dataset", str(dataset.root), "--json"])
    assert spoiled.exit_code == 1
    assert [finding["kind"] for finding in json.loads(spoiled.stdout)["findings"]] == ["missing", "unlisted"]


def test_two_processes_find_what_one_finds(dataset: Dataset) -> None:
    flip(dataset.file(WET), 0.5)
    dataset.file("dry/song-2.flac").unlink()
    assert verify(dataset, jobs=2) == verify(dataset, jobs=1)


@pytest.mark.filterwarnings("default")  # distributed's own
def test_a_dask_scheduler_finds_what_one_process_finds(dataset: Dataset) -> None:
    distributed = pytest.importorskip("distributed", reason="needs buscomp[cluster]")
    flip(dataset.file(WET), 0.5)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as here:
        assert verify(dataset, scheduler=here.scheduler_address) == verify(dataset)


class StopError(Exception):
    """Ctrl-C, for a test."""


def stop_after(files: int) -> Callable[[int], Callable[[], None]]:
    """A `count` that interrupts."""

    def start(total: int) -> Callable[[], None]:
        left = iter(range(files - 1, -1, -1))

        def one_more() -> None:
            if next(left) == 0:
                raise StopError

        return one_more

    return start


def checked(dataset: Dataset, *, again: bool = False, only_new: bool = False) -> int:
    """How many files a run decodes."""
    with Verified(dataset.root, again=again, only_new=only_new) as known:
        _, count = verify(dataset, known=known)
    return count


def test_an_interrupted_run_goes_on_where_it_stopped_and_the_next_one_begins_anew(dataset: Dataset) -> None:
    with pytest.raises(StopError), Verified(dataset.root) as known:
        verify(dataset, known=known, count=stop_after(6))
    assert checked(dataset) == 15 - 6
    assert checked(dataset) == 15


def test_again_begins_anew_though_the_last_run_was_interrupted(dataset: Dataset) -> None:
    with pytest.raises(StopError), Verified(dataset.root) as known:
        verify(dataset, known=known, count=stop_after(6))
    assert checked(dataset, again=True) == 15


def test_only_new_checks_what_has_changed_since_in_the_file_or_in_its_table(dataset: Dataset) -> None:
    assert checked(dataset) == 15
    assert checked(dataset, only_new=True) == 0
    path = dataset.file(WET)
    flip(path, 0.5)
    rows = dataset.rows("songs")
    rows[1]["loudness_lufs"] += 1
    write_table(dataset.table_path("songs"), "songs", rows)
    with Verified(dataset.root, only_new=True) as known:
        findings, count = verify(dataset, known=known)
    assert (count, known.known) == (2, 13)
    assert [(finding.kind, finding.path) for finding in findings] == [("level", "dry/song-1.flac"), ("corrupt", WET)]
    assert checked(dataset, only_new=True) == 2  # what is wrong is never known


def test_a_file_that_was_replaced_while_a_run_was_interrupted_is_checked_again(dataset: Dataset) -> None:
    with pytest.raises(StopError), Verified(dataset.root) as known:
        verify(dataset, known=known, count=stop_after(15))
    flip(dataset.file(WET), 0.5)
    with Verified(dataset.root) as known:
        findings, count = verify(dataset, known=known)
    assert count == 1
    assert findings[0].path == WET


@pytest.mark.parametrize("data", [b"", b"x" * 5000])
def test_a_damaged_memory_of_work_only_costs_work(dataset: Dataset, data: bytes) -> None:
    assert checked(dataset) == 15
    (dataset.root / ".verified.sqlite").write_bytes(data)
    assert checked(dataset, only_new=True) == 15


def test_a_take_that_was_moved_by_another_shift_than_its_latency_is_misaligned(dataset: Dataset) -> None:
    for path in dataset.root.glob("journal.sqlite*"):
        path.unlink()
    rows = dataset.rows("takes")
    rows[0]["integer_shift_samples"] = 130
    rows[1] |= {"integer_shift_samples": 100, "loopback_latency_samples": 100.2}  # the unit's own 37.25 stay
    write_table(dataset.table_path("takes"), "takes", rows)
    findings, _ = verify(dataset)
    assert [(finding.path, finding.detail) for finding in findings if "was moved" in finding.detail] == [
        (rows[0]["wet_path"], "it was moved by 130 samples, the recorded latency is 137.25")
    ]
    assert {finding.kind for finding in findings} == {"misaligned"}


def test_a_misaligned_take_is_planned_anew(dataset: Dataset) -> None:
    assert plan_again(dataset, [Finding("misaligned", WET, "late")]) == ["t000000-2"]
    with dataset.journal() as journal:
        assert journal.takes()[0]["reasons"] == ["misaligned_file"]


def test_the_verb_tells_how_many_files_it_knew(dataset: Dataset) -> None:
    where = ["--dataset", str(dataset.root)]
    CliRunner().invoke(verb, where)
    told = CliRunner().invoke(verb, [*where, "--only-new", "--json"])
    assert (told.exit_code, json.loads(told.stdout)["checked_files"], json.loads(told.stdout)["known_files"]) == (
        0,
        0,
        15,
    )


def test_verify_changes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    before = {p.relative_to(dataset.root): p.read_bytes() for p in dataset.root.rglob("*") if p.is_file()}
    shutil.copytree(dataset.root, tmp_path / "copy")
    verify(dataset)
    after = {p.relative_to(dataset.root): p.read_bytes() for p in dataset.root.rglob("*") if p.is_file()}
    assert after == before

"""What goes out and what stays, all or nothing, by the words that a user types."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from buscomp.cli import main
from buscomp.curation import export as export_room
from buscomp.curation.export import export
from buscomp.curation.export_commands import FORMATS
from buscomp.curation.export_selection import UNSPLIT, select
from buscomp.manifests.dataset import Dataset, open_dataset
from buscomp.manifests.errors import DatasetError, DiskFullError, UsageError
from buscomp.manifests.tables import read_rows, write_table
from buscomp.tests.curation.exporting import annotate, change_songs


def typed(dataset: Dataset, *words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words), "--dataset", str(dataset.root)])


ACCEPTED_LIKE = {"session_id": "session-1", "reasons": [], "wet_sha256": "0" * 64, "channels": 2} | {
    "sample_rate": 44_100,
    "frames": 44_100,
}


def retake_one(dataset: Dataset) -> Dataset:
    """The first take superseded, its second attempt rejected, its third planned."""
    with dataset.journal() as journal:
        again = journal.supersede(journal.takes()[0]["take_id"], "lost")
        journal.reject(again, {"reasons": ["drift"], "latency_samples": 900.0, "session_id": "session-1"})
        dataset.snapshot(journal)
    return Dataset(dataset.root)


def test_only_accepted_takes_go_out_in_capture_order_with_everything_known_of_them(dataset: Dataset) -> None:
    annotate(dataset)
    dataset = retake_one(dataset)
    rows = list(select(dataset).rows())
    accepted = dataset.takes[dataset.takes["status"] == "accepted"].sort_values("sequence")
    assert [row["take_id"] for row in rows] == list(accepted["take_id"])
    assert len(rows) == 11
    assert rows[0].keys() == {column.name for column in select(dataset).columns}
    assert rows[0]["key"] == "C# major"
    assert rows[0]["threshold_db"] in (-28.0, -20.0, -12.0)


def test_a_split_narrows_takes_songs_and_settings(dataset: Dataset) -> None:
    chosen = select(dataset, ["test_unseen"])
    assert chosen.splits == {"test_unseen": 2}
    assert list(chosen.songs) == ["song-2"]
    assert {row["origin"] for row in chosen.settings.values()} == {"random"}
    assert chosen.hours == pytest.approx(2 / 3600)


def test_no_word_but_a_split_is_a_split(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"no such split, got testing \(allowed: train, validation"):
        select(dataset, ["testing"])


@pytest.mark.parametrize(
    ("song", "why"),
    [
        ({"license": None}, "no licence is known"),
        ({"license": "CC-BY-NC-ND-4.0"}, "its licence does not allow it"),
        ({"license": "house rules"}, "its licence is not known here"),
    ],
)
def test_a_song_without_a_licence_that_allows_it_stays_with_its_takes(
    dataset: Dataset, song: dict[str, Any], why: str
) -> None:
    chosen = select(change_songs(dataset, song))
    assert list(chosen.songs) == ["song-1", "song-2"]
    assert [(left.song_id, left.why, left.takes) for left in chosen.left_out] == [("song-0", why, 4)]
    assert len(chosen.takes) == 8


def test_the_command_says_how_many_stay_behind_and_why(dataset: Dataset, tmp_path: Path) -> None:
    dataset = change_songs(dataset, {"license": None}, {"license": "CC-BY-ND-4.0"})
    told = typed(dataset, tmp_path / "out", "--author", "A Lab")
    assert told.exit_code == 0, told.output
    assert "left out: 1 song (4 takes): no licence is known" in told.output
    assert "left out: 1 song (4 takes): its licence does not allow it (CC-BY-ND-4.0)" in told.output
    assert (
        f"{tmp_path / 'out'}, huggingface: 4 takes (0.00111 h) of 1 song at 4 settings of SSL 500-series" in told.output
    )
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- 1 song (4 takes): no licence is known" in card
    assert "song-0" not in card


def test_with_every_song_forbidden_there_is_one_line_and_no_folder(dataset: Dataset, tmp_path: Path) -> None:
    dataset = change_songs(dataset, *[{"license": None}] * 3)
    told = typed(dataset, tmp_path / "out")
    assert told.exit_code == 1
    assert "there is nothing to export, got 3 songs (12 takes): no licence is known; write the licences" in told.output
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Passing a schema to Validator.iter_errors:DeprecationWarning")  # jams
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # mlcroissant
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_can_be_typed_and_tells_json(dataset: Dataset, tmp_path: Path, format: str) -> None:
    annotate(dataset)
    told = typed(dataset, tmp_path / "out", "--format", format, "--author", "A Lab", "--json")
    assert told.exit_code == 0, told.output
    document = json.loads(told.output)
    assert (document["format"], document["songs"], document["left_out"]) == (format, 3, [])
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert document["files"] == len(files)
    assert document["size_bytes"] == sum(path.stat().st_size for path in files)


def test_without_a_folder_it_goes_into_the_dataset_and_disturbs_nothing(dataset: Dataset) -> None:
    told = typed(dataset)
    assert told.exit_code == 0, told.output
    assert (dataset.root / "export" / "huggingface" / "README.md").exists()
    assert "note: no author is named" in told.output
    verified = CliRunner().invoke(main, ["verify", "--dataset", str(dataset.root)])
    assert verified.exit_code == 0, verified.output


def test_a_folder_that_holds_something_is_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    told = typed(dataset, tmp_path / "out")
    assert told.exit_code == 2
    assert "is not empty; remove it, or name another folder" in told.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    assert typed(dataset, dataset.root).exit_code == 2  # the dataset itself


def test_an_empty_folder_may_be_filled_and_a_file_may_not(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert typed(dataset, tmp_path / "empty").exit_code == 0
    (tmp_path / "file").touch()
    told = typed(dataset, tmp_path / "file")
    assert told.exit_code == 2
    assert "is not a folder" in told.output


def test_two_exports_into_one_folder_do_not_meet(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    with pytest.raises(UsageError, match=r"out.partial is there already: another export writes it, or one was cut off"):
        export(dataset, tmp_path / "out")
    assert (tmp_path / "out.partial").exists()


def test_whatever_fails_leaves_nothing_behind(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_room, "data_card", fail)
    with pytest.raises(KeyboardInterrupt):
        export(dataset, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_a_missing_file_is_found_before_anything_is_written(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_room, "write_huggingface", lambda *_: pytest.fail("it began to write"))
    dataset.file(dataset.rows("takes")[-1]["wet_path"]).unlink()
    with pytest.raises(DatasetError, match=r"song-2.flac does not exist; type `buscomp verify`"):
        export(dataset, tmp_path / "out")


def test_a_path_that_leaves_the_dataset_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    dataset = change_songs(dataset, {"dry_path": "../secret.flac"})
    with pytest.raises(DatasetError, match="must stay inside the dataset"):
        export(dataset, tmp_path / "out")


def test_a_take_id_with_a_dot_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    rows = dataset.rows("takes")
    rows[3]["take_id"] = "take.3"
    write_table(dataset.table_path("takes"), "takes", rows)
    with pytest.raises(UsageError, match=r"take_id is not an id, got 'take.3'"):
        export(dataset, tmp_path / "out")


def test_rejected_attempts_stay_in_the_tables_and_plans_do_not(dataset: Dataset, tmp_path: Path) -> None:
    dataset = retake_one(dataset)
    export(dataset, tmp_path / "out")
    takes = read_rows(tmp_path / "out" / "manifests" / "takes.parquet", "takes")
    assert len(takes) == 11  # the pair that is planned again is not in it, nor are its attempts
    with dataset.journal() as journal:
        (planned,) = journal.planned()
        journal.accept(planned["take_id"], ACCEPTED_LIKE | {"wet_path": dataset.rows("takes")[0]["wet_path"]})
        dataset.snapshot(journal)
    export(Dataset(dataset.root), tmp_path / "again")
    takes = read_rows(tmp_path / "again" / "manifests" / "takes.parquet", "takes")
    statuses = [row["status"] for row in takes if row["song_id"] == "song-0" and row["sequence"] == 0]
    assert statuses == ["superseded", "rejected", "accepted"]
    card = (tmp_path / "again" / "README.md").read_text()
    assert "- Takes: 12 accepted, 1 rejected, 1 replaced later." in card
    assert "- Rejected for drift: 1." in card


def test_the_folder_of_a_source_file_is_nobodys_business(dataset: Dataset, tmp_path: Path) -> None:
    dataset = change_songs(dataset, {"source_path": "/home/ada/mixes/secret project/take.wav"})
    export(dataset, tmp_path / "out")
    songs = read_rows(tmp_path / "out" / "manifests" / "songs.parquet", "songs")
    assert [row["source_path"] for row in songs] == ["take.wav", "song-1.wav", "song-2.wav"]


def test_the_gain_control_voltage_goes_along_where_it_is_recorded(dataset: Dataset, tmp_path: Path) -> None:
    rows = dataset.rows("takes")
    for row in rows[:2]:
        row["cv_path"] = dataset.cv_path(row["setting_id"], row["song_id"])
        dataset.file(row["cv_path"]).parent.mkdir(parents=True, exist_ok=True)
        dataset.file(row["cv_path"]).write_bytes(dataset.file(row["wet_path"]).read_bytes())
        row["cv_sha256"] = row["wet_sha256"]
    write_table(dataset.table_path("takes"), "takes", rows)
    dataset.table_path("splits").unlink()
    selection = select(dataset)
    assert selection.kinds == ("dry", "wet", "cv")
    assert [len(selection.audio_files(row)) for row in selection.rows()] == [3, 3] + [2] * 10
    made = export(dataset, tmp_path / "out", "bagit")
    assert made.splits == {UNSPLIT: 12}
    assert len(list((tmp_path / "out" / "data" / "cv").rglob("*.flac"))) == 2


def test_a_bag_needs_room_for_each_dry_song_once(dataset: Dataset) -> None:
    selection = select(dataset)
    dry = sum(dataset.file(song["dry_path"]).stat().st_size for song in selection.songs.values())
    wet = sum(dataset.file(row["wet_path"]).stat().st_size for row in selection.rows())
    assert selection.audio_bytes(dry_with_each_take=False) == dry + wet
    assert selection.audio_bytes(dry_with_each_take=True) == 4 * dry + wet


@pytest.mark.parametrize("format", ["webdataset", "jams", "bagit"])
def test_dry_once_is_for_parquet(dataset: Dataset, tmp_path: Path, format: str) -> None:
    told = typed(dataset, tmp_path / "out", "--format", format, "--dry-once")
    assert told.exit_code == 2
    assert "--dry-once is for huggingface and croissant" in told.output


def test_a_disk_that_is_too_small_is_found_before_anything_is_copied(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6 - 10, 10))
    with pytest.raises(DiskFullError, match=r"the export needs 1\.\d MB of free disk, 0.0 MB are left"):
        export(dataset, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_takes_of_two_units_go_out_side_by_side(dataset: Dataset, tmp_path: Path) -> None:
    rows = dataset.rows("takes")
    for row in rows[:3]:
        path = dataset.wet_path(row["setting_id"], row["song_id"], "the-other")
        dataset.file(path).parent.mkdir(parents=True, exist_ok=True)
        dataset.file(path).write_bytes(dataset.file(row["wet_path"]).read_bytes())
        rows.append(row | {"take_id": f"{row['take_id']}-other", "unit_id": "the-other", "wet_path": path})
    write_table(dataset.table_path("takes"), "takes", rows)
    assert export(dataset, tmp_path / "out", "bagit").takes == 15
    bagged = open_dataset(tmp_path / "out" / "data")
    assert len(list(bagged.pairs())) == 15
    card = (tmp_path / "out" / "data" / "README.md").read_text()
    assert "- Captured through 2 of them (column unit_id): ssl-500-series-bus-compressor-unknown, the-other." in card


def test_a_dataset_without_unit_and_split_can_be_exported(dataset: Dataset, tmp_path: Path) -> None:
    dataset.unit_path.unlink()
    dataset.table_path("splits").unlink()
    dataset.table_path("sessions").unlink()
    assert export(dataset, tmp_path / "out", sample=2).splits == {UNSPLIT: 4}


@pytest.mark.parametrize(("format", "library"), [("croissant", "mlcroissant"), ("jams", "jams"), ("bagit", "bagit")])
def test_a_library_that_is_missing_is_said_before_anything_is_written(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(export_room, "new_folder", lambda _: pytest.fail("it began to write"))
    told = typed(dataset, tmp_path / "out", "--format", format)
    assert told.exit_code == 2
    assert f"{library} is not installed; type: pip install 'buscomp[export]'" in told.output


def test_a_subset_goes_along_only_whole(dataset: Dataset, tmp_path: Path) -> None:
    takes = dataset.rows("takes")
    rows = [
        {"subset": name, "start_frame": 0, "frames": 100}
        | {column: take[column] for column in ("take_id", "song_id", "setting_id")}
        for name, its in (("one-song", takes[:1]), ("all", takes))
        for take in its
    ]
    write_table(dataset.table_path("subsets"), "subsets", rows)
    export(change_songs(dataset, {}, {"license": None}), tmp_path / "out", "bagit")
    subsets = open_dataset(tmp_path / "out" / "data").subsets
    assert list(subsets["subset"]) == ["one-song"]
    assert np.array_equal(subsets["frames"], [100])

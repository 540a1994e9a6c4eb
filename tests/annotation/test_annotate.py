"""`annotation.annotate`: songs.parquet -> annotations.parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from buscomp.annotation import annotate as module
from buscomp.annotation import key
from buscomp.annotation.annotate import annotate
from buscomp.annotation.commands import annotate as verb
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError
from buscomp.manifests.tables import write_table
from buscomp.tests.small_dataset import make_dataset

TRUTH = {"song-0": (100, "C major"), "song-1": (110, "C# major"), "song-2": (120, "D major")}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three songs of 10 s, read by several tests."""
    return make_dataset(tmp_path_factory.mktemp("songs"), settings=1, seconds=10.0)


@pytest.fixture
def unlistened(songs: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """`songs` without annotations, and a quick listener: the list of the files it heard."""
    heard: list[Path] = []

    def listen(path: Path) -> dict[str, Any]:
        heard.append(path)
        return {"key": "A minor", "key_confidence": 0.5, "tempo_bpm": 99.5, "tempo_confidence": 0.25}

    songs.table_path("annotations").unlink(missing_ok=True)
    monkeypatch.setattr(module, "listen", listen)
    yield heard
    songs.table_path("annotations").unlink(missing_ok=True)


def test_every_song_gets_its_key_its_tempo_and_who_measured_them(songs: Dataset) -> None:
    annotated = annotate(songs)
    rows = songs.rows("annotations")
    assert annotated.rows == [{k: v for k, v in row.items() if k in annotated.rows[0]} for row in rows]
    assert [row["song_id"] for row in rows] == list(TRUTH)
    for row in rows:
        tempo_bpm, name = TRUTH[row["song_id"]]
        assert row["key"] == name
        assert row["tempo_bpm"] == pytest.approx(tempo_bpm, rel=0.002)
        assert row["key_backend"] == "chroma-temperley"
        assert row["tempo_backend"] == "librosa-comb"
        assert row["key_version"].startswith("1+librosa-")
        assert row["genres"] is None
        assert row["instruments_backend"] is None


def test_a_second_run_listens_to_nothing_and_again_listens_to_all(songs: Dataset, unlistened: list[Path]) -> None:
    first = annotate(songs)
    assert (first.new, first.kept, len(unlistened)) == (3, 0, 3)
    second = annotate(songs)
    assert (second.new, second.kept, len(unlistened)) == (0, 3, 3)
    assert second.rows[1]["key"] == "A minor"
    assert annotate(songs, again=True).new == 3


def test_only_the_song_whose_audio_changed_is_listened_to(songs: Dataset, unlistened: list[Path]) -> None:
    annotate(songs)
    rows = songs.rows("annotations")
    rows[1]["dry_sha256"] = "f" * 64
    write_table(songs.table_path("annotations"), "annotations", rows)
    assert annotate(songs).new == 1
    assert [path.stem for path in unlistened[3:]] == ["song-1"]


def test_another_version_of_a_method_is_reason_to_listen_again(
    songs: Dataset, unlistened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(songs)
    monkeypatch.setattr(key, "BACKEND_VERSION", "2")
    assert annotate(songs).new == 3
    assert {row["key_version"][:2] for row in songs.rows("annotations")} == {"2+"}


def test_an_interrupted_run_keeps_what_it_has_and_the_next_does_the_rest(
    songs: Dataset, unlistened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = module.listen

    def stops_at_the_third(path: Path) -> dict[str, Any]:
        if path.stem == "song-2":
            raise KeyboardInterrupt
        return quick(path)

    monkeypatch.setattr(module, "listen", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        annotate(songs)
    assert [row["song_id"] for row in songs.rows("annotations")] == ["song-0", "song-1"]
    monkeypatch.setattr(module, "listen", quick)
    assert annotate(songs).new == 1
    assert [row["song_id"] for row in songs.rows("annotations")] == list(TRUTH)


def test_an_executor_gives_the_same_rows(songs: Dataset, unlistened: list[Path]) -> None:
    alone = annotate(songs).rows
    with ThreadPoolExecutor(2) as executor:
        assert annotate(songs, again=True, executor=executor).rows == alone


def test_quarantined_songs_are_left_out_and_vanished_ones_are_dropped(dataset: Dataset, unlistened: list[Path]) -> None:
    annotate(dataset)
    rows = dataset.rows("songs")
    rows[0] |= {"status": "quarantined", "dry_path": None}
    write_table(dataset.table_path("songs"), "songs", rows[:2])
    assert annotate(dataset).kept == 1
    assert [row["song_id"] for row in dataset.rows("annotations")] == ["song-1"]


def test_a_damaged_table_is_named_with_its_mend_which_mends_it(dataset: Dataset, unlistened: list[Path]) -> None:
    annotate(dataset)
    dataset.table_path("annotations").write_bytes(b"PAR1 not really")
    with pytest.raises(DatasetError, match=r"annotations.parquet is damaged .*`buscomp annotate --again`"):
        annotate(dataset)
    assert annotate(dataset, again=True).new == 3
    assert len(dataset.rows("annotations")) == 3


def test_a_missing_dry_file_is_named(dataset: Dataset) -> None:
    dataset.file("dry/song-1.flac").unlink()
    with pytest.raises(DatasetError, match=r"song-1\.flac"):
        annotate(dataset)
    assert [row["song_id"] for row in dataset.rows("annotations")] == ["song-0"]


def test_the_verb_tells_people_a_line_per_song_and_machines_a_document(songs: Dataset, unlistened: list[Path]) -> None:
    told = CliRunner().invoke(verb, ["--dataset", str(songs.root)])
    assert told.exit_code == 0
    assert "A minor   (0.50)   99.50 BPM (0.25)" in told.output
    assert told.output.splitlines()[-1] == "3 songs: 3 annotated, 0 kept."
    document = json.loads(CliRunner().invoke(verb, ["--dataset", str(songs.root), "--json"]).stdout)
    assert (document["new"], document["kept"]) == (0, 3)
    assert document["songs"][2]["song_id"] == "song-2"

"""`annotation.annotate`: songs.parquet -> annotations.parquet and segments.parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from buscomp.annotation import backend as backends
from buscomp.annotation import listening
from buscomp.annotation.annotate import annotate
from buscomp.annotation.backend import DEFAULT, FIELDS, Choice, Entry, create
from buscomp.annotation.commands import annotate as verb
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.tables import write_table
from buscomp.tests.annotation import quick_backend
from buscomp.tests.annotation.quick_backend import Quick, heard, state
from buscomp.tests.small_dataset import make_dataset

TRUTH = {"song-0": (100, "C major"), "song-1": (110, "C# major"), "song-2": (120, "D major")}
PREFIXES = ("tempo", "key", "genres", "instruments", "embedding")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three songs of 10 s."""
    return make_dataset(tmp_path_factory.mktemp("songs"), settings=1, seconds=10.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only default is a backend that answers at once; `other` is one more, to ask for by name."""
    entry = Entry(quick_backend.__name__, "Quick", Quick.gives, "for tests")
    monkeypatch.setitem(backends.BACKENDS, "quick", entry)
    monkeypatch.setitem(backends.BACKENDS, "other", entry)
    monkeypatch.setattr("buscomp.annotation.makers.DEFAULT", ("quick",))
    listening.backend_of.cache_clear()
    quick_backend.reset()


def columns(dataset: Dataset, name: str) -> list[Any]:
    return [row[name] for row in dataset.rows("annotations")]


def test_every_song_gets_every_value_with_backend_version_and_confidence(songs: Dataset) -> None:
    pytest.importorskip("onnxruntime")
    annotated = annotate(songs, jobs=1)
    assert [row["song_id"] for row in annotated.rows] == list(TRUTH)
    for row in songs.rows("annotations"):
        tempo_bpm, name = TRUTH[row["song_id"]]
        assert row["key"] == name
        right = [row["tempo_bpm"] == pytest.approx(factor * tempo_bpm, rel=0.002) for factor in (0.5, 1, 2)]
        assert any(right)
        assert "drum" in row["instruments"]
        assert len(row["embedding"]) == 753
        for prefix in PREFIXES:
            assert row[f"{prefix}_backend"], prefix
            assert row[f"{prefix}_version"], prefix
            assert 0 <= row[f"{prefix}_confidence"] <= 1
        assert all(float(one.rpartition("=")[2]) <= 1 for one in row["genres_candidates"])
    assert [(row["song_id"], row["segment"], row["end_s"]) for row in songs.rows("segments")] == [
        (song_id, 0, 10.0) for song_id in TRUTH
    ]


@pytest.mark.slow
def test_two_processes_write_what_one_writes(songs: Dataset) -> None:
    alone = annotate(songs, again=True, jobs=1).rows
    assert annotate(songs, again=True, jobs=2).rows == alone


@pytest.mark.usefixtures("quick")
def test_a_second_run_listens_to_nothing_and_again_listens_to_all(dataset: Dataset) -> None:
    first = annotate(dataset)
    assert (first.new, first.kept, len(heard)) == (3, 0, 3)
    second = annotate(dataset)
    assert (second.new, second.kept, len(heard)) == (0, 3, 3)
    assert columns(dataset, "key_candidates")[0] == ["A minor=0.5", "C major=0.4"]
    assert columns(dataset, "tempo_candidates")[0] == ["99.500=0.25", "199.000=0.2"]
    assert dataset.rows("segments")[2]["caption_answer"] == " a drum\n"
    assert annotate(dataset, again=True).new == 3


@pytest.mark.usefixtures("quick")
def test_only_the_song_whose_audio_changed_is_listened_to(dataset: Dataset) -> None:
    annotate(dataset)
    for table in ("annotations", "segments"):
        rows = dataset.rows(table)
        rows[1]["dry_sha256"] = "f" * 64
        write_table(dataset.table_path(table), table, rows)
    assert annotate(dataset).new == 1
    assert len(dataset.rows("segments")) == 3


@pytest.mark.usefixtures("quick")
def test_a_value_by_an_older_version_or_a_retired_default_is_made_anew(dataset: Dataset) -> None:
    annotate(dataset)
    state["version"] = "2"
    assert annotate(dataset).new == 3
    assert set(columns(dataset, "key_version")) == {"2"}
    rows = dataset.rows("annotations")
    rows[2] |= {"tempo_backend": "librosa-comb", "tempo_bpm": 1.0}
    write_table(dataset.table_path("annotations"), "annotations", rows)
    assert annotate(dataset).new == 1
    assert columns(dataset, "tempo_bpm") == [99.5] * 3


@pytest.mark.usefixtures("quick")
def test_values_of_a_backend_that_was_asked_for_outlive_a_run_with_the_defaults(dataset: Dataset) -> None:
    annotate(dataset)
    other = Choice("other", (("name", "other"),))
    assert annotate(dataset, backends=[other]).new == 3
    assert set(columns(dataset, "genres_backend")) == {"other"}
    assert annotate(dataset).new == 0
    assert set(columns(dataset, "genres_backend")) == {"other"}
    assert [row["caption_backend"] for row in dataset.rows("segments")] == ["quick", "other"] * 3
    assert annotate(dataset, backends=[Choice("quick")]).new == 3
    assert set(columns(dataset, "genres_backend")) == {"quick"}


@pytest.mark.usefixtures("quick")
def test_an_interrupted_run_keeps_what_it_has_and_the_next_does_the_rest(dataset: Dataset) -> None:
    state.update(fails_at=3, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        annotate(dataset)
    assert columns(dataset, "song_id") == ["song-0", "song-1"]
    state["fails_at"] = None
    assert annotate(dataset).new == 1
    assert columns(dataset, "song_id") == list(TRUTH)


@pytest.mark.usefixtures("quick")
def test_a_song_that_cannot_be_heard_is_named_at_the_end_when_all_others_are_done(dataset: Dataset) -> None:
    dataset.file("dry/song-1.flac").unlink()
    with pytest.raises(DatasetError, match=r"could not annotate song-1: song-1\.flac does not exist"):
        annotate(dataset)
    assert columns(dataset, "song_id") == ["song-0", "song-2"]
    quick_backend.reset()
    state.update(fails_at=1, error=quick_backend.bad_song())
    with pytest.raises(DatasetError, match=r"\(and 1 more songs\)"):
        annotate(dataset, again=True)
    assert columns(dataset, "song_id") == ["song-0", "song-2"]  # what was heard of song-0 before stays


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("heard", [0, 1])
def test_going_again_and_stopping_at_once_loses_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, heard: int
) -> None:
    annotate(dataset)
    before = {table: dataset.rows(table) for table in ("annotations", "segments")}

    def stopped(work, items, **options):  # Ctrl-C, or no scheduler behind the address
        for item in items[:heard]:
            yield item, work(item)
        raise KeyboardInterrupt

    monkeypatch.setattr("buscomp.annotation.hearing.each", stopped)
    with pytest.raises(KeyboardInterrupt):
        annotate(dataset, again=True)
    assert {table: dataset.rows(table) for table in before} == before


@pytest.mark.usefixtures("quick")
def test_quarantined_songs_are_left_out_and_vanished_ones_are_dropped(dataset: Dataset) -> None:
    annotate(dataset)
    rows = dataset.rows("songs")
    rows[0] |= {"status": "quarantined", "dry_path": None}
    write_table(dataset.table_path("songs"), "songs", rows[:2])
    assert annotate(dataset).kept == 1
    assert columns(dataset, "song_id") == ["song-1"]
    assert len(dataset.rows("segments")) == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("table", ["annotations", "segments"])
def test_a_damaged_table_is_named_with_its_mend_which_mends_it(dataset: Dataset, table: str) -> None:
    annotate(dataset)
    dataset.table_path(table).write_bytes(b"PAR1 not really")
    with pytest.raises(DatasetError, match=rf"{table}.parquet is damaged .*`buscomp annotate --again`"):
        annotate(dataset)
    assert annotate(dataset, again=True).new == 3
    assert len(dataset.rows(table)) == 3


@pytest.mark.usefixtures("quick")
def test_a_persons_correction_wins_is_marked_and_gives_way_when_it_is_withdrawn(dataset: Dataset) -> None:
    annotate(dataset)
    file = dataset.root / "annotations.csv"
    file.write_text("song_id,tempo_bpm,key,genres,instruments\nsong-1,97.3,f minor,Folk;hip-hop,-\nsong-2,-,,,\n")
    annotated = annotate(dataset)
    assert (annotated.new, annotated.corrected) == (0, 2)
    row = dataset.rows("annotations")[1]
    assert (row["tempo_bpm"], row["key"], row["genres"], row["instruments"]) == (
        97.3,
        "F minor",
        ["folk", "hip hop"],
        [],
    )
    assert (row["key_backend"], row["key_confidence"], row["embedding_backend"]) == ("human", 1.0, "quick")
    assert columns(dataset, "tempo_bpm") == [99.5, 97.3, None]
    assert annotate(dataset, again=True).rows[1]["key"] == "F minor"
    file.unlink()
    assert annotate(dataset).new == 2
    assert columns(dataset, "tempo_bpm") == [99.5] * 3


def test_unknown_backends_and_options_are_wrong_use_and_name_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"there is no such backend, got nosuch \(allowed: tempo, key, musicnn"):
        create(Choice("nosuch"))
    with pytest.raises(UsageError, match="the backend tempo has no such option, got speed"):
        create(Choice("tempo", (("speed", "9"),)))


def test_every_default_gives_what_the_registry_says() -> None:
    for name in DEFAULT:
        made = create(Choice(name))
        assert made.gives == backends.BACKENDS[name].gives
        assert set(made.gives) <= set(FIELDS)
        assert made.version


@pytest.mark.usefixtures("quick")
def test_without_onnxruntime_the_verb_says_what_is_left_out(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("nowhere", "Nothing", ("genres",), "for tests", "no_such_package", "pip install it")
    monkeypatch.setitem(backends.BACKENDS, "absent", entry)
    monkeypatch.setattr("buscomp.annotation.makers.DEFAULT", ("quick", "absent"))
    told = CliRunner().invoke(verb, ["--dataset", str(dataset.root)])
    assert told.exit_code == 0
    assert "genres: left out, absent needs no_such_package; pip install it" in told.stderr
    with pytest.raises(UsageError, match="the backend absent needs no_such_package; pip install it"):
        create(Choice("absent"))


@pytest.mark.usefixtures("quick")
def test_the_verb_tells_people_a_line_per_song_and_machines_a_document(dataset: Dataset) -> None:
    words = ["--dataset", str(dataset.root), "--set", "other.name=mine"]
    told = CliRunner().invoke(verb, words)
    assert told.exit_code == 0
    assert "A minor   (0.50)   99.50 BPM (0.25)  rock" in told.output
    assert told.output.splitlines()[-1] == "3 songs: 3 annotated, 0 kept."
    document = json.loads(CliRunner().invoke(verb, [*words, "--json"]).stdout)
    assert (document["new"], document["kept"]) == (0, 3)
    assert document["songs"][2] | {"song_id": "song-2", "genres_backend": "mine"} == document["songs"][2]
    wrong = CliRunner().invoke(verb, ["--dataset", str(dataset.root), "--set", "other.name"])
    assert isinstance(wrong.exception, UsageError)


def test_the_verb_lists_the_backends(tmp_path: Path) -> None:
    document = json.loads(CliRunner().invoke(verb, ["--backends", "--json", "--dataset", str(tmp_path)]).stdout)
    assert document["backends"]["tempo"] == {"gives": ["tempo_bpm"], "installed": True}

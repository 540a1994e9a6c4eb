"""`annotation.corrections`: annotations.csv, and the words that it may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.annotation.corrections import key_named, read_corrections
from buscomp.annotation.musicnn import TAGS
from buscomp.annotation.vocabulary import VOCABULARIES, label_of, labels, labels_of, names
from buscomp.manifests.errors import UsageError

PAPER = {
    "genres": ("rock", "pop", "electronic", "folk", "ambient", "metal", "jazz", "hip hop"),
    "instruments": (
        "bass", "drum", "guitar", "vocal", "synth", "piano", "string", "keyboard", "brass", "woodwind",
    ),
}  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "annotations.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_a_spreadsheet_with_its_mark_and_empty_cells_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffsong_id, key ,genres\r\na,gb minor,\r\nb,,Rap; rock ;rap\r\n")
    assert read_corrections(path, {"a", "b"}) == {"a": {"key": "F# minor"}, "b": {"genres": ["hip hop", "rock"]}}


def test_no_file_corrects_nothing(tmp_path: Path) -> None:
    assert read_corrections(tmp_path / "annotations.csv", {"a"}) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("song_id,mood\na,sad\n", r"annotations.csv:1: columns, got song_id, mood"),
        ("key\nC major\n", r"annotations.csv:1: columns"),
        ("", r"annotations.csv:1: columns, got none"),
        ("song_id,key\nnosuch,C major\n", r"annotations.csv:2: no accepted song has this id, got nosuch"),
        ("song_id,key\na,C major\na,D major\n", r"annotations.csv:3: a stands here twice"),
        ("song_id,key\na,C dorian\n", r"annotations.csv:2: key, got C dorian .*C# major"),
        ("song_id,tempo_bpm\na,fast\n", r"annotations.csv:2: tempo_bpm, got fast \(allowed: 20 to 400\)"),
        ("song_id,tempo_bpm\na,nan\n", r"tempo_bpm, got nan"),
        ("song_id,tempo_bpm\na,12\n", r"tempo_bpm, got 12"),
        ("song_id,genres\na,rock;mumblecore\n", r"no such word in genres, got mumblecore \(allowed: rock, pop"),
        ("song_id,key\na\n", r"annotations.csv:2: as many cells as columns"),
        ("song_id,key\na,C major,x\n", r"annotations.csv:2: as many cells as columns"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_corrections(written(tmp_path, text), {"a"})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"song_id;key\na;C major\n", r"columns, got song_id;key \(allowed: .*\); separate cells by commas$"),
        (b"song_id\tkey\na\tC major\n", r"; separate cells by commas$"),
        ("song_id,genres\na,Métal\n".encode("latin-1"), r'is not a CSV file in UTF-8, got .*; save it as "CSV UTF-8"$'),
        ("song_id,key\na,C major\n".encode("utf-16"), r'; save it as "CSV UTF-8"$'),
        (b'song_id,key\n"a,C major\n', r"is not a CSV file in UTF-8, got unexpected end of data$"),
    ],
)
def test_what_a_spreadsheet_writes_otherwise_is_told_with_its_mend(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "annotations.csv"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=told):
        read_corrections(path, {"a"})


@given(st.binary(max_size=200))
def test_any_bytes_are_corrections_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "annotations.csv"
    path.write_bytes(data)
    try:
        found = read_corrections(path, {"a"})
    except UsageError as error:
        told = str(error)
    else:
        told = "annotations.csv" if set(found) <= {"a"} else ""
    assert "annotations.csv" in told


@pytest.mark.parametrize(
    ("text", "name"), [("C# major", "C# major"), ("db MAJOR", "C# major"), ("e# minor", "F minor")]
)
def test_a_key_is_spelled_as_in_the_tables(text: str, name: str) -> None:
    assert key_named(text, "here") == name


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_the_vocabulary_begins_with_the_words_of_the_paper_and_its_tags_exist(vocabulary: str) -> None:
    assert names(vocabulary)[: len(PAPER[vocabulary])] == PAPER[vocabulary]
    for words in labels(vocabulary).values():
        for network, tags in TAGS.items():
            assert set(words.tags(network)) <= set(tags)


def test_words_are_folded_to_their_label() -> None:
    assert label_of("genres", "  Hip-Hop ") == "hip hop"
    assert label_of("genres", "mumblecore") is None
    assert labels_of("instruments", ["Drums", "percussion", "kazoo", "SAX"]) == ["drum", "woodwind"]

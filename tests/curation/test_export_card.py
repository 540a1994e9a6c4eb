"""README.md and CITATION.cff of an export: true figures, valid YAML, and text that stays text."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from buscomp.curation.citation import citation_of
from buscomp.curation.data_card import data_card
from buscomp.curation.export import export
from buscomp.curation.export_selection import select
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import UsageError
from buscomp.manifests.tables import write_table
from buscomp.tests.curation.exporting import change_songs

OURS = """
cff-version: 1.2.0
message: Cite the paper.
title: My compressor
version: 2.1.0
date-released: 2026-03-04
doi: 10.1234/5678
authors:
  - {given-names: Ada, family-names: Lovelace, orcid: "https://orcid.org/0000-0000-0000-0000"}
  - {name: A Lab}
"""


def card_of(dataset: Dataset) -> str:
    selection = select(dataset)
    citation = citation_of(dataset.root, ["CC0-1.0"], title="bus comp", authors=["A Lab"])
    return data_card(selection, selection, citation, reading="Open it.")


def test_the_card_tells_content_capture_and_citation(dataset: Dataset) -> None:
    sessions = dataset.rows("sessions")
    levels = {"send_boost_db": 5.0, "return_trim_db": -5.0, "dbu_at_0dbfs_out": 18.0, "dbu_at_0dbfs_in": None}
    write_table(dataset.table_path("sessions"), "sessions", [sessions[0] | levels])
    card = card_of(dataset)
    for line in (
        "12 takes (0.00333 h) of 3 songs at 4 settings of SSL 500-series bus compressor: what was sent (dry)",
        "| test_unseen | test songs, unseen settings | 2 |",
        "| THRESHOLD | threshold_db | -28, -20, -12 | threshold as published; the panel reads 20 dB more |",
        "Audio: FLAC, 24 bits, 44100 Hz, stereo.",
        "## How to read it\n\nOpen it.",
        "- Unit: SSL 500-series bus compressor.",
        "- Device: tests at 44100 Hz; 1 session.",
        "- Staging: +5 dB before the send, -5 dB after the return, both digital.",
        "- Levels: 0 dBFS is +18.00 dBu at the unit's input and unknown at the return.",
        "- Captured from 2026-01-02 to 2026-01-02.",
        "(median 137.25 samples, 137.25 to 137.25)",
        "- Noise floor: median -95.0 dBFS, largest -95.0 dBFS.",
        "- Takes: 12 accepted, 0 rejected, 0 replaced later.",
        "| song-0 | Song 0 | buscomp tests | rendered | CC0-1.0 |",
        "@misc{datasetbuscomp",
    ):
        assert line in card


def test_songs_of_several_licences_make_a_dataset_of_several(dataset: Dataset) -> None:
    dataset = change_songs(dataset, {"license": "cc by 4.0"})
    matter = yaml.safe_load(card_of(dataset).split("---\n")[1])
    assert (matter["license"], matter["license_name"]) == ("other", "one-for-each-song")
    assert "| song-0 | Song 0 | buscomp tests | rendered | CC-BY-4.0 |" in card_of(dataset)


def test_what_the_licences_ask_for_is_said_with_the_number_of_songs(dataset: Dataset) -> None:
    assert "Whoever passes them on" not in card_of(dataset)
    card = card_of(change_songs(dataset, {"license": "CC-BY-NC-SA-4.0"}, {"license": "CC-BY-4.0"}))
    assert "- names the artist and the licence (2 songs)\n- passes on under the same licence (1 song)" in card
    assert "- does not do so for money (1 song)" in card


def test_a_title_of_a_file_breaks_neither_table_nor_page(dataset: Dataset) -> None:
    card = card_of(change_songs(dataset, {"title": 'a|b\n---\n# c <script>alert("1")</script> [x](http://y)'}))
    assert "<script>" not in card
    assert '| song-0 | a\\|b --- # c &lt;script\\>alert("1")&lt;/script\\> \\[x\\](http://y) | buscomp tests |' in card


def test_without_sessions_and_unit_the_card_says_less_and_nothing_false(dataset: Dataset) -> None:
    for path in (dataset.table_path("sessions"), dataset.unit_path):
        path.unlink()
    card = card_of(Dataset(dataset.root))
    assert "- Unit: an unnamed unit." in card
    assert not any(word in card for word in ("Device:", "Staging:", "THRESHOLD", "None", "nan"))


def test_a_citation_is_written_for_a_person_and_for_a_group(tmp_path: Path) -> None:
    made = citation_of(tmp_path, ["cc by 4.0", "house rules"], title="A: b", authors=["Lovelace, Ada", "A Lab"])
    content = yaml.safe_load(made.text)
    today = datetime.datetime.now(datetime.UTC).date()
    assert content["cff-version"] == "1.2.0"
    assert content["title"] == "A: b"
    assert content["authors"] == [{"family-names": "Lovelace", "given-names": "Ada"}, {"name": "A Lab"}]
    assert content["license"] == ["CC-BY-4.0"]
    assert content["date-released"] == today
    assert content["version"] == f"{today.year}.{today.month}.{today.day}"
    assert content["type"] == "dataset"


@given(st.text(), st.text())
@example("\x85", "\u2028,\x85")  # line breaks in YAML
def test_any_title_and_author_come_back_from_the_file_on_one_line(title: str, author: str) -> None:
    made = citation_of(Path("a-folder"), [], title=title, authors=[author])
    content = yaml.safe_load(made.text)
    assert content["title"] == (one_line(title) or "a-folder") == made.title
    family, comma, given_name = (part.strip() for part in one_line(author).partition(","))
    person = {"family-names": family, "given-names": given_name}
    group = {"name": one_line(author) or f"The makers of {made.title}"}
    assert content["authors"] == [person if comma and family and given_name else group]
    assert "\n" not in made.bibtex()


def one_line(text: str) -> str:
    return " ".join(re.sub(r".", lambda sign: sign[0] if sign[0].isprintable() else " ", text, flags=re.S).split())


def test_the_owners_citation_goes_out_as_it_stands(dataset: Dataset, tmp_path: Path) -> None:
    (dataset.root / "CITATION.cff").write_text(OURS)
    made = export(dataset, tmp_path / "out")
    assert made.authors_named
    assert (tmp_path / "out" / "CITATION.cff").read_text() == OURS
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# My compressor" in card
    assert "author = {Ada Lovelace and A Lab}, year = {2026}, version = {2.1.0}" in card


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title: [", "CITATION.cff is no YAML"),
        ("just words", "CITATION.cff lacks cff-version, message, title, authors"),
        (OURS.partition("authors")[0], "CITATION.cff lacks authors"),
        (OURS.partition("authors")[0] + "authors: Ada", "authors must be a list of persons or names"),
    ],
)
def test_a_citation_that_is_none_is_one_line(dataset: Dataset, tmp_path: Path, text: str, told: str) -> None:
    (dataset.root / "CITATION.cff").write_text(text)
    with pytest.raises(UsageError, match=told):
        export(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_authors_are_told_once(dataset: Dataset, tmp_path: Path) -> None:
    (dataset.root / "CITATION.cff").write_text(OURS)
    with pytest.raises(UsageError, match=r"this dataset has a CITATION.cff, which names title and authors"):
        export(dataset, tmp_path / "out", authors=["Somebody"])

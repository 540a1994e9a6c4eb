"""`annotation.organise`: from captions to labels, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError, validate

from buscomp.annotation.organise import OrganiseError, organise, question, schema, values_of
from buscomp.annotation.vocabulary import names


def answer(genres: list[tuple[str, list[Any]]], instruments: list[tuple[str, list[Any]]]) -> str:
    kinds = {"genres": genres, "instruments": instruments}
    return json.dumps({kind: [{"label": a, "segments": b} for a, b in those] for kind, those in kinds.items()})


GOOD = answer([("rock", [1, 2, 3]), ("pop", [4])], [("bass", [1, 2, 3, 4]), ("guitar", [2, 3])])


def test_a_label_scores_the_share_of_segments_that_speak_for_it() -> None:
    values = values_of(GOOD, 4)
    assert values["genres"].value == ["rock", "pop"]
    assert values["genres"].candidates == (("rock", 0.75), ("pop", 0.25))
    assert values["genres"].confidence == 0.75
    assert values["instruments"].value == ["bass", "guitar"]


def test_labels_come_by_score_whatever_the_model_puts_first() -> None:
    values = values_of(answer([("pop", [4]), ("rock", [1, 2])], []), 4)
    assert values["genres"].value == ["rock", "pop"]
    assert (values["instruments"].value, values["instruments"].confidence) == ([], None)


def test_another_spelling_counts_as_the_label_and_twice_the_same_as_one() -> None:
    values = values_of(answer([("Hip-Hop", [1]), ("rap", [1, 2])], [("drums", [2, 2])]), 2)
    assert values["genres"].candidates == (("hip hop", 1.0),)
    assert values["instruments"].candidates == (("drum", 0.5),)


def test_words_and_a_fence_about_the_json_are_allowed() -> None:
    assert values_of(f"Here it is:\n```json\n{GOOD}\n```\nHave fun!", 4)["genres"].value == ["rock", "pop"]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("It is rock.", "no JSON object"),
        ('{"genres": [', "no JSON object"),
        ('{"genres": }', "Invalid JSON"),
        ('{"genres": []}', "instruments: Field required"),
        ('{"genres": [], "instruments": [], "mood": "sad"}', "mood: Extra inputs"),
        (answer([("polka-metal", [1])], []), "'polka-metal' is none of the allowed genres"),
        (answer([("rock", [5])], []), "segments of rock must lie between 1 and 4"),
        (answer([("rock", [0])], []), "segments of rock must lie between 1 and 4"),
        (answer([("rock", [])], []), "genres.0.segments"),
        (answer([("rock", ["1"])], []), "genres.0.segments.0"),
        ('{"genres": ["rock"], "instruments": []}', "genres.0"),
    ],
)
def test_an_answer_that_breaks_the_form_is_refused_with_the_reason(told: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        values_of(told, 4)


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["genres", "instruments", "label", "segments"]), x),
    ).map(json.dumps)
)
def test_no_answer_does_more_than_be_refused(told: str) -> None:
    try:
        values = values_of(told, 3)
    except ValueError:
        return
    assert set(values["genres"].value) <= set(names("genres"))


def test_the_model_is_told_what_was_wrong_and_asked_again() -> None:
    told, heard = ["Rock, I think.", answer([("polka", [1])], []), GOOD], []

    def write(messages: list[dict[str, Any]], form: dict[str, Any]) -> str:
        heard.append(messages)
        return told[len(heard) - 1]

    assert organise(["loud"] * 4, write) == GOOD
    assert [len(messages) for messages in heard] == [2, 4, 6]
    assert heard[1][2] == {"role": "assistant", "content": "Rock, I think."}
    assert "no JSON object" in heard[1][3]["content"]
    assert "'polka' is none of the allowed genres" in heard[2][5]["content"]


def test_after_three_bad_answers_the_song_is_refused_with_the_last_reason() -> None:
    with pytest.raises(OrganiseError, match="3 unusable answers, the last because it holds no JSON object"):
        organise(["loud"], lambda messages, form: "no idea")


def test_the_question_numbers_the_captions_and_lists_every_label() -> None:
    system, user = question(["A guitar\nplays.", "Drums."])
    assert user["content"] == "1. A guitar plays.\n2. Drums."
    assert all(label in system["content"] for kind in ("genres", "instruments") for label in names(kind))


def test_the_schema_allows_the_good_answer_and_no_other_label() -> None:
    validate(json.loads(GOOD), schema())
    with pytest.raises(ValidationError):
        validate(json.loads(answer([("polka", [1])], [])), schema())

"""From the captions of a song's segments to its genres and instruments: a language model sorts, we check.

The model is asked for JSON of a fixed form (`schema`) with labels of the controlled vocabulary only, and for each label
the segments whose description speaks for it. Servers that can hold a model to a schema do so; whatever comes back is
checked here. An answer that breaks the form goes back to the model with what is wrong, and after three such answers
the song is refused with the reason. Nothing is guessed into place, except that another spelling of a known label counts
as that label.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..manifests.errors import DatasetError
from .backend import Value
from .vocabulary import VOCABULARIES, label_of, names

PROMPT_VERSION = "1"
TRIES = 3
MOST = {"genres": 3, "instruments": 8}
MAX_TOKENS = 800
Json = dict[str, Any]
Write = Callable[[list[Json], Json], str]  # messages and the schema of the answer -> the answer


class OrganiseError(DatasetError):
    """The model's answers about one song cannot be used, however often it was told what is wrong. The run goes on with
    the next."""


class Label(BaseModel):
    """One label, and the segments that speak for it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    label: str
    segments: list[int] = Field(min_length=1)


class Answer(BaseModel):
    """What the model is to answer."""

    model_config = ConfigDict(extra="forbid", strict=True)
    genres: list[Label]
    instruments: list[Label]


@cache
def schema() -> Json:
    """The JSON schema of an answer, with the labels of the vocabulary as the only ones."""

    def labels(kind: str) -> Json:
        properties = {
            "label": {"type": "string", "enum": list(names(kind))},
            "segments": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
        }
        item = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
        return {"type": "array", "items": item, "maxItems": len(names(kind))}

    kinds = {kind: labels(kind) for kind in VOCABULARIES}
    return {"type": "object", "properties": kinds, "required": list(kinds), "additionalProperties": False}


def version() -> str:
    """Of prompt and vocabulary: another one gives other answers."""
    words = json.dumps([PROMPT_VERSION, {kind: names(kind) for kind in VOCABULARIES}])
    return f"{PROMPT_VERSION}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def question(captions: Sequence[str]) -> list[Json]:
    """The messages for the captions of one song, its segments counted from 1."""
    lists = "\n".join(f"Allowed {kind}: {', '.join(names(kind))}." for kind in VOCABULARIES)
    system = (
        "You sort descriptions of music. You are given descriptions of consecutive ten-second segments of one song, "
        "each made by a listener who may be wrong. Decide which genres and which instruments the whole song has. Trust "
        "what several segments agree on. Use allowed labels only; where none fits, leave the list empty.\n"
        f"{lists}\n"
        'Answer with JSON alone: {"genres": [{"label": "...", "segments": [1, 2]}], "instruments": [...]}, where '
        "segments are the numbers of the descriptions that speak for the label. Put the surest label first."
    )
    told = "\n".join(f"{number}. {' '.join(caption.split())}" for number, caption in enumerate(captions, 1))
    return [{"role": "system", "content": system}, {"role": "user", "content": told}]


def organise(captions: Sequence[str], write: Write) -> str:
    """The answer of the model behind `write` about a song with `captions`, one that `values_of` accepts.
    `OrganiseError` after three answers that break the form."""
    messages = question(captions)
    reason = ""
    for _ in range(TRIES):
        told = write(messages, schema())
        try:
            values_of(told, len(captions))
            return told
        except ValueError as error:
            reason = str(error)
            again = f"That answer cannot be used: {reason}. Answer again, with JSON of the given form alone."
            messages = [*messages, {"role": "assistant", "content": told}, {"role": "user", "content": again}]
    raise OrganiseError(
        "the captions of a song could not be organised", got=f"{TRIES} unusable answers, the last because {reason}"
    )


def values_of(told: str, segments: int) -> dict[str, Value]:
    """Genres and instruments of a song by an answer about its `segments` segments.

    A label's score is the share of segments that speak for it; the best label's is the confidence. Labels come by
    score, the model's order among equals. `ValueError`, in words a model can use, if the answer breaks the form; words
    around the JSON and a fence about it are allowed."""
    start, end = told.find("{"), told.rfind("}")
    if start < 0 or end < start:
        raise ValueError("it holds no JSON object")
    try:
        answer = Answer.model_validate_json(told[start : end + 1])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where + ': ' if where else ''}{first['msg']}") from None
    return {kind: _value(kind, getattr(answer, kind), segments) for kind in VOCABULARIES}


def _value(kind: str, found: Sequence[Label], segments: int) -> Value:
    speaking: dict[str, set[int]] = {}
    for each in found:
        label = label_of(kind, each.label)
        if label is None:
            raise ValueError(f"{each.label!r} is none of the allowed {kind}")
        if not all(1 <= number <= segments for number in each.segments):
            raise ValueError(f"segments of {label} must lie between 1 and {segments}")
        speaking.setdefault(label, set()).update(each.segments)
    scores = sorted(((label, len(those) / segments) for label, those in speaking.items()), key=lambda pair: -pair[1])
    return Value([label for label, _ in scores[: MOST[kind]]], scores[0][1] if scores else None, tuple(scores))

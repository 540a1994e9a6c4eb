"""A question to the person at the rack, as state: what is asked, of which unit, and what was answered to it.

An open question lies in the dataset as one small file, for whoever shows it (`buscomp panel`). An answer is another
file, which names the question it answers: an answer to an earlier question is none. The terminal answers beside it, and
whoever is first wins.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.storage import write_text
from ..manifests.unit import Position, Setting, Unit
from .live_file import write_live
from .panel import Answer, Suspect
from .state_file import read_state

QUESTION, ANSWER = ".question.json", ".answer.json"
LONGEST_REASON = 500  # characters
Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One question. `bring`: turn the unit to `setting_id`; `correct`: the audio does not confirm that it is there."""

    kind: Literal["bring", "correct"]
    unit_id: str
    serial: str | None  # told where several units stand at the rack
    setting_id: str
    values: Mapping[str, Position]  # where every control has to stand
    before: Mapping[str, Position] | None  # where it stood, if that is known
    told: str | None = None  # what the audio says
    suspect: str | None = None  # the control that most likely stands elsewhere
    suspect_at: Position | None = None  # where it seems to stand

    @classmethod
    def to_bring(cls, unit: Unit, serial: str | None, setting: Setting, before: Setting | None) -> Question:
        """Turn `unit` from `before` to `setting`."""
        origin = None if before is None else before.values
        return cls("bring", unit.unit_id, serial, setting.setting_id, setting.values, origin)

    @classmethod
    def to_correct(
        cls, unit: Unit, serial: str | None, setting: Setting, told: str, suspect: Suspect | None
    ) -> Question:
        """Look at `unit`, which should stand at `setting`."""
        control, at = (suspect.control, suspect.position) if suspect else (None, None)
        return cls("correct", unit.unit_id, serial, setting.setting_id, setting.values, None, told, control, at)


class Desk:
    """The daemon's side: where questions lie open. Only who holds the dataset's lock has one."""

    def __init__(self, dataset: Dataset, page: bool = False):
        """`page`: somebody who cannot be seen from here may answer, so that a missing terminal is no reason to end."""
        self._dataset = dataset
        self._question, self._answer = dataset.root / QUESTION, dataset.root / ANSWER
        self.page = page
        self._clear()  # what a killed daemon left open

    @contextmanager
    def open(self, question: Question) -> Iterator[OpenQuestion]:
        """Lay `question` open as long as the block lasts."""
        question_id = secrets.token_hex(8)
        row = {"question_id": question_id, "asked_at": datetime.now(UTC), **asdict(question)}
        write_live(self._dataset, QUESTION, row)
        try:
            yield OpenQuestion(self, question_id)
        finally:
            self._clear()

    def answer_to(self, question_id: str) -> Answer | None:
        """What was answered to this question, if anything was."""
        row = _read(self._answer)
        if row is None or row.get("question_id") != question_id:
            return None
        if row.get("kind") == "accept" and str(row.get("reason", "")).strip():
            return Answer("accept", str(row["reason"]))
        return Answer("again") if row.get("kind") == "again" else None

    def _clear(self) -> None:
        for path in (self._question, self._answer):
            with suppress(OSError):
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class OpenQuestion:
    """One that lies on a desk."""

    desk: Desk
    question_id: str

    def answer(self) -> Answer | None:
        """What somebody else answered so far."""
        return self.desk.answer_to(self.question_id)


def open_question(dataset: Dataset) -> Row | None:
    """The open question of `dataset`: `Question` as JSON has it, with `question_id` and `asked_at`. None without one;
    who asks must know that the daemon lives."""
    row = _read(dataset.root / QUESTION)
    return row if row and {"question_id", "kind", "values"} <= row.keys() else None


def answer_question(dataset: Dataset, question_id: str, answer: Answer) -> None:
    """Answer the question that is open now, durably. `UsageError` when it is another one, and for an answer that
    cannot be meant."""
    question = open_question(dataset)
    if question is None or question["question_id"] != question_id:
        raise UsageError("this question is not open any more")
    reason = " ".join(answer.reason.split())[:LONGEST_REASON]
    if answer.kind == "accept" and (not reason or question["kind"] != "correct"):
        raise UsageError("a setting is taken as it is only with a reason, once the audio has not confirmed it")
    row = {"question_id": question_id, "kind": answer.kind, "reason": reason}
    write_text(dataset.root / ANSWER, json.dumps(row))


def _read(path: Any) -> Row | None:
    row = read_state(path)
    return row if isinstance(row, dict) else None

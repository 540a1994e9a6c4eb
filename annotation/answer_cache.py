"""Answers of models on disk, so that nothing is asked twice: captions cost minutes of a GPU, or money.

One small JSON file an answer, named by the hash of everything the answer depends on: the audio or text, the model, the
prompt, the settings. The question (without the audio) stands beside the answer, so a person can read what was asked.
Files can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ..manifests.storage import write_text


def default_folder() -> Path:
    """`$BUSCOMP_ANSWERS`, else `buscomp/answers` in the user's cache folder."""
    if named := os.environ.get("BUSCOMP_ANSWERS"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buscomp" / "answers"


class AnswerCache:
    """Answers below `folder`. Several processes may use one folder: files are whole or absent."""

    def __init__(self, folder: Path | None = None):
        self._folder = folder or default_folder()

    def get(self, question: dict[str, Any]) -> str | None:
        """The answer to `question`; None if it was never asked. A file that cannot be read counts as none: it is
        written anew."""
        try:
            kept = json.loads(self._path(question).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return kept["answer"] if isinstance(kept, dict) and isinstance(kept.get("answer"), str) else None

    def put(self, question: dict[str, Any], answer: str) -> None:
        """Keep `answer`."""
        document = {"question": question, "answer": answer}
        write_text(self._path(question), json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def _path(self, question: dict[str, Any]) -> Path:
        name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"

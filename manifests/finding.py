"""What `buscomp verify` and `buscomp import` say is wrong."""

from __future__ import annotations

from dataclasses import dataclass

MISSING, CORRUPT, UNLISTED, STALE = "missing", "corrupt", "unlisted", "stale"
MISALIGNED, LEVEL = "misaligned", "level"
SUSPECT = "suspect"  # a trained model does not believe it
INVALID = "invalid"  # of an import: it is there, and cannot be used


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: `kind` is missing, corrupt, misaligned, level, unlisted, stale, suspect or
    invalid."""

    kind: str
    path: str
    detail: str

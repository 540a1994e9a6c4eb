"""Overrides: which alarms a person accepts by name, for every take of a session."""

from __future__ import annotations

from collections.abc import Sequence

from ..manifests.errors import UsageError
from .reasons import OVERRIDABLE


def parse_overrides(texts: Sequence[str], operator: str) -> dict[str, str]:
    """`["hum=transformer next door"]` as `{"hum": "<operator>: transformer next door"}`. `UsageError` for a code that
    does not exist or that nobody can accept, and for an override without a reason."""
    overrides = {}
    for text in texts:
        code, _, why = (part.strip() for part in text.partition("="))
        if code not in set(OVERRIDABLE):
            raise UsageError("no alarm that can be overridden has this code", got=code, allowed=sorted(OVERRIDABLE))
        if not why:
            raise UsageError("an override needs a reason", got=text, mend=f"write {code}=WHY")
        overrides[code] = f"{operator}: {why}"
    return overrides

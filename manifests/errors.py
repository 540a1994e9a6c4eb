"""The errors a person meets, and how each one speaks.

    BuscompError            exit status 1: something is wrong with the world
    |-- UsageError          exit status 2: what was typed or written cannot be meant
    |-- DatasetError        a dataset's files or tables are not what they claim
    |-- DeviceError         the audio interface cannot be opened, or died
    `-- DiskFullError            no room for what comes next

Every message says what, got, allowed and the mend, in one line:
`grid.yaml:7: ratio must be a position of the unit, got 7 (allowed: 1.5, 2, 3, 4, 5, 10)`. Where a word was mistyped,
the nearest of the allowed ones is named: `no such model, got s4-4-5 (allowed: ...); did you mean s4-4-4?`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def did_you_mean(word: str, names: Iterable[str]) -> str | None:
    """`did you mean virtual?`, with the one of `names` that is most like `word`; None when none is like it."""
    import difflib

    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.7)
    return f"did you mean {folded[close[0]]}?" if close and folded[close[0]] != word else None


class BuscompError(Exception):
    """Base of all errors that end on the command line as one line, without a traceback."""

    exit_status = 1

    def __init__(
        self, what: str, *, got: object = None, allowed: Iterable[object] | str | None = None, mend: str | None = None
    ):
        message = what
        if got is not None:
            message += f", got {got}"
        names = [] if allowed is None or isinstance(allowed, str) else [str(value) for value in allowed]
        if allowed is not None:
            message += f" (allowed: {allowed if isinstance(allowed, str) else ', '.join(names)})"
        one_word = isinstance(got, str) and re.fullmatch(r"[\w.+-]+", got)
        hints = [did_you_mean(str(got), names) if one_word else None, mend]
        if told := " ".join(hint for hint in hints if hint):
            message += f"; {told}"
        super().__init__(" ".join(message.split()))


class UsageError(BuscompError):
    """What the user typed, or wrote into a file, cannot be meant."""

    exit_status = 2


class DatasetError(BuscompError):
    """A dataset's files or tables are not what they claim to be."""


class DeviceError(BuscompError):
    """The audio interface cannot be opened, or it stopped answering."""


class DiskFullError(BuscompError):
    """There is no room on the disk for what comes next."""

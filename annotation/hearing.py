"""All songs, or all references, heard by workers, and written down on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..manifests.errors import DatasetError
from ..manifests.parallel import cores, each
from ..manifests.tables import read_rows

Row = dict[str, Any]
Start = Callable[[int], Callable[[], None]]  # the number of tasks -> what counts one more
WRITE_EVERY_S = 5.0
AUDIO_PER_JOB_S = 240.0  # a process takes about 3 s to begin, in which another hears four minutes


class Heard(Protocol):
    """What a worker brings back; `error`: why there is nothing (more)."""

    @property
    def error(self) -> str | None: ...


TaskT = TypeVar("TaskT")
HeardT = TypeVar("HeardT", bound=Heard)


def hear_all(
    listen: Callable[[TaskT], HeardT],
    tasks: Sequence[TaskT],
    take: Callable[[TaskT, HeardT], None],
    write: Callable[[], None],
    *,
    audio_s: float,
    died: Callable[[TaskT], HeardT],
    jobs: int | None,
    scheduler: str | None,
    start: Start,
) -> list[str]:
    """Give `take` what `listen` makes of every task, and `write` every few seconds and at the end, however that comes
    about: Ctrl-C keeps what is done. The errors, when all is heard.

    `jobs`: local processes, by default one per core, fewer for little audio, of which there are `audio_s`; `scheduler`
    and `died`: see `parallel.each`."""
    if jobs is None:
        jobs = max(1, min(cores(), int(audio_s / AUDIO_PER_JOB_S)))
    errors: list[str] = []
    try:
        count = start(len(tasks))
        written_at_s = time.monotonic()
        for task, heard in each(listen, tasks, jobs=jobs, scheduler=scheduler, died=died, batch=1):
            take(task, heard)
            if heard.error:
                errors.append(heard.error)
            count()
            if time.monotonic() - written_at_s >= WRITE_EVERY_S:
                write()
                written_at_s = time.monotonic()
    finally:
        write()
    return errors


def rows_before(path: Path, table: str, again: bool) -> list[Row]:
    """What an earlier run left of `table`. Going `again` over a damaged file is the way to mend it."""
    if not path.exists():
        return []
    try:
        return read_rows(path, table)
    except DatasetError:
        if not again:
            raise
        return []

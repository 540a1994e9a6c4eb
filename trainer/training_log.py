"""What a run says while it trains: a JSON line each time, for TensorBoard too where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..manifests.errors import UsageError
from .checkpoint import Run
from .processes import rank

Line = dict[str, Any]
Write = Callable[[Line], None]


@contextmanager
def training_log(run: Run, *, tensorboard: bool, from_step: int) -> Iterator[Write]:
    """A function that puts a line into `log.jsonl`, and its numbers under the same names into an event file beside it.
    What an older run of the same name left is removed unless `from_step` says that it goes on. Only the first of
    several processes writes."""
    if rank() > 0:
        yield lambda line: None
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    if from_step == 0:
        for old in (run.log, *run.folder.glob("events.out.tfevents.*")):
            old.unlink(missing_ok=True)

    def write(line: Line) -> None:
        with run.log.open("a") as log:
            log.write(json.dumps(line) + "\n")

    if not tensorboard:
        yield write
        return
    writer = _event_writer(run, from_step)

    def write_both(line: Line) -> None:
        write(line)
        for name, value in line.items():
            if name != "step" and value is not None:
                writer.add_scalar(name, value, line["step"])

    try:
        yield write_both
    finally:
        writer.close()


def _event_writer(run: Run, from_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(f"TensorBoard is not installed ({error.name})", mend="type: pip install tensorboard") from None
    return SummaryWriter(str(run.folder), purge_step=from_step + 1 if from_step else None)

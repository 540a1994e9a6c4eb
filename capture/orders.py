"""Orders to a running daemon that are carried out between two takes: make a take again, accept an alarm by name.

Each is one small durable file in the dataset, so that whoever gives it (`buscomp panel`) needs no line to the daemon.
An order means the daemon that runs now: what it has not carried out is forgotten when the next one begins.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.ids import check_id
from ..manifests.storage import write_text
from .overrides import parse_overrides

ORDERS = ".orders"
WAITING = 100  # orders that may wait; more come from a program that has gone wild


@dataclass(frozen=True)
class Retake:
    """Make this take again, however right it is."""

    take_id: str


@dataclass(frozen=True)
class Override:
    """Accept the alarm `code` for the rest of the session."""

    code: str
    why: str


Order = Retake | Override


def give_order(dataset: Dataset, order: Order) -> None:
    """Leave `order` for the daemon of `dataset`. `UsageError` for one that cannot be meant, or when too many wait."""
    if isinstance(order, Retake):
        check_id(order.take_id, "take_id")
        row = {"order": "retake", "take_id": order.take_id}
    else:
        parse_overrides([f"{order.code}={order.why}"], "")
        row = {"order": "override", "code": order.code, "why": order.why}
    folder = dataset.root / ORDERS
    if folder.is_dir() and len(_waiting(folder)) >= WAITING:
        raise UsageError(f"{WAITING} orders wait already", mend="they are carried out after the take in progress")
    write_text(folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}.json", json.dumps(row))


class Orders:
    """The daemon's side."""

    def __init__(self, dataset: Dataset):
        self._folder = dataset.root / ORDERS
        shutil.rmtree(self._folder, ignore_errors=not self._folder.exists())

    def next(self) -> Order | None:
        """The oldest order, taken from the folder; None when there is none. What is no order is thrown away."""
        for path in _waiting(self._folder):
            try:
                row = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                row = {}
            path.unlink(missing_ok=True)
            if (order := _order_of(row)) is not None:
                return order
        return None


def _waiting(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json")) if folder.is_dir() else []


def _order_of(row: Any) -> Order | None:
    match row:
        case {"order": "retake", "take_id": str(take_id)}:
            return Retake(take_id)
        case {"order": "override", "code": str(code), "why": str(why)}:
            return Override(code, why)
        case _:
            return None

"""Small JSON files in a dataset that tell what goes on at the moment: whole at every instant, never made durable,
because after a power cut nothing goes on."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..manifests.storage import TEMPORARY_SUFFIX
from .event_log import plain


def put_state(path: Path, document: object) -> None:
    """Put `document` in the place of what stood there; `OSError` when the disk is full, and then it is as it was."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        temporary.write_text(json.dumps(plain(document)), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_state(path: Path) -> Any:
    """What stands there; None where there is nothing, or nothing that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

"""Main functions of audio processes that misbehave. They stand here because a spawned process must import them."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection


def never_answer(connection: Connection) -> None:
    time.sleep(60)


def crash(connection: Connection) -> None:
    os.abort()

"""The version of this software, as installed."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version() -> str:
    """Version of the installed package."""
    return metadata.version("buscomp")

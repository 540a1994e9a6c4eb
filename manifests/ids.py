"""Identifiers and paths that are safe in every file system, archive and shard.

An id holds lower-case letters, digits, `_` and `-`, never a dot: WebDataset ends a key at the first dot.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath

from .errors import DatasetError, UsageError

ID_PATTERN = re.compile(r"[a-z0-9_-]{1,120}")


def check_id(text: str, noun: str = "id") -> str:
    """`text` itself if it is a valid id, else a `UsageError`."""
    if not ID_PATTERN.fullmatch(text):
        raise UsageError(f"{noun} is not an id", got=repr(text), allowed="1 to 120 of a-z 0-9 _ -")
    return text


def id_from_name(name: str) -> str:
    """The id a free name folds to: `Blue Sky (Mix 2)` gives `blue-sky-mix-2`. Empty names are a `UsageError`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    folded = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9_-]+", "-", plain)).strip("-")[:120].strip("-")
    if not folded:
        raise UsageError("no id can be made from this name", got=repr(name), mend="use some latin letters or digits")
    return folded


def number_in_id(value: float) -> str:
    """A number as it stands in ids: 0.4 gives `0p4`, -28.0 gives `-28`."""
    return f"{value:g}".replace(".", "p").replace("+", "")


def resolve_under(root: Path, relative: str) -> Path:
    """The absolute path of a manifest's relative path, proven to lie under `root`.

    Manifests travel between people: an absolute path, `..`, a backslash, a drive letter, NUL or a symbolic link
    that leaves the dataset raises `DatasetError` instead of reading somebody's files.
    """
    parts = PurePosixPath(relative).parts
    if (
        not relative
        or relative.startswith("/")
        or "\\" in relative
        or "\0" in relative
        or ".." in parts
        or re.match(r"[A-Za-z]:", relative)
    ):
        raise DatasetError("a path in a manifest must stay inside the dataset", got=repr(relative))
    root = root.resolve()
    path = (root / Path(*parts)).resolve()
    if not path.is_relative_to(root):
        raise DatasetError("a path in a manifest leaves the dataset through a link", got=repr(relative))
    return path

"""An export's folder: there whole or not at all, and never in the place of something else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..manifests.errors import UsageError
from ..manifests.storage import TEMPORARY_SUFFIX, full_disk_named, remove_folder, sync_file, sync_folder


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` to write into, which becomes `target` when the block ends well, and is gone otherwise.

    `UsageError` when `target` holds anything, or when another export is writing it.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{target} is not a folder", mend="name another one")
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty", mend="remove it, or name another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(target.name + TEMPORARY_SUFFIX)
    try:
        staging.mkdir()
    except FileExistsError:
        raise UsageError(
            f"{staging} is there already: another export writes it, or one was cut off", mend="wait, or remove it"
        ) from None
    try:
        with full_disk_named(target):
            yield staging
            _sync(staging)
            if target.exists():
                target.rmdir()
            os.replace(staging, target)
            sync_folder(target.parent)
    except BaseException:
        remove_folder(staging)
        raise


def _sync(folder: Path) -> None:
    """Everything in `folder` on the disk, before it gets its name."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            sync_file(path)
    sync_folder(folder)


def size_of(folder: Path) -> tuple[int, int]:
    """Files and bytes in `folder`."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)

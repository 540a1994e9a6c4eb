"""Files that are either whole or absent, whatever happens while they are written.

Order of every write: temporary name beside the target, contents, fsync, rename, fsync of the folder. Full disks
come out as `DiskFullError`, and the temporary file is gone.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DatasetError, DiskFullError

TEMPORARY_SUFFIX = ".partial"
BROKEN_DISK = (errno.EIO, errno.EROFS)
FAULT = "BUSCOMP_FAULT"  # `step:7` breaks the seventh durable step of a process, `kill:7` kills it there: for tests
_steps = itertools.count(1)


def step(name: str) -> None:
    """Every durable step passes here (write, rename, folder, journal), so that a test can break each of them."""
    order = os.environ.get(FAULT)
    if order is None:
        return
    how, _, number = order.partition(":")
    if next(_steps) == int(number):
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.EIO, f"{FAULT}={order} broke the step {name}")


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in `folder` durable. Windows has no such call, and opens no folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the contents of `path` durable."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write(temporary_path)`, then put the result at `path` in one durable step.

    On any failure `path` is as it was before and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with full_disk_named(path):
            step("write")
            write(temporary)
            sync_file(temporary)
            step("rename")
            os.replace(temporary, path)
            step("folder")
            sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_whole(path, write)


def remove_folder(folder: Path) -> None:
    """Remove `folder` with all that it holds, if it is there. Not made durable: whoever starts again removes it."""
    shutil.rmtree(folder, ignore_errors=not folder.exists())


@contextmanager
def full_disk_named(path: Path, needed_bytes: int = 1 << 20) -> Iterator[None]:
    """Turn "no space left" into `DiskFullError`, and a disk that fails into `DatasetError`. libsndfile gives no errno,
    so free space is asked as well."""
    try:
        yield
    except Exception as error:
        no_space = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        silent_library = (
            type(error).__name__ == "LibsndfileError" and shutil.disk_usage(path.parent).free < needed_bytes
        )
        if no_space or silent_library:
            raise DiskFullError(
                f"disk full while writing {path.name}", mend="free some space and run the command again"
            ) from error
        if isinstance(error, OSError) and error.errno in BROKEN_DISK:
            raise DatasetError(f"{path.name} cannot be written ({error})", mend="look at the disk") from error
        raise


def require_space(folder: Path, needed_bytes: int, what: str) -> None:
    """`DiskFullError` unless `needed_bytes` are free where `folder` is."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFullError(
            f"{what} needs {needed_bytes / 1e6:.1f} MB of free disk, {free / 1e6:.1f} MB are left",
            mend="free some space and run the command again",
        )

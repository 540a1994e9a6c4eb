"""`manifests.storage`: whole or absent."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from buscomp.manifests import storage
from buscomp.manifests.errors import DatasetError, DiskFullError
from buscomp.manifests.pcm import Int32, write_flac, write_wav
from buscomp.manifests.storage import TEMPORARY_SUFFIX, require_space, write_whole


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, where one may mount (as root on Linux)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small disk needs root; the same errors are injected in the other tests")
    yield folder
    subprocess.run(["umount", folder], check=True)


def text(words: str) -> Callable[[Path], None]:
    def write(temporary: Path) -> None:
        temporary.write_text(words)

    return write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_whole(path, text("all of it"))
    assert path.read_text() == "all of it"
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_no_temporary(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def half(temporary: Path) -> None:
        assert temporary.name == "file.txt" + TEMPORARY_SUFFIX
        temporary.write_text("ne")
        raise failure

    with pytest.raises(type(failure)):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_a_disk_full_error_in_one_line_and_the_old_file_stays(tmp_path: Path, code: int) -> None:
    path = tmp_path / "takes.parquet"
    path.write_text("old")

    def full(temporary: Path) -> None:
        temporary.write_text("ne")
        raise OSError(code, os.strerror(code))

    with pytest.raises(DiskFullError, match=r"disk full while writing takes\.parquet; free some space") as caught:
        write_whole(path, full)
    assert caught.value.exit_status == 1
    assert path.read_text() == "old"
    assert names(tmp_path) == ["takes.parquet"]


def test_any_other_os_error_stays_what_it_is(tmp_path: Path) -> None:
    def forbidden(_: Path) -> None:
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        write_whole(tmp_path / "x", forbidden)


@pytest.mark.parametrize("step", ["sync_file", "sync_folder"])
def test_a_failing_fsync_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fails(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(storage, step, fails)
    with pytest.raises(DatasetError, match=r"x cannot be written .*Input/output error"):
        write_whole(tmp_path / "x", text("x"))
    assert not (tmp_path / ("x" + TEMPORARY_SUFFIX)).exists()


def test_contents_are_durable_before_the_rename_and_the_rename_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace = os.replace
    monkeypatch.setattr(storage, "sync_file", lambda path: steps.append(f"fsync {path.name}"))
    monkeypatch.setattr(storage, "sync_folder", lambda path: steps.append(f"fsync {path.name}/"))

    def rename(old: Path, new: Path) -> None:
        steps.append(f"rename {old.name} {new.name}")
        replace(old, new)

    monkeypatch.setattr(os, "replace", rename)

    def write(temporary: Path) -> None:
        steps.append("write")
        temporary.write_text("x")

    write_whole(tmp_path / "dry" / "a", write)
    assert steps == ["write", "fsync a.partial", "rename a.partial a", "fsync dry/"]


@pytest.mark.parametrize("write", [write_flac, write_wav])
def test_audio_that_does_not_fit_on_a_real_disk_is_a_disk_full_error(
    tiny_disk: Path, write: Callable[[Path, Int32, int], None]
) -> None:
    noise = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, (500_000, 2), np.int32)  # 3 MB as 24 bit
    with pytest.raises(DiskFullError, match="disk full while writing"):
        write(tiny_disk / "take", noise, 44_100)
    assert names(tiny_disk) == []


def test_text_that_does_not_fit_on_a_real_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    path = tiny_disk / "file"
    path.write_text("old")
    with pytest.raises(DiskFullError):
        write_whole(path, text("x" * (3 << 20)))
    assert path.read_text() == "old"
    assert names(tiny_disk) == ["file"]


def test_space_is_asked_for_in_megabytes(tmp_path: Path) -> None:
    require_space(tmp_path, 1, "one byte")
    with pytest.raises(DiskFullError, match=r"this take needs 1000000000\.0 MB of free disk, \d+\.\d MB are left"):
        require_space(tmp_path, 10**15, "this take")


@pytest.mark.parametrize(("order", "broken"), [("step:1", "write"), ("step:2", "rename"), ("step:3", "folder")])
def test_each_durable_step_can_be_broken_by_number_and_leaves_the_file_as_it_was_or_whole(
    tmp_path: Path, order: str, broken: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")
    script = (
        "import sys; from pathlib import Path; from buscomp.manifests.storage import write_text\n"
        "write_text(Path(sys.argv[1]), 'after')"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env=os.environ | {"BUSCOMP_FAULT": order},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert f"broke the step {broken}" in told.stderr
    assert path.read_text() == ("after" if broken == "folder" else "before")
    assert names(tmp_path) == ["file.txt"]


def test_a_process_is_killed_at_the_step_that_is_named(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from buscomp.manifests.storage import write_text\n"
        "write_text(Path(sys.argv[1]), 'after')"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "file.txt")], env=os.environ | {"BUSCOMP_FAULT": "kill:2"}
    )
    assert told.returncode == -9
    assert names(tmp_path) == ["file.txt.partial"]

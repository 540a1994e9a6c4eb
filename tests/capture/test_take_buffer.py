"""Memory shared by two processes: the same samples, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from buscomp.capture import take_buffer
from buscomp.capture.take_buffer import TakeBuffer
from buscomp.manifests.errors import DeviceError

NAMED = Path("/dev/shm")
linux = pytest.mark.skipif(not NAMED.is_dir(), reason="names of shared memory can be listed on Linux only")
FORWARD = """
import multiprocessing, sys, time
from buscomp.capture.take_buffer import TakeBuffer

def double(shape, connection):
    buffer = TakeBuffer.attach(shape)
    connection.send("attached")
    connection.recv()
    buffer.returned[:] = 2 * buffer.send[:, :1]
    connection.send("done")
    connection.recv()

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    buffer = TakeBuffer.create(100_000, 2, 3)
    ours, theirs = context.Pipe()
    process = context.Process(target=double, args=(buffer.shape, theirs), daemon=True)
    process.start()
    ours.recv()
    if sys.argv[1] == "unlink":
        buffer.unlink()
    buffer.send[:] = 0.25
    ours.send("go")
    ours.recv()
    print(buffer.shape.name, buffer.returned.min(), buffer.returned.max(), process.pid, flush=True)
    if sys.argv[2] == "stay":
        time.sleep(60)
    ours.send("end")
    process.join()
    buffer.unlink()
    buffer.close()
"""


def run(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    script = tmp_path / "two_processes.py"
    script.write_text(FORWARD)
    return subprocess.Popen([sys.executable, script, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@linux
@pytest.mark.parametrize("when", ["unlink", "later"])
def test_two_processes_share_the_samples_and_nothing_is_left_or_complained_of(tmp_path, when: str):
    with run(tmp_path, when, "leave") as parent:
        told, complaints = parent.communicate(timeout=30)
    assert complaints == ""
    name, lowest, highest, _ = told.split()
    assert (float(lowest), float(highest)) == (0.5, 0.5)
    assert not (NAMED / name).exists()


@linux
@pytest.mark.parametrize("when", ["unlink", "later"])
def test_after_both_processes_were_killed_nothing_is_left(tmp_path, when: str):
    with run(tmp_path, when, "stay") as parent:
        assert parent.stdout is not None
        name, _, _, child_pid = parent.stdout.readline().split()
        parent.kill()
        os.kill(int(child_pid), signal.SIGKILL)
        end = time.monotonic() + 5
        while (NAMED / name).exists() and time.monotonic() < end:
            time.sleep(0.02)
    assert not (NAMED / name).exists()


def test_what_one_writes_the_other_reads_until_the_name_is_taken_away():
    ours = TakeBuffer.create(1000, 2, 3)
    assert (ours.send.shape, ours.returned.shape) == ((1000, 2), (1000, 3))
    assert not ours.send.any()
    assert not ours.returned.any()
    theirs = TakeBuffer.attach(ours.shape)
    ours.send[:] = 0.5
    theirs.returned[-1] = (1, 2, 3)
    np.testing.assert_array_equal(theirs.send, np.full((1000, 2), 0.5, np.float32))
    np.testing.assert_array_equal(ours.returned[-2:], [(0, 0, 0), (1, 2, 3)])
    ours.unlink()
    ours.unlink()
    if sys.platform != "win32":
        with pytest.raises(FileNotFoundError):
            TakeBuffer.attach(ours.shape)
    np.testing.assert_array_equal(theirs.send, ours.send)
    for buffer in (ours, theirs):
        buffer.close()
        buffer.close()


@linux
def test_every_page_is_in_place_before_it_is_used():
    megabytes = 32
    before = _resident_shared_bytes()
    buffer = TakeBuffer.create(megabytes * (1 << 20) // 16, 2, 2)
    buffer.unlink()
    assert _resident_shared_bytes() - before >= megabytes * (1 << 20)
    buffer.close()
    assert _resident_shared_bytes() - before < 1 << 20


@linux
def test_a_take_that_does_not_fit_into_shared_memory_is_a_device_error_and_no_crash(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(64_000_000, 0, 64_000_000))
    with pytest.raises(DeviceError, match=r"got 160 MB \(allowed: 64 MB\); make /dev/shm larger"):
        TakeBuffer.create(10_000_000, 2, 2)
    assert take_buffer.SHARED_MEMORY == NAMED


def _resident_shared_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssShmem"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssShmem")

"""`buscomp annotate` as a process: two at once, interrupted, killed, and on a Dask cluster."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from buscomp.annotation.annotate import annotate
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import UsageError
from buscomp.tests.annotation import quick_backend
from buscomp.tests.small_dataset import make_dataset

SONGS = 8  # of 0.3 s each, as `quick_backend.Slow` hears them
LIMIT_S = 120.0
WRITES_AT_ONCE = "import buscomp.annotation.hearing as it; it.WRITE_EVERY_S = 0.0"


@pytest.fixture
def songs(tmp_path: Path) -> Dataset:
    """Eight songs of a second."""
    return make_dataset(tmp_path, songs=SONGS, settings=1, seconds=1.0)


@contextmanager
def annotating(dataset: Dataset) -> Iterator[subprocess.Popen[str]]:
    """A process that annotates `dataset` and writes its tables after every song, once the first is written."""
    words = ["annotate", "--dataset", str(dataset.root), "--jobs", "1"]
    run = f"{WRITES_AT_ONCE}; import runpy; runpy.run_module({quick_backend.__name__!r}, run_name='__main__')"
    line = [sys.executable, "-c", run, *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + LIMIT_S
            while not dataset.table_path("annotations").exists() and time.monotonic() < until:
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            yield process
        finally:
            process.kill()


def done(dataset: Dataset) -> list[str]:
    """Songs of the table, which must be whole."""
    return list(pq.read_table(dataset.table_path("annotations")).column("song_id").to_pylist())


def test_ctrl_c_keeps_what_is_done_and_the_next_run_does_the_rest(songs: Dataset) -> None:
    with annotating(songs) as process:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 1
    assert "Traceback" not in told
    first = done(songs)
    assert first == [f"song-{number}" for number in range(len(first))]
    assert 1 <= len(first) < SONGS
    with annotating(songs) as process:
        told, _ = process.communicate(timeout=LIMIT_S)
    assert f"{SONGS} songs: {SONGS - len(first)} annotated, {len(first)} kept." in told
    assert len(done(songs)) == len({row["song_id"] for row in songs.rows("segments")}) == SONGS


def test_a_killed_run_leaves_whole_tables_and_no_lock(songs: Dataset) -> None:
    with annotating(songs) as process:
        time.sleep(0.7)
        process.kill()
        process.wait()
    first = done(songs)
    assert 1 <= len(first) < SONGS
    whole = {row["song_id"] for row in songs.rows("segments")}  # the kill may have come between the two tables
    assert whole <= set(first)
    with annotating(songs) as process:
        told, _ = process.communicate(timeout=LIMIT_S)
    assert f"{len(whole)} kept." in told


def test_a_second_run_is_refused_in_one_line_and_a_capture_may_go_on(songs: Dataset) -> None:
    with annotating(songs) as process:
        told = rf"the annotations of this dataset are in use by process {process.pid} on .+; wait for it, or stop it"
        with pytest.raises(UsageError, match=told):
            annotate(songs)
        with songs.lock():  # what a capture, and a catalog, hold
            pass
        assert process.wait(LIMIT_S) == 0
    assert len(done(songs)) == SONGS


@pytest.mark.filterwarnings("default")  # distributed's own
def test_a_dask_cluster_writes_what_one_process_writes(songs: Dataset) -> None:
    distributed = pytest.importorskip("distributed", reason="needs buscomp[cluster]")
    pytest.importorskip("onnxruntime")
    alone = annotate(songs, jobs=1).rows
    segments = songs.rows("segments")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as here:
        spread = annotate(songs, again=True, scheduler=here.scheduler_address)
    assert (spread.new, spread.rows) == (SONGS, alone)
    assert songs.rows("segments") == segments

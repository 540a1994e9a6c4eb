"""`manifests.parallel`: the same results here, in processes and on Dask, whatever dies on the way."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from buscomp.manifests.errors import UsageError
from buscomp.manifests.parallel import AHEAD, BATCH, each


def square(number: int) -> int:
    return number * number


def square_or_die(number: int) -> int:
    if number == 13:
        os._exit(11)  # as a decoder that crashes
    return number * number


def square_or_raise(number: int) -> int:
    if number == 13:
        raise ZeroDivisionError("thirteen")
    return number * number


def lost(number: int) -> int:
    return -number


@pytest.mark.parametrize("jobs", [1, 2])
def test_30_items_give_30_results_in_one_process_and_in_two(jobs: int) -> None:
    assert sorted(each(square, range(30), jobs=jobs)) == [(n, n * n) for n in range(30)]


def test_an_item_that_kills_its_process_is_told_of_and_the_other_29_are_done() -> None:
    found = dict(each(square_or_die, range(30), jobs=2, died=lost))
    assert found == {n: -13 if n == 13 else n * n for n in range(30)}


def test_a_process_that_dies_is_an_error_where_nobody_says_what_it_means() -> None:
    with pytest.raises(BrokenProcessPool):
        dict(each(square_or_die, range(30), jobs=2))


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_the_work_is_raised_here(jobs: int) -> None:
    with pytest.raises(ZeroDivisionError, match="thirteen"):
        dict(each(square_or_raise, range(30), jobs=jobs))


def test_only_a_few_items_are_taken_ahead_of_the_results() -> None:
    items = iter(range(1000))
    for _ in each(square, items, jobs=2):
        break
    assert next(items) <= (2 * (AHEAD + 1) + 2) * BATCH


@pytest.mark.filterwarnings("default")  # distributed's own
def test_30_items_give_30_results_on_a_dask_scheduler() -> None:
    distributed = pytest.importorskip("distributed", reason="needs buscomp[cluster]")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        assert sorted(each(square, range(30), scheduler=cluster.scheduler_address)) == [(n, n * n) for n in range(30)]


@pytest.mark.filterwarnings("default")
def test_no_scheduler_at_the_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs buscomp[cluster]")
    monkeypatch.setattr("buscomp.manifests.parallel.CONNECT_S", 0.5)
    with pytest.raises(UsageError, match=r"no Dask scheduler answers, got tcp://127.0.0.1:9 "):
        list(each(square, range(3), scheduler="tcp://127.0.0.1:9"))


@pytest.mark.filterwarnings("default")
def test_a_scheduler_without_workers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="needs buscomp[cluster]")
    monkeypatch.setattr("buscomp.manifests.parallel.CONNECT_S", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        pytest.raises(UsageError, match="has no workers"),
    ):
        list(each(square, range(3), scheduler=cluster.scheduler_address))

"""Many files, one function: in this process, in local processes, or on Dask distributed.

Work is written against `concurrent.futures.Executor`; results come in the order in which they are done. Only a few
batches wait at a time, so that a list of any length needs no memory of its own. Processes are spawned, not forked: a
fork of a process that holds threads may hang.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from .errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")
BATCH = 4  # items sent at a time: a file takes about 0.4 s, a message 1 ms
AHEAD = 2  # batches that wait for each worker, besides the one in work
CONNECT_S = 20


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    died: Callable[[Item], Result] | None = None,
    batch: int = BATCH,
) -> Iterator[tuple[Item, Result]]:
    """`(item, work(item))` of every item, in the order in which they are done.

    `jobs`: so many local processes; with 1 all is done here. `scheduler`: the address of a Dask scheduler
    (`tcp://host:8786`), whose workers need buscomp and the same folders; `jobs` does not count then. `work` and the
    items are pickled. `died(item)` is the result where an item kills its local process (a decoder that crashes, say);
    without it that is a `BrokenProcessPool`. `batch`: items sent at a time, 1 where one takes seconds. `UsageError`
    when no scheduler answers, or it has no workers.
    """
    if scheduler is not None:
        with _dask(scheduler) as (executor, width):
            yield from _flow(executor, width, work, iter(items), batch)
    elif jobs == 1:
        for item in items:
            yield item, work(item)
    else:
        yield from _local(work, iter(items), jobs, died, batch)


def _local(
    work: Callable[[Item], Result],
    items: Iterator[Item],
    jobs: int,
    died: Callable[[Item], Result] | None,
    batch: int,
) -> Iterator[tuple[Item, Result]]:
    """In processes of this machine. Where one dies, all that were in work are tried again, each alone."""
    broken = True
    while broken:
        broken = False
        running: dict[Future[list[Result]], list[Item]] = {}
        pool = _pool(jobs)
        try:
            yield from _flow(pool, lambda: jobs, work, items, batch, running)
        except BrokenProcessPool:
            if died is None:
                raise
            broken = True
        finally:
            pool.shutdown(cancel_futures=True)
        if broken and died is not None:
            yield from _one_by_one(work, [item for group in running.values() for item in group], died)


def _one_by_one(
    work: Callable[[Item], Result], items: list[Item], died: Callable[[Item], Result]
) -> Iterator[tuple[Item, Result]]:
    """In one process, which is begun again after an item that kills it."""
    while items:
        with _pool(1) as alone:
            while items:
                item = items.pop(0)
                try:
                    yield item, alone.submit(work, item).result()
                except BrokenProcessPool:
                    yield item, died(item)
                    break


def _flow(
    executor: Executor,
    width: Callable[[], int],
    work: Callable[[Item], Result],
    items: Iterator[Item],
    batch: int,
    running: dict[Future[list[Result]], list[Item]] | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Keep `AHEAD` + 1 batches for each of `width()` workers in `executor`. What is in work stands in `running`."""
    running = {} if running is None else running
    try:
        while True:
            room = (AHEAD + 1) * width() - len(running)
            while room > 0 and (group := list(islice(items, batch))):
                running[_submitted(executor, work, group, running)] = group
                room -= 1
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                results = future.result()
                yield from zip(running.pop(future), results, strict=True)
    finally:
        for future in running:
            future.cancel()


def _submitted(
    executor: Executor,
    work: Callable[[Item], Result],
    group: list[Item],
    running: dict[Future[list[Result]], list[Item]],
) -> Future[list[Result]]:
    try:
        return executor.submit(_all, work, group)
    except BrokenProcessPool:
        running[Future()] = group  # taken from the items already: not to be lost
        raise


def _all(work: Callable[[Item], Result], group: list[Item]) -> list[Result]:
    return [work(item) for item in group]


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_deaf_to_ctrl_c)


def _deaf_to_ctrl_c() -> None:
    """Ctrl-C reaches every process of a terminal; the first one tells the others when to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _dask(address: str) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """An executor of the Dask cluster at `address`, and how many threads its workers have now."""
    from distributed import Client

    try:
        client: Any = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            "no Dask scheduler answers", got=f"{address} ({error})", mend="type: dask scheduler; dask worker ADDRESS"
        ) from None

    def width() -> int:
        return sum(client.nthreads().values())

    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError:
            mend = "type: dask worker ADDRESS"
            raise UsageError("the Dask scheduler has no workers", got=address, mend=mend) from None
        with client.get_executor(pure=False) as executor:
            yield executor, width

"""Decode images in worker processes, because a decoder may hang, crash or exhaust memory.

An item that takes too long, or kills its process, becomes a WorkerFailure; the others continue.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice
from multiprocessing.synchronize import RLock
from typing import Generic, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_ADDRESS_SPACE = 6 * 2**30
"""Address space of a worker process, in bytes: several times what the largest image needs."""


@dataclass(frozen=True)
class WorkerFailure:
    """Takes the place of a result that never came; the reason is a short phrase."""

    reason: str


class WorkerPool:
    """A pool of processes that apply a function to lists of items; a context manager.

    Args:
        count: Number of processes; 0 means one per processor core.
        timeout: Seconds that one item may take; a list that takes longer is retried item by item.
    """

    def __init__(self, count: int, *, timeout: float) -> None:
        self.count = count or count_cores()
        self.timeout = timeout
        context, self._locks = _create_context()
        self._pool = ProcessPool(self.count, initializer=_init_process, context=context)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Terminate the processes, whatever they are doing."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def submit(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> "PendingResults[Result]":
        """Start computing work(item) for each item in one process; do not wait."""
        return PendingResults(self, work, items)

    def map_ordered(
        self, work: Callable[[Item], Result], items: Iterable[Item], *, chunk: int
    ) -> Generator[list[Result | WorkerFailure], None, None]:
        """Yield work(item) for each item, in order, in lists of up to `chunk`.

        At most two chunks per process are computed ahead of the consumer.
        """
        rest = iter(items)
        chunks = iter(lambda: list(islice(rest, chunk)), [])
        ahead = deque(self.submit(work, part) for part in islice(chunks, 2 * self.count))
        while ahead:
            results = ahead.popleft().results()
            ahead.extend(self.submit(work, part) for part in islice(chunks, 1))
            yield results

    def schedule(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> ProcessFuture[list[Result]]:
        """Queue the items for the next free process, and return the future of their results."""
        return self._pool.schedule(_map_items, args=(work, items), timeout=self.timeout)


class PendingResults(Generic[Result]):
    """The results of a list of items that another process is working on."""

    def __init__(
        self, workers: WorkerPool, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> None:
        self._workers = workers
        self._work = work
        self._items = items
        self._future = workers.schedule(work, items)

    def results(self) -> list[Result | WorkerFailure]:
        """Wait for the results, one for each item.

        If the whole list fails, each item is retried alone, to find which one is at fault.
        """
        try:
            return list(self._future.result())
        except TimeoutError:
            reason = f"decoding takes longer than {self._workers.timeout:g} seconds"
        except ProcessExpired:
            reason = "the decoder crashed"
        if len(self._items) == 1:
            return [WorkerFailure(reason)]
        alone = [self._workers.submit(self._work, [item]) for item in self._items]
        return [pending.results()[0] for pending in alone]


def count_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _map_items(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]


def _create_context() -> tuple[multiprocessing.context.BaseContext, list[RLock]]:
    """Return a context that starts processes from a fork server, or spawns them.

    A plain fork would copy torch's threads in the middle of their work.

    Returns:
        The context, and all locks that it creates. They are kept alive because the pool drops its
        own before it ends its processes, and a process that is still starting needs them.
    """
    methods = multiprocessing.get_all_start_methods()
    context = copy(
        multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    )
    # The fork server imports the program once, and no process has to import it again.
    context.set_forkserver_preload(["__main__", "iddm_cli.data.sources.registry"])
    create, locks = context.RLock, list[RLock]()

    def create_and_keep() -> RLock:
        locks.append(create())
        return locks[-1]

    context.RLock = create_and_keep  # type: ignore[method-assign]
    return context, locks


def _init_process() -> None:
    """Leave Ctrl-C to the parent, and limit memory: a bomb then ends in a MemoryError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        with contextlib.suppress(ValueError, OSError):  # a lower limit may be set already
            resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, hard))

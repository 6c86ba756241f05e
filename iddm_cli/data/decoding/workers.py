"""Parallel work on pictures: in processes, since a decoder may hang, crash or eat all memory.

A piece of work that takes too long, or kills its process, is lost and told; the others go on.
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
"""Bytes a decoding process may ask for: several times what the largest allowed picture needs."""


@dataclass(frozen=True)
class WorkerFailure:
    """What stands in the place of a result that never came; the reason is a few plain words."""

    reason: str


class WorkerPool:
    """Processes that work on lists of items; a context manager.

    Args:
        count: How many processes; 0: one for each processor core.
        timeout: How many seconds one item may take; a list that takes longer is taken apart.
    """

    def __init__(self, count: int, *, timeout: float) -> None:
        self.count = count or count_cores()
        self.timeout = timeout
        context, self._locks = _context()
        self._pool = ProcessPool(self.count, initializer=_prepare_process, context=context)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, whatever they are at."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def submit(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> "PendingResults[Result]":
        """Let some process do work(item) for each item, one after the other."""
        return PendingResults(self, work, items)

    def map_ordered(
        self, work: Callable[[Item], Result], items: Iterable[Item], *, chunk: int
    ) -> Generator[list[Result | WorkerFailure], None, None]:
        """Yield work(item) for each item, in order, in lists of up to `chunk`.

        At most two chunks for each process are computed ahead of what was taken.
        """
        rest = iter(items)
        chunks = iter(lambda: list(islice(rest, chunk)), [])
        ahead = deque(self.submit(work, some) for some in islice(chunks, 2 * self.count))
        while ahead:
            results = ahead.popleft().results()
            ahead.extend(self.submit(work, some) for some in islice(chunks, 1))
            yield results

    def schedule(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> ProcessFuture[list[Result]]:
        """Send items to the next free process."""
        return self._pool.schedule(_each, args=(work, items), timeout=self.timeout)


class PendingResults(Generic[Result]):
    """Work on some items that goes on in another process."""

    def __init__(
        self, workers: WorkerPool, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> None:
        self._workers = workers
        self._work = work
        self._items = items
        self._future = workers.schedule(work, items)

    def results(self) -> list[Result | WorkerFailure]:
        """Wait for the results, one for each item.

        Where one item spoils a whole list, each is tried again alone, to find out which it was.
        """
        try:
            return list(self._future.result())
        except TimeoutError:
            reason = f"decoding takes longer than {self._workers.timeout:g} seconds"
        except ProcessExpired:
            reason = "decoding it crashes the decoder"
        if len(self._items) == 1:
            return [WorkerFailure(reason)]
        alone = [self._workers.submit(self._work, [item]) for item in self._items]
        return [pending.results()[0] for pending in alone]


def count_cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]


def _context() -> tuple[multiprocessing.context.BaseContext, list[RLock]]:
    """Start processes from a small server where there is such a thing.

    A plain fork would copy this process with torch's threads in the middle of their work.

    Returns:
        The context, and all locks it makes: the pool drops its own before it ends its processes,
        and one that is still starting would look for them in vain, and complain.
    """
    methods = multiprocessing.get_all_start_methods()
    context = copy(
        multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    )
    # With the program itself loaded there, no process has to load it again.
    context.set_forkserver_preload(["__main__", "iddm_cli.data.sources.registry"])
    make, locks = context.RLock, list[RLock]()

    def make_and_keep() -> RLock:
        locks.append(make())
        return locks[-1]

    context.RLock = make_and_keep  # type: ignore[method-assign]
    return context, locks


def _prepare_process() -> None:
    """Leave Ctrl-C to the parent, and bound the memory, so that a bomb ends in a MemoryError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        with contextlib.suppress(ValueError, OSError):  # a lower limit may be set already
            resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, hard))

"""Decode images in worker processes, because a decoder may hang, crash or exhaust memory.

An item that takes too long, or crashes its process, becomes a WorkerFailure; the others continue.
Where the system allows no worker processes, as without /dev/shm, the work is done in this process.
"""

import contextlib
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from copy import copy
from dataclasses import dataclass
from itertools import islice
from multiprocessing.synchronize import RLock
from pathlib import Path
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from iddm_cli.errors import IddmError
from iddm_cli.machine import cpus, memory
from iddm_cli.machine.system_limits import explain_error
from iddm_cli.notices import notify_once

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_ADDRESS_SPACE = 6 * 2**30
"""Address space of a worker process, in bytes: several times what the largest image needs."""

MAX_STARTS = 3
"""How often the processes are started anew, all of them, before this process does the work."""

WORKER_MEMORY = 256 * 2**20
"""Free memory for each worker process, in bytes: a photo of 50 megapixels, and the program."""

PRELOADED = ("__main__", "iddm_cli.data.sources.registry")
"""Modules that the fork server imports once for all worker processes."""

SHARED_MEMORY = "/dev/shm"
"""Where Linux keeps the locks that processes share."""


@dataclass(frozen=True)
class WorkerFailure:
    """Takes the place of a result that never came; the reason is a short phrase."""

    reason: str


class WorkerPool:
    """A pool of processes that apply a function to lists of items; a context manager.

    Args:
        count: Number of processes; 0 means one per processor core, and fewer in little memory.
        timeout: Seconds that one item may take; a list that takes longer is retried item by item.
    """

    def __init__(self, count: int, *, timeout: float) -> None:
        self.count = count or choose_count()
        self.timeout = timeout
        self.oom_kills = memory.count_oom_kills()
        self._starts = 0
        self._pool: ProcessPool | None = self._create_pool()

    def _create_pool(self) -> ProcessPool:
        """Return a pool whose processes start with the first work."""
        self._starts += 1
        context, self._locks = _create_context()
        free = memory.free_memory().free
        return ProcessPool(self.count, initializer=_init_process, initargs=(free,), context=context)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Terminate the processes, whatever they are doing."""
        if self._pool is not None:
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
    ) -> "ScheduledItems[Result] | None":
        """Queue the items for the next free process, and return the future of their results.

        Returns:
            None if there are no processes: the caller has to work on the items itself.
        """
        pool = self._pool
        if pool is None:
            return None
        try:
            return pool, pool.schedule(_map_items, args=(work, items), timeout=self.timeout)
        except BrokenProcessPool as error:  # a process could not be started
            self._give_up(error.__cause__ or error)
        except (OSError, RuntimeError) as error:  # so could a lock, a pipe or a thread
            if isinstance(error, OSError) or explain_error(error):
                self._give_up(error)
            else:  # the processes have ended
                self.replace(pool)
        return self.schedule(work, items)

    def replace(self, ended: ProcessPool) -> None:
        """Start the processes anew after all have ended; give them up if that happens often."""
        if self._pool is not ended:
            return  # done already, for another list of items
        if self._starts == MAX_STARTS:
            self._give_up(RuntimeError("they end by themselves"))
            return
        self.close()
        self._pool = self._create_pool()

    def _give_up(self, error: BaseException) -> None:
        """Work in this process from now on, because worker processes cannot run here."""
        self.close()
        self._pool = None
        notify_once(
            f"images are decoded without worker processes, so without data.timeout: "
            f"{_describe_obstacle(error)}"
        )


ScheduledItems = tuple[ProcessPool, ProcessFuture[list[Result]]]


class PendingResults(Generic[Result]):
    """The results of a list of items that another process is working on."""

    def __init__(
        self,
        workers: WorkerPool,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        is_retry: bool = False,
    ) -> None:
        self._workers = workers
        self._work: Callable[[Any], Result] = work
        self._items: Sequence[Any] = items
        self._is_retry = is_retry
        self._scheduled = workers.schedule(work, items)

    def results(self) -> list[Result | WorkerFailure]:
        """Wait for the results, one for each item.

        If the whole list fails, each item is retried alone, to find which one is at fault.

        Raises:
            IddmError: The system killed the process, and the next one with the same item.
        """
        if self._scheduled is None:
            return list(_map_items(self._work, self._items))
        pool, future = self._scheduled
        was_killed = False
        try:
            return [*_wait(pool, future)]
        except TimeoutError:
            reason = f"decoding takes longer than {self._workers.timeout:g} seconds"
        except ProcessExpired as error:
            reason = "the decoder crashed"
            was_killed = error.exitcode == -signal.SIGKILL
        except BrokenProcessPool:
            self._workers.replace(pool)
            return self._retry_all()
        if was_killed:
            if self._is_retry:
                raise _make_kill_error(self._workers)
            return [self._retry(item).results()[0] for item in self._items]  # memory is short
        return [WorkerFailure(reason)] if len(self._items) == 1 else self._retry_all()

    def _retry_all(self) -> list[Result | WorkerFailure]:
        pending = [self._retry(item) for item in self._items]
        return [one.results()[0] for one in pending]

    def _retry(self, item: object) -> "PendingResults[Result]":
        return PendingResults(self._workers, self._work, [item], is_retry=True)


def _wait(pool: ProcessPool, future: ProcessFuture[list[Result]]) -> list[Result]:
    """Wait for a future, but not for one that a pool has forgotten whose processes have ended.

    Raises:
        BrokenProcessPool: The processes have ended.
    """
    while not wait([future], timeout=1).done:
        if not pool.active and not future.done():
            raise BrokenProcessPool
    return future.result()


def choose_count() -> int:
    """Return how many worker processes this process has the cores and the memory for."""
    affordable = memory.free_memory().free // WORKER_MEMORY
    return max(1, min(cpus.count_cores(), affordable))


def _make_kill_error(workers: WorkerPool) -> IddmError:
    """Return the error for worker processes that the system has killed, one after the other."""
    is_certain = memory.count_oom_kills() > workers.oom_kills
    cause = "memory ran out" if is_certain else "perhaps memory ran out"
    return IddmError(
        f"the system killed a process that decodes images; {cause}: "
        f"at most {memory.describe_limit()}, shared by {workers.count} such processes",
        "Set data.workers to a smaller number, such as 1, or raise the memory limit; iddm then "
        "continues with the images that are decoded already.",
    )


def _describe_obstacle(error: BaseException) -> str:
    """Return why no worker process can be started."""
    if explained := explain_error(error):
        return explained[0]
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if "temporary directory" in reason:
        return "there is no writable folder for temporary files; set TMPDIR to one"
    if sys.platform == "linux" and not _makes_locks():
        return f"{SHARED_MEMORY} cannot be used: {reason.lower()}"
    return reason


def _makes_locks() -> bool:
    """Return whether this system can make the locks that processes share."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError:
        return False
    return True


def _map_items(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]


def start_early(*modules: str) -> None:
    """Start the fork server now, so that it imports the program while this process lists files.

    Args:
        modules: Further modules that the worker processes will need.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *modules])
    with contextlib.suppress(OSError):  # which is reported where workers are needed
        forkserver.ensure_running()


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
    context.set_forkserver_preload(list(PRELOADED))
    create, locks = context.RLock, list[RLock]()

    def create_and_keep() -> RLock:
        locks.append(create())
        return locks[-1]

    context.RLock = create_and_keep  # type: ignore[method-assign]
    return context, locks


def _init_process(free: int) -> None:
    """Leave Ctrl-C to the parent, and limit memory: a bomb then ends in a MemoryError.

    Args:
        free: Bytes of memory that are free; beyond them the system would kill a process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = min(MAX_ADDRESS_SPACE, _measure_address_space() + max(free, WORKER_MEMORY))
        with contextlib.suppress(ValueError, OSError):  # a lower limit may be set already
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _measure_address_space() -> int:
    """Return the address space of this process in bytes; MAX_ADDRESS_SPACE if it is unknown."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return MAX_ADDRESS_SPACE
    return pages * resource.getpagesize()

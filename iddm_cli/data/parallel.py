"""Parallel work on the items of a dataset: many threads, results in order, little held at once."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Result = TypeVar("Result")


def in_order(
    work: Callable[[int], Result], count: int, *, workers: int, chunk: int
) -> Generator[list[Result], None, None]:
    """Yield work(0), work(1), ... in lists of up to `chunk`, computed by `workers` threads.

    At most two chunks for each worker are computed ahead of what was taken. Close the iterator
    (contextlib.closing) where it may not be taken to its end: that drops the work not yet begun.
    """
    pool = ThreadPoolExecutor(workers)

    def begin(start: int) -> Future[list[Result]]:
        items = range(start, min(start + chunk, count))
        return pool.submit(lambda: [work(item) for item in items])

    starts = iter(range(0, count, chunk))
    try:
        ahead = deque(begin(start) for start in islice(starts, 2 * workers))
        while ahead:
            results = ahead.popleft().result()
            ahead.extend(begin(start) for start in islice(starts, 1))
            yield results
    finally:
        pool.shutdown(cancel_futures=True)

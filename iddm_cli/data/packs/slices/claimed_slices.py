"""Dividing slices: each process builds those that no other one is building.

The processes may be those of one run, or of several machines that share the cache: locks of files
decide. Each process returns once all slices are there, or the whole that was made of them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from iddm_cli.storage.file_locks import LockHeldError, hold_lock, hold_or_wait

Result = TypeVar("Result")
Whole = TypeVar("Whole")


def build_claimed(
    claims: Sequence[Path],
    build: Callable[[int], Result],
    find_whole: Callable[[], Whole | None],
    on_wait: Callable[[], None],
) -> list[Result] | Whole:
    """Return the result of each slice, or the whole if another process has completed it.

    Args:
        claims: The lock of each slice.
        build: Finds or builds a slice.
        find_whole: Returns the whole, if there is one.
        on_wait: Called before waiting for other processes.

    Raises:
        OSError: A lock cannot be written.
    """
    results: dict[int, Result] = {}
    while len(results) < len(claims):
        missing = [number for number in range(len(claims)) if number not in results]
        before = len(results)
        for number in missing:
            try:
                with hold_lock(claims[number], timeout=0):
                    # It is looked for under the lock: see `hold_all`.
                    if (whole := find_whole()) is not None:
                        return whole
                    results[number] = build(number)
            except LockHeldError:
                continue
        if len(results) == before:
            with hold_or_wait(claims[missing[0]], on_wait):
                pass
    return [results[number] for number in range(len(claims))]


@contextmanager
def hold_all(claims: Sequence[Path], on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the locks of all slices, so that no process looks for one while they become a whole.

    Raises:
        OSError: A lock cannot be written.
    """
    with ExitStack() as stack:
        for claim in claims:  # in one order, so that two processes cannot wait for each other
            stack.enter_context(hold_or_wait(claim, on_wait))
        yield

"""Writing files in a thread of its own, so that the device computes the next images meanwhile."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

MOST_WAITING = 256
"""Files that may wait to be written, unless two batches have more; beyond, computing waits."""


class BackgroundWriter:
    """Writes files one after the other. A context manager: at its end all are written.

    Args:
        batch_size: Number of images that are computed together. Those of a batch are written while
            the next one is computed, so that at least two batches may wait.

    Attributes:
        written: Number of files that are complete.
    """

    def __init__(self, batch_size: int = 1) -> None:
        self.written = 0
        self._most_waiting = max(MOST_WAITING, 2 * batch_size)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_problem: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            # After Ctrl-C, what is computed already is written, but nothing after an error of it.
            self._executor.shutdown(cancel_futures=kind is not None and issubclass(kind, OSError))

    def submit(self, write: Callable[[], None]) -> None:
        """Write a file soon.

        Args:
            write: Writes it.

        Raises:
            OSError: An earlier file could not be written.
        """
        self._waiting.append(self._executor.submit(write))
        while self._waiting and (
            self._waiting[0].done() or len(self._waiting) > self._most_waiting
        ):
            self._take()

    def finish(self) -> None:
        """Wait until all files are written.

        Raises:
            OSError: One of them could not be written.
        """
        while self._waiting:
            self._take()

    def _take(self) -> None:
        self._waiting.popleft().result()
        self.written += 1

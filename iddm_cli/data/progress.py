"""Progress callbacks: how the code that reads a dataset reports how far it is."""

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int], None]
"""`progress(task, done, total)` is called after each part of a task, with a short name of it."""


def ignore_progress(task: str, done: int, total: int) -> None:
    """Report nothing: the default wherever a `ProgressCallback` is accepted."""

"""How work on a dataset reports its progress."""

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int], None]
"""`progress(stage, done, total)` is called while a stage of the work advances."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Ignore the progress; the default of functions that report it."""

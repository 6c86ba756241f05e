"""Stopping: turns Ctrl-C and SIGTERM into a request to end after the present step."""

import multiprocessing
import signal
from types import FrameType

from iddm_cli.display import console

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While entered, the first signal asks for a stop; a second one ends the process at once.

    In a process that another one watches over, only that one ends it: a signal to all of them
    arrives here twice, once directly and once passed on.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __call__(self) -> int:
        """Return the signal that asked for a stop, or 0."""
        return self.signal or 0

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        if multiprocessing.parent_process() is None:
            for again in SIGNALS:
                signal.signal(again, signal.SIG_DFL)
        console.note("stopping after this step; once more ends at once, without saving")

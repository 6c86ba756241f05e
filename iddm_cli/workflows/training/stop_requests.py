"""Stopping: what signals and the clock ask of a training.

Ctrl-C, SIGTERM and SIGHUP ask for a checkpoint and an end, SIGUSR1 for a checkpoint alone. Nothing
happens in the middle of a step: the trainer looks here after each.
"""

import multiprocessing
import signal
import time
from types import FrameType

from iddm_cli.display import console
from iddm_cli.engine.events import SAVE, TIME_UP
from iddm_cli.signals import SAVE_SIGNALS, STOP_SIGNALS, is_ignored

HANGUP = getattr(signal, "SIGHUP", None)


class StopRequests:
    """While entered, the first signal asks for a stop; a second one ends the process at once.

    In a process that another one watches over, only that one ends it: a signal to all of them
    arrives here twice, once directly and once passed on.

    Args:
        deadline: When the time is up, by time.monotonic(); None: never.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.stop: int | None = None
        self.save = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Requests":
        handlers = {
            number: self._ask
            for number in STOP_SIGNALS
            if number != HANGUP or not is_ignored(number)
        }
        handlers |= dict.fromkeys(SAVE_SIGNALS, self._ask_to_save)
        self._before = {n: signal.signal(n, handler) for n, handler in handlers.items()}
        return self

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __call__(self) -> int:
        """Return what is asked: 0, SAVE, TIME_UP, or 128 and a signal."""
        if self.stop is not None:
            return 128 + self.stop
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return TIME_UP
        save, self.save = self.save, False
        return SAVE if save else 0

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.stop = number
        if multiprocessing.parent_process() is None:
            for again in self._before.keys() & set(STOP_SIGNALS):
                signal.signal(again, signal.SIG_DFL)
        console.record_dataset("stopping after this step; once more ends at once, without saving")

    def _ask_to_save(self, _number: int, _frame: FrameType | None) -> None:
        self.save = True
        console.record_dataset("saving after this step, and going on")


def ignore_save_signals() -> None:
    """Let no early request for a checkpoint end the process, as it would by itself."""
    for number in SAVE_SIGNALS:
        signal.signal(number, signal.SIG_IGN)

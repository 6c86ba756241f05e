"""Stop requests: what signals and the clock request of a training.

Ctrl-C, SIGTERM and SIGHUP request a checkpoint and a stop, SIGUSR1 a checkpoint alone. Nothing
happens in the middle of a step: the trainer polls after each.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable
from types import FrameType

from iddm_cli.display import console
from iddm_cli.engine.events import Request
from iddm_cli.signals import SAVE_SIGNALS, STOP_SIGNALS, end_at_once, is_ignored

Handler = Callable[[int, FrameType | None], None]

HANGUP = getattr(signal, "SIGHUP", None)


class StopRequests:
    """While entered, the first signal requests a stop, and a second one ends the process at once.

    A worker process is ended by its supervisor alone: a signal to all processes arrives there
    twice, once directly and once forwarded.

    Args:
        deadline: When the time is up, by time.monotonic(); None: never.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self._stop_signal: int | None = None
        self._save = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequests":
        handlers: dict[int, Handler] = {
            # nohup lets SIGHUP be ignored, and it stays so.
            number: self._request_stop
            for number in STOP_SIGNALS
            if number != HANGUP or not is_ignored(number)
        }
        handlers |= dict.fromkeys(SAVE_SIGNALS, self._request_save)
        self._previous = {n: signal.signal(n, handler) for n, handler in handlers.items()}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def poll(self) -> Request:
        """Return what is requested now; a request to save is returned once."""
        if self._stop_signal is not None:
            return Request(128 + self._stop_signal)
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return Request.TIME_UP
        save, self._save = self._save, False
        return Request.SAVE if save else Request.NONE

    def _request_stop(self, number: int, _frame: FrameType | None) -> None:
        self._stop_signal = number
        if multiprocessing.parent_process() is None:
            for again in self._previous.keys() & set(STOP_SIGNALS):
                end_at_once(again)
        console.print_note(
            "saving and stopping after this step; press Ctrl-C again to quit without saving"
        )

    def _request_save(self, _number: int, _frame: FrameType | None) -> None:
        self._save = True
        console.print_note("saving after this step; training continues")


def ignore_save_signals() -> None:
    """Ignore early requests for a checkpoint, which would end the process by default."""
    for number in SAVE_SIGNALS:
        signal.signal(number, signal.SIG_IGN)

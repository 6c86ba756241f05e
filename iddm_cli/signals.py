"""Signals that request a process to stop, or a training to save a checkpoint."""

import os
import signal
from types import FrameType


def _select_available(*names: str) -> tuple[signal.Signals, ...]:
    """Return those of the signals that this operating system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


STOP_SIGNALS = _select_available("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that request an orderly stop."""

SAVE_SIGNALS = _select_available("SIGUSR1")
"""Signals that request a checkpoint; training continues."""


def is_ignored(number: int) -> bool:
    """Return whether a signal is ignored, as SIGHUP is under nohup."""
    return signal.getsignal(number) == signal.SIG_IGN


def ignore_stop_signals() -> None:
    """Ignore requests to stop: this process has nothing left to stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def handle_stop_as_init() -> None:
    """Let SIGTERM and SIGHUP end this process also where it is process 1, as in a container.

    The system drops a signal to process 1 that has no handler: `docker stop` would wait in vain.
    """
    if os.getpid() == 1:
        for number in STOP_SIGNALS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _exit_at_once)


def end_at_once(number: int) -> None:
    """Let the next signal of this kind end the process without further ado."""
    signal.signal(number, _exit_at_once if os.getpid() == 1 else signal.SIG_DFL)


def _exit_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)

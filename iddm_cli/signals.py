"""Signals that request a process to stop, or a training to save a checkpoint."""

import signal


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

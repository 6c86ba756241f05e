"""Signals: those that ask a process to stop, and those that ask a training to save."""

import signal


def _existing(*names: str) -> tuple[signal.Signals, ...]:
    """Return the signals of these names that this system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


STOP_SIGNALS = _existing("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that ask for an orderly end."""

SAVE_SIGNALS = _existing("SIGUSR1")
"""Signals that ask a training for a checkpoint; training continues."""


def is_ignored(number: int) -> bool:
    """Return whether a signal is ignored, as nohup does for SIGHUP."""
    return signal.getsignal(number) == signal.SIG_IGN

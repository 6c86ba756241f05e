"""Stopping: turns Ctrl-C and SIGTERM into a request to end after the present step."""

import signal
from types import FrameType

from iddm_cli.display import console

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While entered, the first signal asks for a stop; a second one ends the process at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __call__(self) -> bool:
        """Say whether a stop was asked for."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """The exit code of a process ended by that signal: 130 or 143."""
        assert self.signal is not None, "nobody asked to stop"
        return 128 + self.signal

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        for again in SIGNALS:
            signal.signal(again, signal.SIG_DFL)
        console.note("stopping after this step; once more ends at once, without saving")

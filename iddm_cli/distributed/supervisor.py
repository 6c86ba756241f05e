"""The watch over a team of this machine: signals passed on, the first failure told, nobody left."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from iddm_cli.errors import IddmError
from iddm_cli.signals import SAVE_SIGNALS, STOP_SIGNALS, is_ignored

GRACE_SECONDS = 3.0
"""How long the others may take to tell what they have seen, once one process has failed."""

STOPPED = (0, 130, 143, 129)
"""Exit codes of a process that ended as it was asked to."""


@dataclass(frozen=True)
class Failure:
    """Why one process failed; an echo is only the news that another one is gone."""

    rank: int
    seconds: float
    problem: str
    hint: str = ""
    exit_code: int = 1
    echo: bool = False
    trace: str = ""


class TeamError(IddmError):
    """A process of the team failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"process {failure.rank}: {failure.problem}", failure.hint)
        self.exit_code = failure.exit_code
        self.trace = failure.trace


class Watch:
    """Watches over processes until all have ended."""

    def __init__(self, processes: list[BaseProcess], folder: Path, seconds: float) -> None:
        self.processes = processes
        self.folder = folder
        self.seconds = seconds
        self.asked = 0  # the signal that asked for a stop

    def run(self) -> int:
        """Wait for all; return the leader's exit code.

        Raises:
            TeamError: One failed.
        """
        with self._signals_passed_on():
            while self._alive() and not self._failed():
                wait([process.sentinel for process in self._alive()], timeout=1)
            if self._failed():
                self._wait_for(GRACE_SECONDS)
                hung = [i for i, process in enumerate(self.processes) if process.is_alive()]
                self._kill()
                self._raise_first(hung)
        return 128 + self.asked if self.asked else self.processes[0].exitcode or 0

    def _alive(self) -> list[BaseProcess]:
        return [process for process in self.processes if process.is_alive()]

    def _failed(self) -> bool:
        return any(process.exitcode not in (None, *STOPPED) for process in self.processes)

    def _wait_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, until - time.monotonic()))

    def _kill(self) -> None:
        for process in self._alive():
            process.kill()
        for process in self.processes:
            process.join()

    def _raise_first(self, hung: list[int]) -> None:
        """Raise what happened first; the others only noticed that somebody was gone.

        A process that was told to stop before it had begun has ended by that signal.
        """
        told = {failure.rank: failure for failure in self._told()}
        causes = [failure for failure in told.values() if not failure.echo]
        if causes:
            raise TeamError(min(causes, key=lambda failure: failure.seconds))
        if not self.asked:
            raise TeamError(self._cause_of_echoes(told, hung))

    def _cause_of_echoes(self, told: dict[int, Failure], hung: list[int]) -> Failure:
        """Find the process that could not say itself why it failed."""
        for rank, process in enumerate(self.processes):
            if rank not in told and rank not in hung and process.exitcode not in STOPPED:
                return Failure(rank, 0, f"was ended by {_ending(process.exitcode)}")
        if hung:
            problem = f"did not answer the others for {self.seconds:g} seconds (runtime.timeout)"
            return Failure(hung[0], 0, problem)
        return min(told.values(), key=lambda failure: failure.seconds)

    def _told(self) -> Iterator[Failure]:
        for path in self.folder.glob("failure-*.json"):
            with contextlib.suppress(ValueError, TypeError):
                yield Failure(**json.loads(path.read_text()))

    @contextlib.contextmanager
    def _signals_passed_on(self) -> Iterator[None]:
        """Hand requests to stop on, the second time ending all at once, and those to save."""
        before = {
            number: signal.signal(number, self._pass_on)
            for number in STOP_SIGNALS + SAVE_SIGNALS
            if number == signal.SIGINT or not is_ignored(number) or number in SAVE_SIGNALS
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if number not in SAVE_SIGNALS:
            if self.asked:
                self._kill()
                shutil.rmtree(self.folder, ignore_errors=True)  # nobody else gets to it
                os._exit(128 + number)
            self.asked = number
        for process in self._alive():
            if process.pid:
                os.kill(process.pid, number)


def _ending(code: int | None) -> str:
    """Say what ended a process that left no word."""
    if code is None or code >= 0:
        return f"exit code {code}"
    hint = "; perhaps the system ran out of memory" if -code == signal.SIGKILL else ""
    return f"{signal.Signals(-code).name}{hint}"

"""The supervisor of the worker processes on this machine.

It forwards signals to them, ends all where one fails, and raises the first failure.
"""

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
from iddm_cli.machine import memory
from iddm_cli.signals import SAVE_SIGNALS, STOP_SIGNALS, is_ignored

GRACE_SECONDS = 3.0
"""How long the other workers may take to report, once one has failed."""

MEMORY_HINT = (
    "Continue from the last checkpoint with less memory: "
    "iddm resume --set training.micro_batch=auto. Or use fewer --devices, or raise the limit."
)

CRASH_HINT = "The run's log.txt has the traceback."

CLEAN_EXITS = (0, 130, 143, 129)
"""Exit codes of a worker that ended as requested."""


@dataclass(frozen=True)
class Failure:
    """Why a worker failed.

    Attributes:
        rank: Its rank.
        seconds: When it failed, in seconds since the epoch.
        problem: What went wrong.
        hint: What to do.
        exit_code: The exit code for the command.
        is_echo: Whether it only noticed that another worker is gone.
        trace: The traceback.
    """

    rank: int
    seconds: float
    problem: str
    hint: str = ""
    exit_code: int = 1
    is_echo: bool = False
    trace: str = ""


def find_crash_file(folder: Path, rank: int) -> Path:
    """Return the file that gets the traceback of a worker that a native library crashes."""
    return folder / f"crash-{rank}.txt"


class WorkerError(IddmError):
    """A worker process failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"process {failure.rank}: {failure.problem}", failure.hint)
        self.exit_code = failure.exit_code
        self.trace = failure.trace
        if failure.trace:
            self.add_note(failure.trace)  # shown where somebody prints the traceback


class Supervisor:
    """Supervises worker processes until all have ended.

    Args:
        processes: The workers, by rank.
        folder: Where a worker leaves `failure-RANK.json`, and the traceback of a crash.
        seconds: How long one worker may keep the others waiting (runtime.timeout).
    """

    def __init__(self, processes: list[BaseProcess], folder: Path, seconds: float) -> None:
        self.processes = processes
        self.folder = folder
        self.seconds = seconds
        self._stop_signal = 0  # 0: none arrived
        self._oom_kills = memory.count_oom_kills()

    def run(self) -> int:
        """Wait for all workers; return the exit code of rank 0.

        Raises:
            WorkerError: A worker failed.
        """
        with self._forward_signals():
            while self._alive() and not self._any_failed():
                wait([process.sentinel for process in self._alive()], timeout=1)
            if self._any_failed():
                self._join_all(GRACE_SECONDS)
                hung = [i for i, process in enumerate(self.processes) if process.is_alive()]
                self._kill()
                self._raise_first_failure(hung)
        return 128 + self._stop_signal if self._stop_signal else self.processes[0].exitcode or 0

    def _alive(self) -> list[BaseProcess]:
        return [process for process in self.processes if process.is_alive()]

    def _any_failed(self) -> bool:
        return any(process.exitcode not in (None, *CLEAN_EXITS) for process in self.processes)

    def _join_all(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, until - time.monotonic()))

    def _kill(self) -> None:
        for process in self._alive():
            process.kill()
        for process in self.processes:
            process.join()

    def _raise_first_failure(self, hung: list[int]) -> None:
        """Raise the failure that came first; the others only noticed that a worker was gone.

        A worker that was stopped before it began has ended by that signal; this does not count.
        """
        reported = {failure.rank: failure for failure in self._read_failures()}
        causes = [failure for failure in reported.values() if not failure.is_echo]
        if causes:
            raise WorkerError(min(causes, key=lambda failure: failure.seconds))
        if not self._stop_signal:
            raise WorkerError(self._find_silent_cause(reported, hung))

    def _find_silent_cause(self, reported: dict[int, Failure], hung: list[int]) -> Failure:
        """Return the failure of a worker that died or hung without reporting why."""
        for rank, process in enumerate(self.processes):
            if rank not in reported and rank not in hung and process.exitcode not in CLEAN_EXITS:
                return self._make_exit_failure(rank, process.exitcode)
        if hung:
            problem = f"did not answer the others for {self.seconds:g} seconds (runtime.timeout)"
            return Failure(hung[0], 0, problem)
        return min(reported.values(), key=lambda failure: failure.seconds)

    def _make_exit_failure(self, rank: int, code: int | None) -> Failure:
        """Return the failure of a worker that ended by a signal or an exit code."""
        if code is None or code >= 0:
            return Failure(rank, 0, f"was ended by exit code {code}")
        ending = f"was ended by {signal.Signals(-code).name}"
        if -code != signal.SIGKILL:
            path = find_crash_file(self.folder, rank)
            trace = path.read_text(errors="replace") if path.exists() else ""
            return Failure(rank, 0, ending, CRASH_HINT if trace else "", trace=trace)
        is_certain = memory.count_oom_kills() > self._oom_kills
        cause = "the system ran" if is_certain else "perhaps the system ran"
        limit = f"{memory.describe_limit()}, for {len(self.processes)} processes"
        return Failure(rank, 0, f"{ending}; {cause} out of memory ({limit})", MEMORY_HINT)

    def _read_failures(self) -> Iterator[Failure]:
        for path in self.folder.glob("failure-*.json"):
            with contextlib.suppress(ValueError, TypeError):
                yield Failure(**json.loads(path.read_text()))

    @contextlib.contextmanager
    def _forward_signals(self) -> Iterator[None]:
        """Forward signals that ask to stop or save; a second one to stop ends all at once."""
        before = {
            number: signal.signal(number, self._forward)
            for number in STOP_SIGNALS + SAVE_SIGNALS
            if number == signal.SIGINT or not is_ignored(number) or number in SAVE_SIGNALS
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if number not in SAVE_SIGNALS:
            if self._stop_signal:
                self._kill()
                shutil.rmtree(self.folder, ignore_errors=True)  # os._exit skips its cleanup
                os._exit(128 + number)
            self._stop_signal = number
        for process in self._alive():
            if process.pid:
                os.kill(process.pid, number)

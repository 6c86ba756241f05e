"""Launching: where a run's processes come from, and what becomes of them.

On one machine this process spawns one for each device and watches over them: when one fails, all
end, and the first error is the one that is told. Under torchrun or srun the processes are there
already, and this one joins them.
"""

import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch

from iddm_cli.engine.place import Place
from iddm_cli.engine.team import ALONE, Team, first_line, is_lost_contact, join
from iddm_cli.errors import IddmError

Job = TypeVar("Job")
Work = Callable[[Team, torch.device, Job], int]
"""`work(team, device, job)` does one process's part and returns its exit code."""

GRACE_SECONDS = 3.0
"""How long the others may take to tell what they have seen, once one process has failed."""

STOPPED = (0, 130, 143, 129)
"""Exit codes of a process that ended as it was asked to."""

SAVING = [getattr(signal, name) for name in ("SIGUSR1",) if hasattr(signal, name)]
PASSED_ON = [
    *(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)),
    *SAVING,
]

PR_SET_PDEATHSIG = 1


def run_joined(
    place: Place,
    work: Work[Job],
    job: Job,
    devices: list[torch.device],
    seconds: float,
    *,
    sharded: bool = False,
) -> int:
    """Do this process's part in a team that torchrun or srun has started.

    Raises:
        IddmError: The work failed, here or elsewhere.
    """
    team = join(
        "env://",
        rank=place.rank,
        size=place.size,
        neighbours=place.neighbours,
        seconds=seconds,
        restarted=place.restarted,
        sharded=sharded,
    )
    try:
        code = work(team, devices[place.local_rank % len(devices)], job)
        team.leave()
    except Exception as error:
        if isinstance(error, IddmError) or not is_lost_contact(error):
            raise
        raise IddmError(
            f"process {place.rank} of {place.size} lost contact with another: {first_line(error)}",
            "See what the others say; then start all again with: iddm resume",
        ) from error
    return code


def run_here(
    work: Work[Job],
    job: Job,
    devices: list[torch.device],
    seconds: float,
    *,
    sharded: bool = False,
) -> int:
    """Do the work in this process, or in one process for each device.

    Raises:
        IddmError: It failed; where several did, this is the first error.
    """
    if len(devices) == 1:
        return work(ALONE, devices[0], job)
    with tempfile.TemporaryDirectory(prefix="iddm-team-") as folder:
        context = torch.multiprocessing.spawn(  # type: ignore[attr-defined, no-untyped-call]
            _member,
            args=(work, job, devices, seconds, folder, sharded),
            nprocs=len(devices),
            join=False,
        )
        assert context is not None, "it was told not to wait"
        return _Watch(context.processes, Path(folder), seconds).run()


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


def _member(
    rank: int,
    work: Work[Job],
    job: Job,
    devices: list[torch.device],
    seconds: float,
    folder: str,
    sharded: bool,
) -> None:
    """Be one of the processes on this machine; a failure is left behind as a file."""
    _end_with_the_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the training minds it, no traceback
    if all(device.type == "cpu" for device in devices) and sys.platform == "linux":
        # Else gloo asks for the address of the machine's name, which not every machine knows.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        team = join(
            f"file://{folder}/meeting",
            rank=rank,
            size=len(devices),
            neighbours=len(devices),
            seconds=seconds,
            sharded=sharded,
        )
        code = work(team, devices[rank], job)
        team.leave()
    except Exception as error:  # noqa: BLE001 - it is told by the parent
        failure = _describe(rank, error)
        Path(folder, f"failure-{rank}.json").write_text(json.dumps(asdict(failure)))
        code = failure.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a backend whose peers are gone may wait for them in its destructor.
    os._exit(code)


def _describe(rank: int, error: Exception) -> Failure:
    trace = "".join(traceback.format_exception(error))
    facts: dict[str, Any] = {"rank": rank, "seconds": time.time(), "trace": trace}
    if isinstance(error, IddmError):
        echo = error.__cause__ is not None and is_lost_contact(error.__cause__)
        return Failure(
            problem=error.problem, hint=error.hint, exit_code=error.exit_code, echo=echo, **facts
        )
    if is_lost_contact(error):
        problem = f"lost contact with another process: {first_line(error)}"
        return Failure(problem=problem, echo=True, **facts)
    problem = f"{type(error).__name__}: {first_line(error)}"
    return Failure(problem=problem, hint="The run's log.txt has the traceback.", **facts)


def _end_with_the_parent() -> None:
    """Let no process outlive the one that watches over it, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was spawned"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Watch:
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
            for number in PASSED_ON
            if number == signal.SIGINT
            or signal.getsignal(number) != signal.SIG_IGN
            or number in SAVING
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if number not in SAVING:
            if self.asked:
                self._kill()
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

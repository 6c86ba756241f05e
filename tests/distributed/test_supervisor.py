"""The supervisor: signals, and errors of its workers."""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from iddm_cli.distributed.supervisor import Failure, Supervisor, WorkerError
from iddm_cli.errors import IddmError
from iddm_cli.machine import memory


def test_a_second_request_to_stop_leaves_no_folder_behind(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "_exit", sys.exit)
    folder = tmp_path / "meeting"
    folder.mkdir()
    supervisor = Supervisor([], folder, seconds=20)
    supervisor._forward(signal.SIGTERM, None)
    assert folder.exists()
    with pytest.raises(SystemExit) as ended:
        supervisor._forward(signal.SIGTERM, None)
    assert ended.value.code == 128 + signal.SIGTERM
    assert not folder.exists()


def test_errors_are_iddm_errors() -> None:
    assert issubclass(WorkerError, IddmError)


class FakeProcess:
    """A process that has ended."""

    def __init__(self, code: int) -> None:
        self.exitcode = code
        self.sentinel = self.pid = None

    def is_alive(self) -> bool:
        return False

    def join(self, timeout: float | None = None) -> None:
        pass


def supervise(folder: Path, *codes: int, failures: tuple[Failure, ...] = ()) -> int:
    for failure in failures:
        (folder / f"failure-{failure.rank}.json").write_text(json.dumps(asdict(failure)))
    return Supervisor([FakeProcess(code) for code in codes], folder, seconds=20).run()


@pytest.mark.parametrize("codes", [(0, 0), (143, 143), (130, 0)])
def test_the_exit_code_is_that_of_rank_0(tmp_path: Path, codes: tuple[int, ...]) -> None:
    assert supervise(tmp_path, *codes) == codes[0]


def test_the_first_cause_is_raised_and_not_its_echo(tmp_path: Path) -> None:
    failures = (
        Failure(0, 1.0, "lost contact", is_echo=True),
        Failure(1, 3.0, "too late"),
        Failure(2, 2.0, "the cause", "Do that.", exit_code=5),
    )
    with pytest.raises(WorkerError) as failed:
        supervise(tmp_path, 1, 1, 5, failures=failures)
    error = failed.value
    assert (error.problem, error.hint, error.exit_code) == ("process 2: the cause", "Do that.", 5)


def test_a_worker_that_died_silently_is_the_cause_of_the_echoes(tmp_path: Path) -> None:
    echo = Failure(0, 1.0, "lost contact", is_echo=True)
    with pytest.raises(WorkerError, match=r"process 1: was ended by SIGKILL; perhaps .* memory"):
        supervise(tmp_path, 1, -signal.SIGKILL, failures=(echo,))


def test_a_worker_that_the_system_killed_is_told_with_the_limit(
    tmp_path: Path, monkeypatch
) -> None:
    counts = iter([1, 2])
    monkeypatch.setattr(memory, "count_oom_kills", lambda: next(counts))
    bound = memory.MemoryBound(2 * 10**9, 0, memory.GROUP)
    monkeypatch.setattr(memory, "total_memory", lambda _: bound)
    with pytest.raises(WorkerError) as failed:
        supervise(tmp_path, 0, -signal.SIGKILL)
    assert failed.value.problem == (
        "process 1: was ended by SIGKILL; the system ran out of memory "
        "(2.00 GB in the container or job (cgroup), for 2 processes)"
    )
    assert "training.micro_batch=auto" in failed.value.hint
    assert failed.value.exit_code == 1


def test_a_damaged_report_of_a_failure_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "failure-0.json").write_text("{")
    with pytest.raises(WorkerError, match="process 0: was ended by exit code 7"):
        supervise(tmp_path, 7, 0)

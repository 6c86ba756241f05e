"""Launching: where a run's processes come from, and what becomes of them.

On one machine this process spawns one for each device and watches over them: when one fails, all
end, and the first error is the one that is told. Under torchrun or srun the processes are there
already, and this one joins them.
"""

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
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

import torch

from iddm_cli.distributed.environment import Place
from iddm_cli.distributed.group import ALONE, Team
from iddm_cli.distributed.rendezvous import is_lost_contact, join
from iddm_cli.distributed.supervisor import Failure, Watch
from iddm_cli.errors import IddmError, first_line

Job = TypeVar("Job")
Work = Callable[[Team, torch.device, Job], int]
"""`work(team, device, job)` does one process's part and returns its exit code."""


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
        return Watch(context.processes, Path(folder), seconds).run()


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

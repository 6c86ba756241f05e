"""Launch: spawn one process per device on this machine, or join those of torchrun or srun.

On one machine the parent spawns the workers and supervises them: where one fails, all end, and the
first failure is raised.
"""

import ctypes
import faulthandler
import json
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

import torch

from iddm_cli import exits
from iddm_cli.distributed.environment import RankInfo
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.distributed.rendezvous import init_group, is_lost_contact
from iddm_cli.distributed.supervisor import Failure, Supervisor, find_crash_file
from iddm_cli.errors import IddmError, first_line
from iddm_cli.machine.system_limits import explain_error
from iddm_cli.signals import ignore_stop_signals
from iddm_cli.storage.file_locks import has_file_locks

JobT = TypeVar("JobT")
Worker = Callable[[ProcessGroup, torch.device, JobT], int]
"""`worker(group, device, job)` runs one process's part of a job and returns its exit code."""


PR_SET_PDEATHSIG = 1


def run_joined(
    info: RankInfo,
    worker: Worker[JobT],
    job: JobT,
    devices: list[torch.device],
    seconds: float,
    *,
    sharded: bool = False,
) -> int:
    """Run this process's part in a group that torchrun or srun started.

    Args:
        info: This process's rank.
        worker: Runs one process's part of the job.
        job: What to do; the same in every process.
        devices: The devices of this machine, by local rank.
        seconds: How long one process may keep the others waiting.
        sharded: Whether weights are sharded among the processes (FSDP).

    Returns:
        The exit code.

    Raises:
        IddmError: The job failed, here or in another process.
    """
    exits.skip_destructors()
    group = init_group(
        "env://",
        rank=info.rank,
        world_size=info.world_size,
        local_world_size=info.local_world_size,
        seconds=seconds,
        is_restart=info.is_restart,
        sharded=sharded,
    )
    try:
        # A machine that joins a restarted group has restarted nothing itself.
        is_restart = bool(group.all_reduce_max(int(group.is_restart)))
        group = replace(group, is_restart=is_restart)
        code = worker(group, devices[info.local_rank % len(devices)], job)
    except Exception as error:
        if not is_lost_contact(error):
            raise
        raise IddmError(
            f"process {info.rank} of {info.world_size} lost contact with another one: "
            f"{first_line(error)}",
            "Read the messages of the other processes; then restart all with: iddm resume",
        ) from error
    _wait_for_all(group)
    return code


def _wait_for_all(group: ProcessGroup) -> None:
    """Wait until every process has done its part: until then it may need this one.

    This process has succeeded even if others fail or are gone by now. Requests to stop are for
    those that are not done.
    """
    ignore_stop_signals()
    try:
        group.close()
    except Exception as error:
        if not is_lost_contact(error):
            raise


def run_local(
    worker: Worker[JobT],
    job: JobT,
    devices: list[torch.device],
    seconds: float,
    *,
    sharded: bool = False,
) -> int:
    """Run a job in this process, or in one spawned process per device.

    Args:
        worker: Runs one process's part of the job.
        job: What to do; the same in every process.
        devices: The devices to use, one process on each.
        seconds: How long one process may keep the others waiting.
        sharded: Whether weights are sharded among the processes (FSDP).

    Returns:
        The exit code of rank 0.

    Raises:
        IddmError: The job failed; where several processes failed, this is the first failure.
    """
    if len(devices) == 1:
        return worker(SINGLE_PROCESS, devices[0], job)
    with tempfile.TemporaryDirectory(prefix="iddm-workers-") as folder:
        context = torch.multiprocessing.spawn(  # type: ignore[attr-defined, no-untyped-call]
            _run_worker,
            args=(worker, job, devices, seconds, folder, choose_meeting(Path(folder)), sharded),
            nprocs=len(devices),
            join=False,
        )
        assert context is not None, "spawn returns it with join=False"
        return Supervisor(context.processes, Path(folder), seconds).run()


def choose_meeting(folder: Path) -> str:
    """Return how the processes find each other: by a file, or a port where it cannot be locked."""
    if has_file_locks(folder):
        return f"file://{folder}/meeting"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _run_worker(
    rank: int,
    worker: Worker[JobT],
    job: JobT,
    devices: list[torch.device],
    seconds: float,
    folder: str,
    meeting: str,
    sharded: bool,
) -> None:
    """Run in a spawned process; a failure is left behind as a file for the supervisor."""
    exits.skip_destructors()
    _end_with_parent()
    faulthandler.enable(find_crash_file(Path(folder), rank).open("w"))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback before training handles it
    if all(device.type == "cpu" for device in devices) and sys.platform == "linux":
        # Else gloo looks up the machine's own name, which not every machine resolves.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        group = init_group(
            meeting,
            rank=rank,
            world_size=len(devices),
            local_world_size=len(devices),
            seconds=seconds,
            sharded=sharded,
        )
        code = worker(group, devices[rank], job)
        _wait_for_all(group)
    except Exception as error:  # noqa: BLE001 - the supervisor raises it
        failure = _make_failure(rank, error)
        Path(folder, f"failure-{rank}.json").write_text(json.dumps(asdict(failure)))
        code = failure.exit_code
    exits.leave(code)


def _make_failure(rank: int, error: Exception) -> Failure:
    """Return the record of a failure that the supervisor reads."""
    trace = "".join(traceback.format_exception(error))
    facts: dict[str, Any] = {"rank": rank, "seconds": time.time(), "trace": trace}
    if isinstance(error, IddmError):
        is_echo = error.__cause__ is not None and is_lost_contact(error.__cause__)
        return Failure(
            problem=error.problem,
            hint=error.hint,
            exit_code=error.exit_code,
            is_echo=is_echo,
            **facts,
        )
    if is_lost_contact(error):
        problem = f"lost contact with another process: {first_line(error)}"
        return Failure(problem=problem, is_echo=True, **facts)
    if explained := explain_error(error):
        return Failure(problem=explained[0], hint=explained[1], **facts)
    problem = f"{type(error).__name__}: {first_line(error)}"
    return Failure(problem=problem, hint="The run's log.txt has the traceback.", **facts)


def _end_with_parent() -> None:
    """End this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was spawned"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

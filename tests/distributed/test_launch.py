"""Launching: processes that fail, die or hang end all others, and the first error is raised."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from iddm_cli.distributed import launch
from iddm_cli.distributed.environment import read_rank_info
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.distributed.launch import run_joined, run_local
from iddm_cli.distributed.supervisor import WorkerError
from iddm_cli.errors import NonFiniteError

SECONDS = 120.0
CPU = torch.device("cpu")
Job = dict[str, object]


def work(group: ProcessGroup, device: torch.device, job: Job) -> int:
    """Meet the others a few times; at the third meeting one of them does something else."""
    torch.set_num_threads(1)
    Path(str(job["folder"]), f"pid-{group.rank}").write_text(str(os.getpid()))
    for meeting in range(5):
        if meeting == 2 and group.rank == job.get("rank"):
            misbehave(str(job["how"]))
        group.all_reduce_max(meeting)
    return int(job.get("code", 0))


def misbehave(how: str) -> None:
    match how:
        case "raise":
            raise ValueError("a defect\nwith a second line")
        case "refuse":
            raise NonFiniteError("the loss is nan", "Lower the rate.")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(7)


def workers_left(folder: Path) -> list[int]:
    """Return the workers that have not ended."""
    return [pid for path in folder.glob("pid-*") if psutil.pid_exists(pid := int(path.read_text()))]


def start(folder: Path, *, size: int = 2, seconds: float = SECONDS, **job: object) -> int:
    return run_local(work, {"folder": str(folder), **job}, [CPU] * size, seconds)


def test_all_do_their_part_and_the_code_of_rank_0_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(tmp_path, size=3) == 0
    assert len({path.read_text() for path in tmp_path.glob("pid-*")}) == 3
    # Where files cannot be locked, they find each other as well.
    monkeypatch.setattr(launch, "has_file_locks", lambda _: False)
    assert launch.choose_meeting(tmp_path).startswith("tcp://127.0.0.1:")
    assert start(tmp_path, code=143) == 143
    assert workers_left(tmp_path) == []


def test_one_device_needs_no_other_process(tmp_path: Path) -> None:
    assert start(tmp_path, size=1) == 0
    assert (tmp_path / "pid-0").read_text() == str(os.getpid())


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("how", "problem", "code"),
    [
        ("raise", "ValueError: a defect", 1),
        ("refuse", "the loss is nan", 5),
        ("kill", "was ended by SIGKILL", 1),
        ("crash", "was ended by SIGSEGV", 1),
        ("exit", "was ended by exit code 7", 1),
    ],
)
def test_the_first_error_is_raised_with_its_rank(
    tmp_path: Path, rank: int, how: str, problem: str, code: int
) -> None:
    began = time.monotonic()
    with pytest.raises(WorkerError) as failed:
        start(tmp_path, world_size=2, rank=rank, how=how)
    assert failed.value.problem.startswith(f"process {rank}: {problem}")
    assert failed.value.exit_code == code
    assert "\n" not in failed.value.problem
    assert workers_left(tmp_path) == []
    assert time.monotonic() - began < SECONDS, "nobody waited until the time was up"


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("how", ["raise", "crash"])
def test_the_traceback_is_kept_for_the_log(tmp_path: Path, how: str) -> None:
    with pytest.raises(WorkerError) as failed:
        start(tmp_path, rank=1, how=how)
    assert "misbehave" in failed.value.trace
    assert failed.value.hint == "The run's log.txt has the traceback."


@pytest.mark.usefixtures("forked_workers")
def test_a_process_that_hangs_is_named_and_ended(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"process 1: did not answer the others for 3 seconds"):
        start(tmp_path, seconds=3, rank=1, how="hang")
    assert workers_left(tmp_path) == []


def test_two_groups_at_once_do_not_meet_each_other(tmp_path: Path) -> None:
    codes: list[int] = []

    def run(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        # Signals are the main thread's; the watch is the same without them.
        codes.append(start(folder))

    other = threading.Thread(target=lambda: codes.append(start_elsewhere(tmp_path)))
    other.start()
    run("here")
    other.join()
    assert codes == [0, 0]


def start_elsewhere(folder: Path) -> int:
    code = (
        "import sys; from tests.distributed.test_launch import start, Path\n"
        "if __name__ == '__main__': sys.exit(start(Path(sys.argv[1])))"
    )
    script = folder / "elsewhere.py"
    script.write_text(code)
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([sys.executable, script, folder], env=env, check=False).returncode


def finish_joined(folder: Path, how: str) -> int:
    """Do one process's part as torchrun starts it; process 1 is slow in the end, or gone.

    A backend may abort in its destructor. That is rare; here it always happens.
    """
    libc = ctypes.CDLL(None)
    libc.__cxa_atexit(libc.abort, None, None)

    def part(group: ProcessGroup, device: torch.device, job: None) -> int:
        group.all_reduce_max(1)
        if not group.is_restart:  # the agent of process 1 has counted a restart
            return 5
        if group.is_main:
            return 0
        time.sleep(1)
        (folder / "done").touch()
        if how == "gone":
            os._exit(0)
        return 0

    info = read_rank_info()
    assert info is not None
    code = run_joined(info, part, None, [CPU], SECONDS)
    return code if (folder / "done").exists() else 3


@pytest.mark.skipif(sys.platform != "linux", reason="registers a destructor with glibc")
@pytest.mark.parametrize("how", ["slow", "gone"])
def test_joined_processes_succeed_in_any_order_of_their_ends(tmp_path: Path, how: str) -> None:
    """None leaves before all have done their part, and none needs another one afterwards."""
    code = (
        "import sys; from iddm_cli import exits; from tests.distributed.test_launch import *\n"
        "exits.leave(finish_joined(Path(sys.argv[1]), sys.argv[2]))"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    both = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, how], env={**env, "RANK": rank})
        for rank, env["TORCHELASTIC_RESTART_COUNT"] in (("0", "0"), ("1", "1"))
    ]
    assert [process.wait() for process in both] == [0, 0]

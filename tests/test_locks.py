"""Locks: one at a time, gone with their process, and asked for where nobody can tell."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace

import filelock
import pytest

from iddm_cli.errors import RunError
from iddm_cli.runs.locks import LockOwner, RunLock

HOLD = """
import sys, time
from pathlib import Path
from iddm_cli.runs.locks import RunLock
with RunLock(Path(sys.argv[1])).hold():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path) -> RunLock:
    return RunLock(tmp_path)


def written(lock: RunLock, **changes: object) -> LockOwner:
    """Leave a record behind, as of another process."""
    owner = replace(LockOwner.this(), **changes)
    (lock.folder / "lock.json").write_text(json.dumps(asdict(owner)))
    return owner


@contextlib.contextmanager
def neighbour(lock: RunLock):
    """Let another process of this machine hold the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, lock.folder], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def take(lock: RunLock, *, steal: bool = False) -> None:
    with lock.hold(steal=steal):
        assert lock.is_ours()


def test_nothing_but_the_empty_file_stays(lock):
    take(lock)
    assert [path.name for path in lock.folder.iterdir()] == [".lock"]
    assert lock.is_free()


def test_another_process_is_named(lock):
    with neighbour(lock) as process:
        with pytest.raises(RunError, match=f"process {process.pid} on {socket.gethostname()}"):
            take(lock)
        with pytest.raises(RunError, match="is being trained"):
            take(lock, steal=True)
        assert not lock.is_free()


def test_what_a_killed_process_left_is_taken_over(lock):
    with neighbour(lock) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (lock.folder / "lock.json").exists()
        assert lock.is_free()
        take(lock)


def test_after_a_restart_of_the_machine_too(lock):
    written(lock, pid=1, boot="another", started=0.0)
    take(lock)


def test_of_another_machine_it_is_only_taken_by_force(lock):
    written(lock, host="elsewhere", pid=77)
    assert not lock.is_free()
    with pytest.raises(RunError, match="process 77 on elsewhere") as refused:
        take(lock)
    assert "--steal-lock" in refused.value.hint
    take(lock, steal=True)
    assert lock.is_free()


def test_whoever_lost_it_notices_and_leaves_the_record_of_the_thief(lock):
    with lock.hold():
        lock.check()
        written(lock, host="elsewhere", pid=77)
        with pytest.raises(RunError, match="taken over by process 77 on elsewhere"):
            lock.check()
    assert json.loads((lock.folder / "lock.json").read_text())["pid"] == 77


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x", "host": 3}', "null"])
def test_a_record_cut_off_in_the_middle_locks_nobody_out(lock, content):
    (lock.folder / "lock.json").write_text(content)
    take(lock)


class NoFlock(filelock.FileLock):
    def _acquire(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({"pid": os.getppid()}, False),
        ({"pid": os.getppid(), "started": 1.0}, True),
        ({"pid": os.getppid(), "boot": "another"}, True),
        ({"pid": 2**22 + 1}, True),
    ],
    ids=["alive", "its number was given anew", "before a restart", "dead"],
)
def test_where_files_cannot_be_locked_the_process_itself_is_looked_for(
    lock, monkeypatch, changes, free
):
    from iddm_cli.runs import locks

    monkeypatch.setattr(filelock, "FileLock", NoFlock)
    started = {"started": locks._process_start(os.getppid())}
    written(lock, **(started | changes))
    assert lock.is_free() is free

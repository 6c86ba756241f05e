"""Run locks: one owner at a time, released with the process, stolen only on request."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from iddm_cli.errors import RunError
from iddm_cli.runs.locks import LockOwner, RunLock
from iddm_cli.storage.owner import process_start

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


def write_owner(lock: RunLock, **changes: object) -> LockOwner:
    """Write the owner file of another process."""
    owner = replace(LockOwner.current(), **changes)
    (lock.folder / "lock.json").write_text(json.dumps(asdict(owner)))
    return owner


@contextlib.contextmanager
def other_process(lock: RunLock):
    """Hold the lock in another process of this machine."""
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


def test_releasing_leaves_only_the_empty_lock_file(lock):
    take(lock)
    assert [path.name for path in lock.folder.iterdir()] == [".lock"]
    assert lock.is_free()


def test_the_error_names_the_owner(lock):
    with other_process(lock) as process:
        with pytest.raises(RunError, match=f"process {process.pid} on {socket.gethostname()}"):
            take(lock)
        with pytest.raises(RunError, match="is being trained"):
            take(lock, steal=True)
        assert not lock.is_free()


def test_the_error_says_what_holds_the_lock(lock):
    """Another process of this machine that has a lock which excludes nobody, or another machine."""
    parent = {"pid": os.getppid(), "started": process_start(os.getppid())}
    for purpose, said, advice in (
        ("", "is being trained by", "saves a checkpoint"),
        ("tuned", "is being tuned by", "leaves the run as it was"),
        ("distilled", "is being distilled by", "saves a checkpoint"),
        ("painted", "is being trained by", "saves a checkpoint"),
    ):
        write_owner(lock, **parent, purpose=purpose)
        with pytest.raises(RunError, match=said) as refused:
            take(lock)
        assert advice in refused.value.hint
        write_owner(lock, host="elsewhere", pid=77, purpose=purpose)
        with pytest.raises(RunError, match=f"may still be {said.split()[2]} there"):
            take(lock)


def test_only_what_is_no_training_is_recorded(lock):
    """Earlier versions take a file with an unknown field for damaged, and the lock for free."""
    for purpose, recorded in (("trained", None), ("distilled", "distilled"), ("tuned", "tuned")):
        with lock.hold(purpose=purpose):
            owner = json.loads((lock.folder / "lock.json").read_text())
            assert owner.get("purpose") == recorded
            assert lock.is_ours()
            lock.check()


def test_the_lock_of_a_killed_process_is_free(lock):
    with other_process(lock) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (lock.folder / "lock.json").exists()
        assert lock.is_free()
        take(lock)


def test_the_lock_of_a_former_boot_is_free(lock):
    write_owner(lock, pid=1, boot="another", started=0.0)
    take(lock)


def test_a_lock_of_another_machine_must_be_stolen(lock):
    write_owner(lock, host="elsewhere", pid=77)
    assert not lock.is_free()
    with pytest.raises(RunError, match="process 77 on elsewhere") as refused:
        take(lock)
    assert "--steal-lock" in refused.value.hint
    take(lock, steal=True)
    assert lock.is_free()


def test_a_stolen_lock_is_noticed_and_keeps_its_new_owner(lock):
    with lock.hold():
        lock.check()
        write_owner(lock, host="elsewhere", pid=77)
        with pytest.raises(RunError, match="taken over by process 77 on elsewhere"):
            lock.check()
    assert json.loads((lock.folder / "lock.json").read_text())["pid"] == 77


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x", "host": 3}', "null"])
def test_a_damaged_owner_file_locks_nobody_out(lock, content):
    (lock.folder / "lock.json").write_text(content)
    take(lock)


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({"pid": os.getppid()}, False),
        ({"pid": os.getppid(), "started": 1.0}, True),
        ({"pid": os.getppid(), "boot": "another"}, True),
        ({"pid": 2**22 + 1}, True),
    ],
    ids=["alive", "its id was reused", "before a reboot", "dead"],
)
def test_where_every_process_gets_the_file_lock_the_owner_decides(lock, changes, free):
    """Some network file systems accept every lock, and exclude nobody."""
    started = {"started": process_start(os.getppid())}
    write_owner(lock, **(started | changes))
    assert lock.is_free() is free

"""Claims: no two processes hold a lock, one of many gets it, and the dead hold nothing."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iddm_cli.storage import claims
from iddm_cli.storage.claims import ClaimTakenError, hold_claim

RACE = """
import os, sys, time
from pathlib import Path
from iddm_cli.storage.claims import ClaimTakenError, hold_claim

path, rounds = Path(sys.argv[1]), int(sys.argv[2])
shared = path.with_name("shared")
workers = []
for number in range(6):
    if pid := os.fork():
        workers.append(pid)
        continue
    code = 0
    for _ in range(rounds):
        with hold_claim(path, timeout=-1):
            try:
                os.close(os.open(shared, os.O_CREAT | os.O_EXCL))
                time.sleep(0.002)
                shared.unlink()
            except OSError:
                code = 1
    os._exit(code)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers))
"""

ONE = """
import os, sys
from pathlib import Path
from iddm_cli.storage.claims import ClaimTakenError, hold_claim

path, ready = Path(sys.argv[1]), os.pipe()
workers = []
for number in range(8):
    if pid := os.fork():
        workers.append(pid)
        continue
    try:
        with hold_claim(path, timeout=0):
            os.read(ready[0], 1)
        os._exit(0)
    except ClaimTakenError:
        os._exit(1)
losers = 0
while losers < len(workers) - 1:
    os.wait()
    losers += 1
os.write(ready[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def run(script: str, *words: object) -> int:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, words)], timeout=120, check=False
    ).returncode


def put(lock: Path, machine: str, boot: str, pid: int, started: float, content: bytes) -> Path:
    claim = lock.with_name(f"{lock.name}.claim-{machine}-{boot}-{pid}-{started:.2f}-{'0' * 8}")
    claim.write_bytes(content)
    return claim


@pytest.fixture
def lock(tmp_path) -> Path:
    return tmp_path / "lock"


def test_a_claim_excludes_others_and_leaves_nothing(lock):
    with hold_claim(lock, timeout=0):
        with pytest.raises(ClaimTakenError), hold_claim(lock, timeout=0):
            pass
        assert len(list(lock.parent.iterdir())) == 1
    assert list(lock.parent.iterdir()) == []
    with hold_claim(lock, timeout=0):
        pass


def test_no_two_of_several_processes_hold_it_at_once(lock):
    assert run(RACE, lock, 4) == 0


def test_one_of_several_processes_that_try_once_holds_it(lock):
    assert run(ONE, lock) == 0


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, False),
        ({"pid": 2**22 + 1}, True),
        ({"started": 1.0}, True),
        ({"boot": "0" * 8}, True),
    ],
    ids=["alive", "dead", "its number was reused", "before a reboot"],
)
def test_the_claim_of_a_process_that_ended_is_removed(lock, changes, free):
    this, me = claims._Machine.current(), claims.LockOwner.current()
    facts = {"machine": this.name, "boot": this.boot, "pid": me.pid, "started": me.started}
    claim = put(lock, **(facts | changes), content=claims.HELD)
    refused = contextlib.nullcontext() if free else pytest.raises(ClaimTakenError)
    with refused, hold_claim(lock, timeout=0):
        assert not claim.exists()
    assert claim.exists() is not free


def test_a_claim_of_another_machine_counts_while_it_is_refreshed(lock):
    claim = put(lock, "e" * 12, "0" * 8, 7, 1.0, claims.HELD)
    with pytest.raises(ClaimTakenError), hold_claim(lock, timeout=0):
        pass
    old = time.time() - claims.STALE_SECONDS - 5
    os.utime(claim, (old, old))
    with hold_claim(lock, timeout=0):
        assert not claim.exists()


def test_a_claim_of_another_machine_can_be_stolen(lock):
    claim = put(lock, "e" * 12, "0" * 8, 7, 1.0, claims.HELD)
    with hold_claim(lock, timeout=0, steal=True):
        assert not claim.exists()


def test_a_held_claim_is_refreshed(lock, monkeypatch):
    monkeypatch.setattr(claims, "REFRESH_SECONDS", 0.01)
    with hold_claim(lock, timeout=0):
        (claim,) = lock.parent.iterdir()
        os.utime(claim, (0, 0))
        deadline = time.monotonic() + 30
        while claim.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert claim.stat().st_mtime > 0


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError), hold_claim(tmp_path / "missing" / "lock", timeout=0):
        pass
    assert list(tmp_path.iterdir()) == []

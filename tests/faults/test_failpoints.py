"""Each call of a save that can fail, failing; and each that can be the last one, being the last."""

import errno
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.checkpoints.writer import AsyncCheckpointWriter
from iddm_cli.errors import CheckpointError
from tests.faults.disks import (
    Deadly,
    Failing,
    Full,
    Recorder,
    Stuttering,
    Unsynced,
    found,
    litter,
    save,
    tensors,
)

ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]
STATE = {"bits": {"course": 0}, "scaler": {}}
SWEEP = ["remove"]
WRITE = ["make_folder", *["create", "write", "flush"] * 4, "flush_folder", "rename", "flush_folder"]
PRUNE = ["rename", "flush_folder", "remove"]
CALLS = [*SWEEP, *WRITE, *PRUNE]
"""What a save asks of the disk."""
NUMBERS = range(1, len(CALLS) + 1)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> CheckpointFolder:
    """Return a folder with two checkpoints, and the litter of a save that was killed."""
    monkeypatch.setattr(durable, "disk", Unsynced())
    folder = CheckpointFolder(tmp_path / "checkpoints", Retention(2))
    save(folder, 1, 2)
    cut_off = folder.path / f"{durable.PARTIAL_PREFIX}99-step-00000003"
    cut_off.mkdir()
    (cut_off / "model.safetensors").write_bytes(b"half")
    return folder


def check_all_is_well(folder: CheckpointFolder) -> None:
    """Find a checkpoint, and save one more, which sweeps whatever was left."""
    durable.disk = Unsynced()
    assert found(folder) in ((2, 0), (3, 0))
    save(folder, 4)
    assert found(folder) == (4, 0)
    assert len(list(folder.path.iterdir())) == 2


def test_a_save_asks_this_of_the_disk(folder):
    durable.disk = disk = Recorder()
    save(folder, 3)
    assert [call.name for call in disk.calls] == CALLS


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_failure_is_told_and_costs_nothing_older(folder, number, code, for_good):
    durable.disk = disk = Failing(number, code, for_good=for_good)
    unwritten = {*NUMBERS[1:-3]} | ({1} if for_good else set())
    if number in unwritten:
        with pytest.raises(CheckpointError, match=os.strerror(code)) as failed:
            save(folder, 3)
        assert failed.value.exit_code == 4
    else:
        save(folder, 3)
        assert found(folder) == (3, 0)
    assert len(disk.calls) >= number
    check_all_is_well(folder)


@pytest.mark.parametrize("number", [n for n, name in enumerate(CALLS, 1) if "flush" in name])
def test_what_could_not_be_flushed_is_never_flushed_again(folder, number):
    durable.disk = disk = Failing(number, errno.EIO)
    if number < NUMBERS[-3]:
        with pytest.raises(CheckpointError):
            save(folder, 3)
        save(folder, 3)
    else:
        save(folder, 3)
    failed = disk.calls[number - 1]
    later = [call for call in disk.calls[number:] if call.name == "flush"]
    assert not any(call.handle is failed.handle for call in later)
    assert found(folder) == (3, 0)


def test_what_the_disk_takes_only_in_part_is_written_on(folder):
    durable.disk = Stuttering()
    save(folder, 3)
    assert found(folder) == (3, 0)


def end_of(work) -> int:
    """Do some work in a process of its own; return its exit status, negative for a signal."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(99)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    raise TimeoutError


PUBLISHED = CALLS.index("rename") + 1
DEATHS = [
    (number, moment)
    for number in NUMBERS
    for moment in ("before", "amid", "after")
    if moment != "amid" or CALLS[number - 1] in ("write", "remove")
]


@pytest.mark.parametrize(("number", "moment"), DEATHS)
def test_death_at_any_call_costs_nothing(folder, number, moment):
    durable.disk = Deadly(number, moment)
    assert end_of(lambda: save(folder, 3)) == -signal.SIGKILL
    there = number > PUBLISHED or (number, moment) == (PUBLISHED, "after")
    assert found(folder) == ((3, 0) if there else (2, 0))
    check_all_is_well(folder)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_failure_behind_the_training_is_an_event(folder, number):
    code = ERRORS[number % len(ERRORS)]
    durable.disk = Failing(number, code)
    saver = AsyncCheckpointWriter(folder)
    saver.begin(3, tensors(3), STATE)
    (told,) = saver.wait()
    if number in NUMBERS[1:-3]:
        assert isinstance(told, SaveFailed)
        assert os.strerror(code) in told.problem
        assert saver.problem is not None
    else:
        assert told == Saved(3, folder.path / "step-00000003")
    saver.begin(4, tensors(4), STATE)
    assert saver.wait() == [Saved(4, folder.path / "step-00000004")]
    assert (saver.saved, saver.problem) == (4, None)
    saver.close()
    assert found(folder) == (4, 0)
    assert not litter(folder.path)


def size_of(path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())


@pytest.mark.parametrize("trial", range(50))
def test_a_disk_that_is_full_at_any_byte(folder, trial):
    size = size_of(folder.path / "step-00000002")
    durable.disk = Full(random.Random(trial).randrange(size))
    with pytest.raises(CheckpointError, match="No space left on device") as failed:
        save(folder, 3)
    assert "step 3" in failed.value.problem
    assert not litter(folder.path)
    assert found(folder) == (2, 0)
    check_all_is_well(folder)


@pytest.fixture
def small(tmp_path):
    """Yield a file system of 128 KiB, where one may be made."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full(small):
    folder = CheckpointFolder(small / "checkpoints", Retention(2))
    save(folder, 1)
    for pages in range(4):
        filler = small / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(small).free - 4096 * pages))
        with pytest.raises(CheckpointError, match="No space left on device"):
            save(folder, 2)
        assert not litter(folder.path)
        assert found(folder) == (1, 0)
        filler.unlink()
    save(folder, 2)
    assert found(folder) == (2, 0)

"""Locks, where the file system has some, and where it has none."""

import contextlib
import errno
import fcntl
import os

import pytest

from iddm_cli.storage import features
from iddm_cli.storage.file_locks import LockHeldError, hold_lock, hold_or_wait


@pytest.mark.parametrize("code", [None, *sorted(features.NO_LOCK)], ids=str)
def test_a_lock_excludes_others_whatever_the_file_system(tmp_path, monkeypatch, reported, code):
    if code is not None:

        def refuse(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "lock"
    with hold_lock(path, timeout=0), pytest.raises(LockHeldError), hold_lock(path, timeout=0):
        pass
    with hold_lock(path, timeout=0):
        pass
    assert reported() == ([] if code is None else ["lock"])
    assert not list(tmp_path.glob("*claim*"))


def test_an_error_of_the_disk_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
    with pytest.raises(OSError), hold_lock(tmp_path / "lock", timeout=0):
        pass


def test_who_waits_for_a_lock_is_told_so_and_gets_it(tmp_path):
    path, waits = tmp_path / "lock", []
    holder = contextlib.ExitStack()
    holder.enter_context(hold_lock(path, timeout=0))

    def let_go() -> None:
        waits.append(True)
        holder.close()

    with hold_or_wait(path, let_go), pytest.raises(LockHeldError), hold_lock(path, timeout=0):
        pass
    with hold_or_wait(path, let_go):
        pass
    assert waits == [True]

"""Owners: a process is told apart from another one with its number."""

import os
from dataclasses import replace

import pytest

from iddm_cli.storage.owner import LockOwner, is_running, process_start


def test_the_current_process_is_alive_and_itself():
    owner = LockOwner.current()
    assert owner.is_alive()
    assert owner.is_current()


@pytest.mark.parametrize(
    "changes", [{"pid": os.getppid()}, {"started": 1.0}, {"boot": "another"}, {"host": "elsewhere"}]
)
def test_another_process_is_not_the_current_one(changes):
    assert not replace(LockOwner.current(), **changes).is_current()


def test_a_process_is_known_by_its_start_up_to_rounding():
    started = process_start(os.getpid())
    assert is_running(os.getpid(), round(started, 2))
    assert not is_running(os.getpid(), started + 1)
    assert not is_running(2**22 + 1, started)

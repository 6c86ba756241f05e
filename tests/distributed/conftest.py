"""Workers that are forked from a process that has imported PyTorch, which spares each seconds."""

import functools
import multiprocessing
from collections.abc import Iterator
from multiprocessing.forkserver import _forkserver

import pytest
import torch

from tests.threads import one_thread  # noqa: F401

IMPORTED = ["torch._dynamo", "torch.distributed.fsdp", "tests.distributed.test_group"]


@pytest.fixture(scope="module")
def fork_server() -> Iterator[None]:
    """Start the fork server anew with everything that a worker imports; end it with the tests."""
    before = _forkserver._preload_modules
    _forkserver._stop()
    multiprocessing.get_context("forkserver").set_forkserver_preload(IMPORTED)
    yield
    _forkserver._stop()
    _forkserver._preload_modules = before


@pytest.fixture
def forked_workers(fork_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `run_local` fork its workers instead of spawning them; all else is the same."""
    start = functools.partial(torch.multiprocessing.start_processes, start_method="forkserver")
    monkeypatch.setattr(torch.multiprocessing, "spawn", start)

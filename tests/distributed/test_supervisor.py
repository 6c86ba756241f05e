"""The supervisor: signals, and errors of its workers."""

import os
import signal
import sys
from pathlib import Path

import pytest

from iddm_cli.distributed.supervisor import Supervisor, WorkerError
from iddm_cli.errors import IddmError


def test_a_second_request_to_stop_leaves_no_folder_behind(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "_exit", sys.exit)
    folder = tmp_path / "meeting"
    folder.mkdir()
    supervisor = Supervisor([], folder, seconds=20)
    supervisor._forward(signal.SIGTERM, None)
    assert folder.exists()
    with pytest.raises(SystemExit) as ended:
        supervisor._forward(signal.SIGTERM, None)
    assert ended.value.code == 128 + signal.SIGTERM
    assert not folder.exists()


def test_errors_are_iddm_errors() -> None:
    assert issubclass(WorkerError, IddmError)

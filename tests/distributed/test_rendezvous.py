"""Rendezvous: processes that do not come are reported, and a lost process is recognised."""

import time

import pytest
import torch.distributed as dist

from iddm_cli.distributed.rendezvous import advise_meeting, init_group, is_lost_contact
from iddm_cli.errors import IddmError


def test_a_process_that_waits_in_vain_is_an_error_that_names_it(tmp_path):
    began = time.monotonic()
    with pytest.raises(IddmError, match="process 0 of 2 did not find the others") as refused:
        init_group(
            f"file://{tmp_path}/meeting", rank=0, world_size=2, local_world_size=2, seconds=1
        )
    assert "runtime.timeout" in refused.value.hint
    assert time.monotonic() - began < 60
    assert not dist.is_initialized()


@pytest.mark.parametrize(
    ("restarts", "shared", "advised"), [("3", "True", True), ("0", "True", False), ("3", "", False)]
)
def test_machines_that_join_are_told_to_share_no_store(monkeypatch, restarts, shared, advised):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", restarts)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", shared)
    assert ("TORCH_DISABLE_SHARE" in advise_meeting("timed out")) is advised


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (dist.DistNetworkError("x"), True),
        (RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"), True),
        (RuntimeError("NCCL communicator was aborted"), True),
        (RuntimeError("Timed out waiting 5000ms for recv"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("connection"), False),
        (KeyError("store"), False),
    ],
)
def test_only_errors_of_communication_mean_that_another_process_is_gone(error, lost):
    assert is_lost_contact(error) is lost

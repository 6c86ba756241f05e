"""Where a run computes: threads, device, and a batch that all processes can share."""

import contextlib

import pytest
import torch

from iddm_cli.build.compute import ComputeContext, check_divisible, setup_compute
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.errors import UsageError
from iddm_cli.profiles.settings import RuntimeSettings
from tests.build.profiles import tiny_profile

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("sharding", "micro_batch", "batch_size", "said"),
    [
        ("none", None, 5, ""),
        ("none", 2, 5, ""),
        ("none", None, 1, "cannot be divided among 2 processes"),
        ("fsdp", None, 5, ""),
        ("fsdp", 2, 6, ""),
        ("fsdp", 2, 7, ""),
        ("fsdp", 2, 5, "2 micro-batches of up to 2 and others 1"),
    ],
)
def test_a_batch_that_two_cannot_share_is_refused(sharding, micro_batch, batch_size, said) -> None:
    training = {"steps": 1, "batch_size": batch_size, "micro_batch": micro_batch}
    asked = tiny_profile(training=training, runtime={"sharding": sharding})
    check_divisible(asked, 1)
    with pytest.raises(UsageError, match=said) if said else contextlib.nullcontext():
        check_divisible(asked, 2)


def test_threads_are_divided_among_the_processes_of_a_machine():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        setup_compute(RuntimeSettings(), CPU, ProcessGroup(0, 2, local_world_size=2))
        assert torch.get_num_threads() == 2
        setup_compute(RuntimeSettings(threads=3), CPU, ProcessGroup(0, 2, local_world_size=2))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_device_and_the_precision_are_those_of_the_settings():
    runtime = RuntimeSettings(device="cpu", precision="bf16")
    assert setup_compute(runtime) == ComputeContext(CPU, "bf16")

"""Where a run computes: device, precision, threads, and how a batch is divided."""

import math
from dataclasses import dataclass

import torch

from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device as devices
from iddm_cli.errors import UsageError
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import RuntimeSettings


@dataclass(frozen=True)
class ComputeContext:
    """Where a run computes.

    Attributes:
        device: The device.
        precision: Arithmetic of the network in training: fp32, bf16 or fp16.
    """

    device: torch.device
    precision: str


def setup_compute(
    runtime: RuntimeSettings,
    device: torch.device | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> ComputeContext:
    """Set up this process's threads, allocator and device.

    Args:
        runtime: The profile's runtime section.
        device: The device; None: the one that the settings name.
        group: The processes that share this machine.

    Raises:
        UsageError: This machine has no such device.
    """
    devices.setup_process(runtime.threads, group.local_world_size)
    device = device or devices.choose_device(runtime.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        devices.setup_tf32(runtime.tf32)
    return ComputeContext(device, devices.choose_precision(runtime.precision, device))


def check_divisible(profile: Profile, world_size: int) -> None:
    """Check that a batch can be divided among the processes.

    Raises:
        UsageError: Some process would have no images, or would wait for others for ever.
    """
    training = profile.training
    if training.batch_size < world_size:
        raise UsageError(
            f"a batch of {training.batch_size} cannot be divided among {world_size} processes",
            "Set training.batch_size to at least one image per process, or use fewer devices.",
        )
    if profile.runtime.sharding == "none" or not isinstance(training.micro_batch, int):
        return
    smaller = training.batch_size // world_size
    larger = smaller + (training.batch_size % world_size > 0)
    fewest, most = (math.ceil(share / training.micro_batch) for share in (smaller, larger))
    if fewest != most:
        raise UsageError(
            f"runtime.sharding: fsdp computes all micro-batches together, and a batch of "
            f"{training.batch_size} divided among {world_size} processes gives some of them "
            f"{most} micro-batches of up to {training.micro_batch} and others {fewest}",
            f"Make training.batch_size a multiple of {world_size}, or choose another "
            "training.micro_batch.",
        )

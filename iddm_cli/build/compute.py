"""Where a run computes: device, precision, and what processes share."""

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
    """Where a run computes, and in which precision."""

    device: torch.device
    precision: str


def setup_compute(
    runtime: RuntimeSettings,
    device: torch.device | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> ComputeContext:
    """Set up this process for computing, on this device or the one that is asked for.

    Raises:
        UsageError: This machine has no such device.
    """
    devices.prepare(runtime.threads, group.local_world_size)
    device = device or devices.choose_device(runtime.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return ComputeContext(device, devices.choose_precision(runtime.precision, device))


def check_divisible(profile: Profile, processes: int) -> None:
    """Refuse a batch that cannot be shared.

    Raises:
        UsageError: Some process would have nothing to do, or would wait for others for ever.
    """
    training = profile.training
    if training.batch_size < processes:
        raise UsageError(
            f"a batch of {training.batch_size} cannot be shared by {processes} processes",
            "Give training.batch_size at least one picture for each, or use fewer devices.",
        )
    if profile.runtime.sharding == "none" or not isinstance(training.micro_batch, int):
        return
    least = training.batch_size // processes
    shares = (least, least + (training.batch_size % processes > 0))
    fewer, more = (math.ceil(share / training.micro_batch) for share in shares)
    if fewer != more:
        raise UsageError(
            f"runtime.sharding: fsdp computes all parts together, and a batch of "
            f"{training.batch_size} shared by {processes} processes has {more} parts of up to "
            f"{training.micro_batch} for some and {fewer} for others",
            f"Let {processes} divide training.batch_size, or choose another training.micro_batch.",
        )

"""What a training will take: memory, micro-batch, steps."""

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.data import choose_cache
from iddm_cli.build.networks import (
    build_backbone,
    build_denoiser,
    check_room,
    check_size,
    image_shape,
)
from iddm_cli.data.packs.pack import Pack
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device as devices
from iddm_cli.engine.memory import MemoryEstimate, estimate_memory
from iddm_cli.engine.train_step import total_steps
from iddm_cli.profiles.profile import Profile

MEMORY_SHARE = 0.8
"""Of the free memory, how much training.micro_batch: auto takes."""


def largest_micro_batch(
    profile: Profile, pack: Pack, place: ComputeContext, group: ProcessGroup = SINGLE_PROCESS
) -> int:
    """Return how many pictures this process can compute at once, by an estimate."""
    found = estimate(profile, pack, place)
    room = MEMORY_SHARE * devices.free_memory(place.device) / group.local_world_size
    most = int((room - found.total + found.activations) / (found.activations / found.micro_batch))
    size = len(group.slots(profile.training.batch_size))
    while size > max(1, most):
        size = (size + 1) // 2
    return size


def estimate(profile: Profile, pack: Pack, place: ComputeContext) -> MemoryEstimate:
    """Estimate the memory that training this profile takes on its device.

    With training.micro_batch: auto, as if the whole batch were computed at once.
    """
    training = profile.training
    asked = training.micro_batch
    cache = choose_cache(profile.data, pack, place.device)
    on_device = cache == "device" or (cache == "memory" and place.device.type == "cpu")
    return estimate_memory(
        build_denoiser(profile, len(pack.classes)),
        shape=image_shape(profile.data),
        micro_batch=asked if isinstance(asked, int) else training.batch_size,
        precision=place.precision,
        data=pack.pixels_bytes if on_device else 0,
        on_cpu=place.device.type == "cpu",
    )


def plan_steps(profile: Profile, count: int) -> int:
    """Return how many updates this profile makes on so many pictures."""
    return total_steps(profile.training, count)


def check_trainable(profile: Profile, pack: Pack, device: torch.device) -> None:
    """Refuse what a device can never train, before anything is computed or written.

    Raises:
        UsageError: The network is too large for it.
        DatasetError: The pictures are wanted in a memory that has no room for them.
    """
    check_size(profile, len(pack.classes))
    with torch.device("meta"):
        check_room(build_backbone(profile, len(pack.classes)), device)
    choose_cache(profile.data, pack, device)

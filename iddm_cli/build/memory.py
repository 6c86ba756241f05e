"""What a training takes on its device: memory, and the largest micro-batch that fits."""

import math

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.data import choose_cache
from iddm_cli.build.latents.discriminator_setup import (
    build_adversarial_objective,
    check_discriminator,
)
from iddm_cli.build.loss_evaluation import check_best_metric, check_held_out
from iddm_cli.build.networks import (
    build_backbone,
    build_denoiser,
    check_fits_device,
    check_size,
    presume_kernels,
)
from iddm_cli.data.packs.pack import Pack
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device as devices
from iddm_cli.engine.memory import MemoryEstimate, MicroBatch, estimate_memory
from iddm_cli.machine.memory import free_memory, used_memory
from iddm_cli.networks.kernels import KERNELS, use_kernels
from iddm_cli.networks.skeleton import shapes_only
from iddm_cli.profiles.profile import ResolvedProfile

MEMORY_SHARE = 0.8
"""Share of the free memory that training.micro_batch: auto uses."""

SYSTEM_SHARE = 0.95
"""Share of a machine's memory that a training can have: the system needs some."""


def check_trainable(profile: ResolvedProfile, pack: Pack, device: torch.device) -> None:
    """Check that a device can train a profile, before anything is computed or written.

    Raises:
        UsageError: The network is too large for it, or the training too short for its settings.
        DatasetError: data.cache names a memory that has no room for the images, or the settings
            need held-out images.
    """
    check_size(profile, len(pack.classes))
    with shapes_only():
        network = build_backbone(profile, len(pack.classes))
    check_fits_device(network, device, profile.model)
    choose_cache(profile.data, pack, device)
    check_held_out(profile, pack)
    check_best_metric(profile, pack)
    check_discriminator(profile, pack)


def choose_micro_batch(
    profile: ResolvedProfile,
    pack: Pack,
    compute: ComputeContext,
    group: ProcessGroup = SINGLE_PROCESS,
) -> MicroBatch:
    """Return how many images this process computes at once.

    With training.micro_batch: auto, as many as fit the memory: on the CPU by an estimate, elsewhere
    the whole share until a probe of the device says otherwise. A resumed run keeps what its
    checkpoint holds, so that its bits do not depend on what else is running.
    """
    requested = profile.training.micro_batch
    share = len(group.slots(profile.training.batch_size))
    if requested != "auto" or compute.device.type != "cpu":
        return MicroBatch(requested, share)
    memory = estimate_run_memory(profile, pack, compute, group)
    room = MEMORY_SHARE * devices.free_memory(compute.device) / group.local_world_size
    room += min(memory.program, used_memory())  # this part of the estimate is in use already
    size, fitting = share, count_fitting(memory, room)
    while size > max(1, fitting):
        size = (size + 1) // 2
    whole = SYSTEM_SHARE * devices.all_memory(compute.device) / group.local_world_size
    return MicroBatch(requested, share, chosen=size, most=count_fitting(memory, whole))


def count_fitting(memory: MemoryEstimate, room: float) -> int:
    """Return how many images at once fit so many bytes, by an estimate; 0 if not even one does."""
    return max(0, int((room - memory.total + memory.activations) / memory.per_image))


def divide_evenly(share: int, most: int) -> int:
    """Return the size of the fewest micro-batches of at most `most` images, as even as possible."""
    return math.ceil(share / math.ceil(share / most))


def describe_shortage(
    profile: ResolvedProfile,
    pack: Pack,
    compute: ComputeContext,
    group: ProcessGroup = SINGLE_PROCESS,
    *,
    memory: MemoryEstimate | None = None,
) -> str:
    """Return a warning where training takes more of the main memory than is free; "" elsewhere.

    A GPU reports that its memory is full, and the micro-batch is halved. The system kills a process
    instead, without a word.

    Args:
        profile: The profile.
        pack: The dataset.
        compute: The compute context.
        group: The processes that train together.
        memory: The estimate, where it is known already; None computes it.
    """
    if compute.device.type != "cpu" or profile.training.micro_batch == "auto":
        return ""
    memory = memory or estimate_run_memory(profile, pack, compute, group)
    bound = free_memory()
    count, loaded = group.local_world_size, min(memory.program, used_memory())
    needed = count * (memory.total - loaded)
    if needed <= bound.free:
        return ""
    most = count_fitting(memory, bound.free / count + loaded)
    advice = "not even one image at once fits"
    if profile.training.recompute == "none":
        advice += ", but training.recompute=blocks takes less"
    if most:
        size = divide_evenly(memory.micro_batch, min(most, memory.micro_batch))
        advice = f"set training.micro_batch to auto, or training.micro_batch={size}"
    return (
        f"training takes about {needed / 1e9:.2f} GB more memory, and {bound.free / 1e9:.2f} GB "
        f"are free in {bound.source}: the system may kill it; {advice}"
    )


def estimate_run_memory(
    profile: ResolvedProfile,
    pack: Pack,
    compute: ComputeContext,
    group: ProcessGroup = SINGLE_PROCESS,
) -> MemoryEstimate:
    """Estimate the memory that this process takes on its device to train a profile.

    With training.micro_batch: auto, as if its share of the batch were computed at once.
    """
    training = profile.training
    size = len(group.slots(training.batch_size))
    if isinstance(training.micro_batch, int):
        size = min(size, training.micro_batch)
    cache = choose_cache(profile.data, pack, compute.device)
    on_cpu = compute.device.type == "cpu"
    on_device = cache == "device" or (cache == "memory" and on_cpu)
    num_classes = len(pack.classes)
    denoiser = build_denoiser(profile, num_classes)
    with_teacher = profile.distillation.needs_guided_teacher(num_classes)
    use_kernels(denoiser.backbone, KERNELS[presume_kernels(profile, compute)])
    return estimate_memory(
        denoiser,
        shape=profile.input_shape,
        micro_batch=size,
        precision=compute.precision,
        data=pack.pixels_bytes if on_device else 0,
        on_cpu=on_cpu,
        recompute=training.recompute == "blocks",
        with_teacher=with_teacher,
        adversarial=build_adversarial_objective(profile, torch.device("cpu"), compute.precision),
    )

"""Networks and denoisers as a profile describes them, no larger than the machine."""

import math

import torch
from torch import nn

from iddm_cli.checkpoints.tensors import TensorSpecs, specs_of
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.engine import device as devices
from iddm_cli.engine import randomness
from iddm_cli.engine.memory import FLOAT_BYTES, training_bytes
from iddm_cli.errors import UsageError
from iddm_cli.machine.memory import MACHINE, total_memory
from iddm_cli.networks import NETWORKS
from iddm_cli.networks.skeleton import shapes_only
from iddm_cli.profiles.profile import ResolvedProfile


def build_denoiser(profile: ResolvedProfile, num_classes: int) -> Denoiser:
    """Build an untrained denoiser on the CPU; its weights are a function of the seed.

    Raises:
        UsageError: The machine has not enough memory for it.
    """
    check_size(profile, num_classes)
    randomness.seed_library(profile.training.seed, "weights", step=0)
    backbone = build_backbone(profile, num_classes)
    schedule = build_schedule(profile.diffusion.schedule, profile.diffusion.timesteps)
    return Denoiser(
        # Convolutions are faster with the channels innermost, on CPUs and GPUs alike.
        backbone.to(memory_format=torch.channels_last),
        schedule,
        prediction=profile.diffusion.prediction,
        loss_weight=profile.diffusion.loss_weight,
    )


def build_backbone(profile: ResolvedProfile, num_classes: int) -> nn.Module:
    """Build the network that a profile describes."""
    settings = profile.model.model_dump(exclude={"network"})
    channels = profile.data.channels
    return NETWORKS[profile.model.network](channels=channels, num_classes=num_classes, **settings)


def check_size(profile: ResolvedProfile, num_classes: int) -> TensorSpecs:
    """Check that this machine can hold a network, without allocating it.

    Returns:
        The specs of its tensors.

    Raises:
        UsageError: The machine has not enough memory.
    """
    try:
        with shapes_only():
            network = build_backbone(profile, num_classes)
        needed = float(FLOAT_BYTES * sum(p.numel() for p in network.parameters()))
    except RuntimeError:  # more numbers than a tensor can count
        needed = math.inf
    check_bytes(needed, torch.device("cpu"))
    return specs_of(network.state_dict())


def check_fits_device(network: nn.Module, device: torch.device) -> None:
    """Check that a device can train a network.

    Raises:
        UsageError: Its weights, gradients, EMA and moments alone exceed the device's memory.
    """
    check_bytes(training_bytes(sum(p.numel() for p in network.parameters())), device)


def check_bytes(needed: float, device: torch.device) -> None:
    """Check that the memory of a device can hold a network.

    Raises:
        UsageError: It takes more bytes than there are.
    """
    available = devices.all_memory(device)
    if needed > available:
        place = "this device has"
        if device.type == "cpu" and (limit := total_memory()).source != MACHINE:
            place = f"{limit.source} has"
        raise UsageError(
            f"the network is too large: it takes {needed / 1e9:.4g} GB, and {place} "
            f"{available / 1e9:.4g} GB",
            "Choose smaller model.base_channels, model.channel_multipliers or "
            "model.blocks_per_level.",
        )

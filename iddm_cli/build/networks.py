"""Networks and denoisers, as a profile describes them, no larger than the machine."""

import math

import torch
from torch import nn

from iddm_cli.checkpoints.tensors import Kinds, kinds_of
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.engine import device as devices
from iddm_cli.engine import randomness
from iddm_cli.errors import UsageError
from iddm_cli.networks import NETWORKS
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import DataSettings

STATE_BYTES = 5 * 4
"""Bytes for each parameter: weight, gradient, average and two means, see MemoryEstimate."""


def picture_shape(data: DataSettings) -> tuple[int, int, int]:
    """Return channels, height and width of a picture."""
    assert data.channels != "auto", "the pack has decided, see learnt_from"
    return data.channels, *data.size


def make_denoiser(profile: Profile, num_classes: int) -> Denoiser:
    """Make an untrained denoiser on the CPU, its weights a function of the seed."""
    check_size(profile, num_classes)
    randomness.seed_library(profile.training.seed, "weights", step=0)
    backbone = make_backbone(profile, num_classes)
    schedule = build_schedule(profile.diffusion.schedule, profile.diffusion.timesteps)
    return Denoiser(
        # Convolutions are faster with the channels innermost, on CPUs and GPUs alike.
        backbone.to(memory_format=torch.channels_last),
        schedule,
        prediction=profile.diffusion.prediction,
        loss_weight=profile.diffusion.loss_weight,
    )


def make_backbone(profile: Profile, num_classes: int) -> nn.Module:
    """Make the network that a profile asks for."""
    settings = profile.model.model_dump(exclude={"network"})
    channels = picture_shape(profile.data)[0]
    return NETWORKS[profile.model.network](channels=channels, num_classes=num_classes, **settings)


def check_size(profile: Profile, num_classes: int) -> Kinds:
    """Refuse a network that this machine cannot even hold, before it tries.

    Returns:
        Its tensors, of which none is made.

    Raises:
        UsageError: There is not so much memory.
    """
    try:
        with torch.device("meta"):
            network = make_backbone(profile, num_classes)
        needed = float(4 * sum(p.numel() for p in network.parameters()))
    except RuntimeError:  # more numbers than a tensor can count
        needed = math.inf
    there = devices.all_memory(torch.device("cpu"))
    if needed > there:
        raise too_large(needed, there)
    return kinds_of(network.state_dict())


def check_room(network: nn.Module, device: torch.device) -> None:
    """Refuse a network that this device can never train.

    Raises:
        UsageError: Its weights, gradients, averages and means alone are too large.
    """
    needed = STATE_BYTES * sum(p.numel() for p in network.parameters())
    there = devices.all_memory(device)
    if needed > there:
        raise too_large(needed, there)


def too_large(needed: float, there: int) -> UsageError:
    """Say that a network takes more bytes than there are."""
    return UsageError(
        f"the network is too large: it takes {needed / 1e9:.4g} GB, and this device has "
        f"{there / 1e9:.4g} GB",
        "Choose smaller model.base_channels, model.channel_multipliers or model.blocks_per_level.",
    )

"""Networks and denoisers as a profile describes them, no larger than the machine."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from iddm_cli.build.compute import ComputeContext
from iddm_cli.checkpoints.tensors import TensorSpecs, specs_of
from iddm_cli.data.loader.augmentation_parameters import count_conditions
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_profile_schedule
from iddm_cli.diffusion.objectives.reconstruction import Reconstructor
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import device as devices
from iddm_cli.engine import randomness
from iddm_cli.engine.kernel_choice import USUAL, choose_kernels
from iddm_cli.engine.memory import FLOAT_BYTES, training_bytes
from iddm_cli.errors import UsageError
from iddm_cli.machine.memory import MACHINE, total_memory
from iddm_cli.networks import NETWORKS
from iddm_cli.networks.kernels import KERNELS
from iddm_cli.networks.skeleton import shapes_only
from iddm_cli.profiles.choices import list_names
from iddm_cli.profiles.model_settings import BackboneSettings
from iddm_cli.profiles.profile import ResolvedProfile


def build_denoiser(profile: ResolvedProfile, num_classes: int) -> Denoiser:
    """Build an untrained denoiser on the CPU; its weights are a function of the seed.

    An autoencoder comes as a `Reconstructor`.

    Raises:
        UsageError: The machine has not enough memory for it.
    """
    check_size(profile, num_classes)
    randomness.seed_library(profile.training.seed, "weights", step=0)
    backbone = build_backbone(profile, num_classes)
    kind = Reconstructor if profile.model.is_autoencoder else Denoiser
    return kind(
        # Convolutions are faster with the channels innermost, on CPUs and GPUs alike.
        backbone.to(memory_format=torch.channels_last),
        build_profile_schedule(profile.diffusion),
        prediction=profile.diffusion.prediction,
        loss_weight=profile.diffusion.loss_weight,
        loss=profile.diffusion.loss,
        condition_channels=profile.condition_channels,
    )


def build_backbone(profile: ResolvedProfile, num_classes: int) -> nn.Module:
    """Build the network that a profile describes."""
    data = profile.data
    return NETWORKS[profile.model.network](
        channels=data.diffused_shape[0],
        num_classes=num_classes,
        augmentation=count_conditions(data.channels) if data.augment_probability else 0,
        condition_channels=profile.condition_channels,
        **profile.model.network_arguments,
    )


def decide_kernels(
    profile: ResolvedProfile,
    denoiser: Denoiser,
    compute: ComputeContext,
    numerics: Mapping[str, object],
    group: ProcessGroup = SINGLE_PROCESS,
) -> str:
    """Return the name of the kernels to train with. Collective: every process must call it.

    Those of the profile; else those of the run's checkpoint, where it was computed in the same way,
    so that a resume gives the same bits; else on a CPU the fastest, and on a GPU the reference.

    Args:
        profile: The profile.
        denoiser: The denoiser, on its device.
        compute: The compute context.
        numerics: The numerics of the newest checkpoint; empty without one.
        group: The processes that train together.
    """
    if profile.runtime.kernels != "auto":
        return profile.runtime.kernels
    now = devices.numerics(compute.device, compute.precision)
    name = str(numerics.get("kernels"))
    if not all(numerics.get(key) == now[key] for key in ("device", "precision")):
        name = ""
    if name not in KERNELS:
        name = "reference"
        if compute.device.type == "cpu" and group.is_main:
            name = choose_kernels(denoiser, profile.input_shape, compute.precision)
    return group.broadcast(name)


def presume_kernels(profile: ResolvedProfile, compute: ComputeContext) -> str:
    """Return the name of the kernels that training most probably uses, without measuring any."""
    if profile.runtime.kernels != "auto":
        return profile.runtime.kernels
    return USUAL if compute.device.type == "cpu" else "reference"


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
    check_bytes(needed, torch.device("cpu"), profile.model)
    return specs_of(network.state_dict())


def check_fits_device(network: nn.Module, device: torch.device, settings: BackboneSettings) -> None:
    """Check that a device can train a network.

    Raises:
        UsageError: Its weights, gradients, EMA and moments alone exceed the device's memory.
    """
    check_bytes(training_bytes(sum(p.numel() for p in network.parameters())), device, settings)


def check_bytes(needed: float, device: torch.device, settings: BackboneSettings) -> None:
    """Check that the memory of a device can hold a network.

    Raises:
        UsageError: It takes more bytes than there are.
    """
    available = devices.all_memory(device)
    if needed > available:
        place = "this device has"
        if device.type == "cpu" and (limit := total_memory()).source != MACHINE:
            place = f"{limit.source} has"
        keys = settings.size_keys or ("network",)
        raise UsageError(
            f"the network is too large: it takes {needed / 1e9:.4g} GB, and {place} "
            f"{available / 1e9:.4g} GB",
            f"Choose a smaller {list_names(f'model.{key}' for key in keys)}.",
        )

"""The adversarial loss that the profile of an autoencoder describes."""

import torch

from iddm_cli.data.packs.pack import Pack
from iddm_cli.diffusion.objectives.adversarial import AdversarialObjective
from iddm_cli.engine import randomness
from iddm_cli.errors import UsageError
from iddm_cli.networks.autoencoding.discriminator import PatchDiscriminator
from iddm_cli.profiles.model_settings import AutoencoderSettings
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.profiles.training_length import count_steps


def find_adversarial_settings(profile: ResolvedProfile) -> AutoencoderSettings | None:
    """Return the settings of an autoencoder with an adversarial loss; None for all else."""
    model = profile.model
    if isinstance(model, AutoencoderSettings) and model.discriminator_weight > 0:
        return model
    return None


def build_adversarial_objective(
    profile: ResolvedProfile, device: torch.device, precision: str
) -> AdversarialObjective | None:
    """Build the objective of an autoencoder with an adversarial loss; None for all else.

    Its discriminator is untrained; its weights are a function of the seed.

    Args:
        profile: The profile.
        device: The device that it is trained on.
        precision: fp32, bf16 or fp16.
    """
    settings = find_adversarial_settings(profile)
    if settings is None:
        return None
    randomness.seed_library(profile.training.seed, "discriminator", step=0)
    discriminator = PatchDiscriminator(
        profile.data.channels,
        base_channels=settings.discriminator_channels,
        layers=settings.discriminator_layers,
    )
    return AdversarialObjective(
        discriminator.to(device).to(memory_format=torch.channels_last),
        weight=settings.discriminator_weight,
        start=settings.discriminator_start,
        in_fp32=precision == "fp16",
    )


def check_discriminator(profile: ResolvedProfile, pack: Pack) -> None:
    """Check that a training is long enough for its adversarial loss.

    Raises:
        UsageError: The loss would never begin.
    """
    settings = find_adversarial_settings(profile)
    steps = count_steps(profile.training, pack.count)
    if settings is not None and settings.discriminator_start >= steps:
        raise UsageError(
            f"the adversarial loss would begin after step {settings.discriminator_start:,}, and "
            f"training has {steps:,}",
            "Set a smaller model.discriminator_start, or model.discriminator_weight=0.",
        )

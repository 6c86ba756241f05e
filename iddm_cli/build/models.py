"""Trained models: a denoiser or an image generator with the weights of a checkpoint."""

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.networks import build_denoiser
from iddm_cli.checkpoints.checkpoint import PART_OF_WEIGHTS
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.value_range import EIGHT_BIT, ValueRange


def load_denoiser(
    profile: ResolvedProfile,
    num_classes: int,
    source: WeightsSource,
    weights: str,
    device: torch.device,
) -> Denoiser:
    """Build a denoiser, and load its weights.

    Args:
        profile: The profile that it was trained with.
        num_classes: Number of classes.
        source: The checkpoint or exported file.
        weights: `average` (EMA) or `raw` (as the optimizer left them).
        device: Where it will compute.

    Raises:
        CheckpointError: The source is damaged, or belongs to another network.
    """
    denoiser = build_denoiser(profile, num_classes).requires_grad_(False).eval()
    targets = denoiser.backbone.state_dict()
    for name, tensor in source.read(PART_OF_WEIGHTS[weights], targets).items():
        targets[name].copy_(tensor)
    return denoiser.to(device)


def build_image_generator(
    profile: ResolvedProfile,
    classes: tuple[str, ...],
    source: WeightsSource,
    compute: ComputeContext,
    values: ValueRange = EIGHT_BIT,
) -> ImageGenerator:
    """Build the image generator of a trained model.

    Args:
        profile: The profile, with the sampling section to use.
        classes: Class names by label.
        source: The weights.
        compute: The compute context.
        values: The range of values that it was trained on.

    Raises:
        CheckpointError: The source is damaged, or belongs to another network.
    """
    sampling = profile.sampling
    denoiser = load_denoiser(profile, len(classes), source, sampling.weights, compute.device)
    return ImageGenerator(
        denoiser,
        sampling,
        num_classes=len(classes),
        shape=profile.data.shape,
        levels=values.levels,
    )

"""Trained models: loaded to draw, to be served and exported; or made of foreign files."""

from typing import Protocol

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.networks import build_denoiser, image_shape
from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.image_generator import Generator
from iddm_cli.profiles.profile import Profile


class Saved(Protocol):
    """Weights on the disk: a checkpoint, or an exported file."""

    @property
    def step(self) -> int:
        """Updates done when they were saved."""
        ...

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read model or average, which must fit the tensors in `like`."""
        ...


def load_denoiser(
    profile: Profile, num_classes: int, saved: Saved, weights: str, device: torch.device
) -> Denoiser:
    """Make a denoiser and fill it from a checkpoint: its `average` or `raw` weights.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    denoiser = build_denoiser(profile, num_classes).requires_grad_(False).eval()
    part = {"average": "average", "raw": "model"}[weights]
    targets = denoiser.backbone.state_dict()
    for name, tensor in saved.read(part, targets).items():
        targets[name].copy_(tensor)
    return denoiser.to(device)


def build_image_generator(
    profile: Profile, classes: tuple[str, ...], saved: Saved, place: ComputeContext
) -> Generator:
    """Make the generator of a trained run.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    sampling = profile.sampling
    denoiser = load_denoiser(profile, len(classes), saved, sampling.weights, place.device)
    return Generator(denoiser, sampling, num_classes=len(classes), shape=image_shape(profile.data))

"""Trained models for the server."""

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.models import load_denoiser
from iddm_cli.build.networks import image_shape
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.profiles.profile import Profile
from iddm_cli.serving.scheduling.batch_invariant import ON_CPU, ON_GPU, Exact
from iddm_cli.serving.scheduling.served_model import ServedModel


def load_served(
    name: str,
    profile: Profile,
    classes: tuple[str, ...],
    saved: WeightsSource,
    place: ComputeContext,
    *,
    reference: str,
) -> ServedModel:
    """Load a trained model for the server; on the CPU each thread computes pictures of its own.

    Args:
        name: The run's name.
        profile: Its profile, its sampling section as it is to be used.
        classes: Names of its classes.
        saved: Its weights.
        place: Where it computes.
        reference: What `iddm generate` calls it.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    sampling, shape = profile.sampling, image_shape(profile.data)
    denoiser = load_denoiser(profile, len(classes), saved, sampling.weights, place.device)
    on_cpu = place.device.type == "cpu"
    return ServedModel(
        name=name,
        reference=reference,
        trained=saved.step,
        classes=classes,
        shape=shape,
        sampling=sampling,
        denoiser=denoiser,
        exact=Exact(
            denoiser,
            shape,
            blocks=ON_CPU if on_cpu else ON_GPU,
            lanes=torch.get_num_threads() if on_cpu else 1,
        ),
    )

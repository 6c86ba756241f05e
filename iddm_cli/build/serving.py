"""Trained models for the server."""

import torch

from iddm_cli.build.compute import Place
from iddm_cli.build.models import Saved, load_denoiser
from iddm_cli.build.networks import picture_shape
from iddm_cli.profiles.profile import Profile
from iddm_cli.serving.scheduling.batch_invariant import (
    CPU_BLOCKS,
    GPU_BLOCKS,
    BatchInvariantDenoiser,
)
from iddm_cli.serving.scheduling.served_model import ServedModel


def load_served(
    name: str,
    profile: Profile,
    classes: tuple[str, ...],
    saved: Saved,
    place: Place,
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
    sampling, shape = profile.sampling, picture_shape(profile.data)
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
        exact=BatchInvariantDenoiser(
            denoiser,
            shape,
            blocks=CPU_BLOCKS if on_cpu else GPU_BLOCKS,
            num_threads=torch.get_num_threads() if on_cpu else 1,
        ),
    )

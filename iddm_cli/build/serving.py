"""Build served models: profile and weights → `ServedModel`."""

import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.models import load_denoiser
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.serving.scheduling.batch_invariant import (
    CPU_BLOCKS,
    GPU_BLOCKS,
    BatchInvariantDenoiser,
)
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.value_range import EIGHT_BIT, ValueRange


def build_served_model(
    name: str,
    profile: ResolvedProfile,
    classes: tuple[str, ...],
    saved: WeightsSource,
    place: ComputeContext,
    *,
    reference: str,
    values: ValueRange = EIGHT_BIT,
) -> ServedModel:
    """Load a trained model for the server; on the CPU each thread computes a block of its own.

    Args:
        name: The run's name.
        profile: The run's profile, with the sampling settings to use.
        classes: Class names by label.
        saved: The weights.
        place: The compute context.
        reference: The RUN argument of `iddm generate` for this model.
        values: The range of values that it was trained on.

    Raises:
        CheckpointError: The checkpoint is damaged, or belongs to another network.
    """
    sampling, shape = profile.sampling, profile.data.shape
    denoiser = load_denoiser(profile, len(classes), saved, sampling.weights, place.device)
    on_cpu = place.device.type == "cpu"
    return ServedModel(
        name=name,
        reference=reference,
        trained_steps=saved.step,
        classes=classes,
        shape=shape,
        sampling=sampling,
        denoiser=denoiser,
        batch_denoiser=BatchInvariantDenoiser(
            denoiser,
            shape,
            blocks=CPU_BLOCKS if on_cpu else GPU_BLOCKS,
            num_threads=torch.get_num_threads() if on_cpu else 1,
        ),
        values=values,
    )

"""The noise schedule of a diffusers scheduler: its numbers, and which of ours has the same."""

import math
from typing import Any

import torch
from torch import Tensor

from iddm_cli.checkpoints.tensors import truncate
from iddm_cli.diffusion.schedules import SCHEDULES
from iddm_cli.errors import CheckpointError
from iddm_cli.export.diffusers import PREDICTIONS

MOST_TIMESTEPS = 100_000
TOLERANCE = 1e-4
"""Largest difference in alpha-bar by which two schedules are still the same."""

SCHEDULERS = (
    "DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler",
    "PNDMScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler", "DEISMultistepScheduler", "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler",
)  # fmt: skip
"""Those for models that have learnt the noising process of DDPM, in as many discrete times."""


def tables_of(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the diffusion and sampling sections for a scheduler's configuration.

    Raises:
        CheckpointError: There is a key in it that no profile can say.
    """
    kind = config.get("_class_name", "DDPMScheduler")
    if kind not in SCHEDULERS:
        raise CheckpointError(f"its scheduler is a {truncate(kind)}, which is not supported")
    predictions = {theirs: ours for ours, theirs in PREDICTIONS.items()}
    predicted = config.get("prediction_type", "epsilon")
    if not isinstance(predicted, str) or predicted not in predictions:
        raise CheckpointError(f"scheduler: prediction_type {truncate(predicted)!r} is unknown")
    for key, wanted in (("rescale_betas_zero_snr", False), ("clip_sample_range", 1.0)):
        if config.get(key, wanted) != wanted:
            raise CheckpointError(f"scheduler: {key} must be {wanted}, not {truncate(config[key])}")
    alpha_bar = torch.cumprod(1 - betas_of(config), dim=0)
    return {
        "diffusion": {
            "timesteps": len(alpha_bar),
            "schedule": name_of(alpha_bar, str(config.get("beta_schedule", "linear"))),
            "prediction": predictions[predicted],
        },
        "sampling": {"clip": bool(config.get("clip_sample", True))},
    }


def betas_of(config: dict[str, Any]) -> Tensor:
    """Return the variance that each step adds, [T], float64, by diffusers' own rules.

    Raises:
        CheckpointError: A key has no meaning.
    """
    given = config.get("trained_betas")
    try:
        if given is not None:
            betas = torch.tensor([float(beta) for beta in given], dtype=torch.float64)
        else:
            count = int(config.get("num_train_timesteps", 1000))
            if not 2 <= count <= MOST_TIMESTEPS:
                raise ValueError
            start, end = (float(config.get(f"beta_{k}", v)) for k, v in ENDS.items())
            betas = _named(str(config.get("beta_schedule", "linear")), start, end, count)
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError("scheduler: its betas are no numbers that can be") from error
    if not 2 <= len(betas) <= MOST_TIMESTEPS or not bool(((betas > 0) & (betas < 1)).all()):
        raise CheckpointError("scheduler: its betas must lie between 0 and 1")
    return betas


ENDS = {"start": 1e-4, "end": 0.02}


def _named(name: str, start: float, end: float, count: int) -> Tensor:
    if name == "linear":
        return torch.linspace(start, end, count, dtype=torch.float64)
    if name == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    if name == "squaredcos_cap_v2":
        time = torch.arange(count + 1, dtype=torch.float64) / count
        alpha_bar = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    raise CheckpointError(
        f"scheduler: beta_schedule {truncate(name)!r} is none of those that iddm has: linear, "
        "scaled_linear, squaredcos_cap_v2"
    )


def name_of(alpha_bar: Tensor, theirs: str) -> str:
    """Return the name of our schedule with these numbers.

    Raises:
        CheckpointError: None has them.
    """
    distances = {
        name: float((torch.cumprod(1 - make(len(alpha_bar)), 0) - alpha_bar).abs().max())
        for name, make in SCHEDULES.items()
    }
    nearest = min(distances, key=distances.__getitem__)
    if distances[nearest] > TOLERANCE:
        raise CheckpointError(
            f"scheduler: beta_schedule {truncate(theirs)!r} with these ends or numbers is none of "
            f"those that iddm has; {nearest} comes nearest, and is {distances[nearest]:.2g} away"
        )
    return nearest

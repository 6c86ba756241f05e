"""Parse a diffusers scheduler: match its betas with one of our noise schedules."""

import math
from typing import Any

import torch
from torch import Tensor

from iddm_cli.checkpoints.tensors import truncate
from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.errors import CheckpointError
from iddm_cli.profiles.choices import PREDICTIONS, SCHEDULES

MAX_TIMESTEPS = 100_000
TOLERANCE = 1e-4
"""Largest difference in alpha-bar between two schedules that count as the same."""

SCHEDULERS = (
    "DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler",
    "PNDMScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler", "DEISMultistepScheduler", "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler",
)  # fmt: skip
"""Schedulers for models trained with the discrete noising process of DDPM."""

DEFAULT_ENDS = {"start": 1e-4, "end": 0.02}
"""Defaults of beta_start and beta_end in diffusers."""


def parse_scheduler(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the diffusion and sampling sections for a scheduler's configuration.

    Raises:
        CheckpointError: A key has a value that no profile can express.
    """
    kind = config.get("_class_name", "DDPMScheduler")
    if kind not in SCHEDULERS:
        raise CheckpointError(f"its scheduler is a {truncate(kind)}, which is not supported")
    predictions = {row.diffusers: name for name, row in PREDICTIONS.items()}
    prediction = config.get("prediction_type", "epsilon")
    if not isinstance(prediction, str) or prediction not in predictions:
        raise CheckpointError(f"scheduler: prediction_type {truncate(prediction)!r} is unknown")
    for key, required in (("rescale_betas_zero_snr", False), ("clip_sample_range", 1.0)):
        if config.get(key, required) != required:
            raise CheckpointError(
                f"scheduler: {key} must be {required}, not {truncate(config[key])}"
            )
    alpha_bar = torch.cumprod(1 - compute_betas(config), dim=0)
    return {
        "diffusion": {
            "timesteps": len(alpha_bar),
            "schedule": match_schedule(alpha_bar, str(config.get("beta_schedule", "linear"))),
            "prediction": predictions[prediction],
        },
        "sampling": {
            "clip": bool(config.get("clip_sample", True) or config.get("thresholding")),
            "threshold": parse_threshold(config),
        },
    }


def parse_threshold(config: dict[str, Any]) -> float:
    """Return the share of dynamic thresholding; 0 where it clips, also because of its limit.

    Raises:
        CheckpointError: A key has an invalid value.
    """
    try:
        if not config.get("thresholding") or float(config.get("sample_max_value", 1.0)) <= 1:
            return 0.0
        share = float(config.get("dynamic_thresholding_ratio", 0.995))
    except (TypeError, ValueError) as error:
        raise CheckpointError("scheduler: its thresholding is not given in numbers") from error
    if not 0 <= share <= 1:
        raise CheckpointError("scheduler: dynamic_thresholding_ratio must lie between 0 and 1")
    return share


def compute_betas(config: dict[str, Any]) -> Tensor:
    """Return beta of each timestep, [T], float64, by the rules of diffusers.

    Raises:
        CheckpointError: A key has an invalid value.
    """
    given = config.get("trained_betas")
    try:
        if given is not None:
            betas = torch.tensor([float(beta) for beta in given], dtype=torch.float64)
        else:
            count = int(config.get("num_train_timesteps", 1000))
            if not 2 <= count <= MAX_TIMESTEPS:
                raise ValueError
            start, end = (float(config.get(f"beta_{k}", v)) for k, v in DEFAULT_ENDS.items())
            betas = _compute_named_betas(
                str(config.get("beta_schedule", "linear")), start, end, count
            )
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError("scheduler: its betas are not valid numbers") from error
    if not 2 <= len(betas) <= MAX_TIMESTEPS or not bool(((betas > 0) & (betas < 1)).all()):
        raise CheckpointError("scheduler: its betas must lie between 0 and 1")
    return betas


def _compute_named_betas(name: str, start: float, end: float, count: int) -> Tensor:
    if name == "linear":
        return torch.linspace(start, end, count, dtype=torch.float64)
    if name == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    if name == "squaredcos_cap_v2":
        time = torch.arange(count + 1, dtype=torch.float64) / count
        alpha_bar = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    raise CheckpointError(
        f"scheduler: beta_schedule {truncate(name)!r} is not supported; iddm supports linear, "
        "scaled_linear and squaredcos_cap_v2"
    )


def match_schedule(alpha_bar: Tensor, theirs: str) -> str:
    """Return the name of our noise schedule with this alpha-bar.

    Args:
        alpha_bar: Cumulative product of 1 - beta, [T].
        theirs: The name of the schedule in diffusers, for the error.

    Raises:
        CheckpointError: No schedule is within TOLERANCE.
    """
    distances = {
        name: float(
            (build_schedule(name, len(alpha_bar)).levels.alpha ** 2 - alpha_bar).abs().max()
        )
        for name, row in SCHEDULES.items()
        if row.diffusers is not None
    }
    nearest = min(distances, key=distances.__getitem__)
    if distances[nearest] > TOLERANCE:
        raise CheckpointError(
            f"scheduler: beta_schedule {truncate(theirs)!r} with these betas matches no noise "
            f"schedule of iddm; the nearest is {nearest}, off by {distances[nearest]:.2g}"
        )
    return nearest

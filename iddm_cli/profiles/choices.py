"""The extension points: samplers, noise schedules and prediction types, one row each.

A row says everything about its choice that is not mathematics; settings, rules, help texts, the
server and every export read it. The mathematics is the object in `iddm_cli/diffusion` whose name
the row gives, as an entry point does: reading a profile or printing help must not import torch.

To add one, write that object, add a row here, and the name to the `Literal` above the table.
tests/profiles/test_choices.py fails where a row is incomplete or its object is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SamplerName = Literal["ddim", "ddpm", "dpmpp-2m", "consistency"]
ScheduleName = Literal["linear", "cosine", "sqrt_linear"]
PredictionName = Literal["epsilon", "v", "x"]
KernelsName = Literal[
    "reference", "contiguous", "contiguous-matmul", "channels-last", "channels-last-matmul"
]
"""The rows of `networks.kernels.KERNELS`."""


@dataclass(frozen=True)
class DiffusersScheduler:
    """The scheduler that `iddm export diffusers` writes for a sampler.

    Attributes:
        class_name: Its class in diffusers.
        pipeline: The pipeline of diffusers that samples with it where there are no classes.
        sampler: The sampler that it implements. A row whose name is another one exports a
            substitute, and the command warns.
        config: Its configuration, apart from the noise schedule and what all schedulers share.
    """

    class_name: str
    pipeline: str
    sampler: str
    config: Mapping[str, object]


DDIM_SCHEDULER = DiffusersScheduler(
    "DDIMScheduler", "DDIMPipeline", sampler="ddim", config={"set_alpha_to_one": True}
)
DDPM_SCHEDULER = DiffusersScheduler(
    "DDPMScheduler", "DDPMPipeline", sampler="ddpm", config={"variance_type": "fixed_small"}
)


@dataclass(frozen=True)
class SamplerRow:
    """A sampler.

    Attributes:
        solver: The function in `diffusion.solvers` that writes its table of coefficients.
        summary: What it is, for help texts.
        usual_steps: Solver steps where none are given, at most one per timestep; None: one per
            timestep.
        diffusers: Its scheduler in diffusers; None where it has none.
        options: The sampling settings that it alone takes, with their defaults. They are passed
            to the solver by name.
        for_distilled: Whether it is meant for networks that were distilled, and no other is.
    """

    solver: str
    summary: str
    usual_steps: int | None
    diffusers: DiffusersScheduler | None
    options: Mapping[str, float] = field(default_factory=dict)
    for_distilled: bool = False


@dataclass(frozen=True)
class ScheduleRow:
    """A noise schedule.

    Attributes:
        build: The function in `diffusion.schedules` that builds it for a number of timesteps.
        summary: What it is, for help texts.
        diffusers: Its `beta_schedule` in diffusers; None where it has none.
    """

    build: str
    summary: str
    diffusers: str | None


@dataclass(frozen=True)
class PredictionRow:
    """A prediction type.

    Attributes:
        prediction: The `Prediction` in `diffusion.predictions`.
        summary: What the network predicts, for help texts.
        diffusers: Its `prediction_type` in diffusers; None where it has none.
    """

    prediction: str
    summary: str
    diffusers: str | None


Row = SamplerRow | ScheduleRow | PredictionRow

SAMPLERS: dict[SamplerName, SamplerRow] = {
    "ddim": SamplerRow(
        solver="ddim",
        summary="deterministic where eta is 0",
        usual_steps=20,
        diffusers=DDIM_SCHEDULER,
        options={"eta": 0.0},
    ),
    "ddpm": SamplerRow(
        solver="ddpm", summary="ancestral", usual_steps=None, diffusers=DDPM_SCHEDULER
    ),
    "dpmpp-2m": SamplerRow(
        solver="dpmpp_2m",
        summary="second-order multistep",
        usual_steps=20,
        diffusers=DDIM_SCHEDULER,
    ),
    "consistency": SamplerRow(
        solver="consistency",
        summary="for distilled runs",
        usual_steps=2,
        diffusers=None,
        for_distilled=True,
    ),
}

SCHEDULES: dict[ScheduleName, ScheduleRow] = {
    "linear": ScheduleRow("linear_schedule", "betas on a line, as in DDPM", "linear"),
    "cosine": ScheduleRow(
        "cosine_schedule", "alpha-bar a squared cosine, as in improved DDPM", "squaredcos_cap_v2"
    ),
    "sqrt_linear": ScheduleRow(
        "sqrt_linear_schedule", "square roots of betas on a line, as in LDM", "scaled_linear"
    ),
}

PREDICTIONS: dict[PredictionName, PredictionRow] = {
    "epsilon": PredictionRow("EPSILON", "the noise", "epsilon"),
    "v": PredictionRow("V", "the velocity of Salimans & Ho 2022", "v_prediction"),
    "x": PredictionRow("X", "the clean image", "sample"),
}

SAMPLER_SPECIFIC: dict[str, float | None] = {
    "steps": None,
    **{key: default for row in SAMPLERS.values() for key, default in row.options.items()},
}
"""Sampling settings that belong to one sampler, and what they are reset to with another one."""


def usual_steps(sampler: SamplerName, timesteps: int) -> int:
    """Return how many solver steps a sampler takes where the user gives no number."""
    return min(SAMPLERS[sampler].usual_steps or timesteps, timesteps)


def list_names(names: Iterable[str]) -> str:
    """Return names as text: a, b or c."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def list_choices(rows: Mapping[Any, Row]) -> str:
    """Return the names of a table with their summaries: a (what it is), b (…) or c (…)."""
    return list_names(f"{name} ({row.summary})" for name, row in rows.items())


def describe_usual_steps() -> str:
    """Return the usual numbers of steps as text: 20 for ddim, all timesteps for ddpm."""
    return ", ".join(
        f"{row.usual_steps or 'all timesteps'} for {name}" for name, row in SAMPLERS.items()
    )

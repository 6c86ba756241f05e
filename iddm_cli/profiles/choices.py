"""The extension points: samplers, time grids, noise schedules and prediction types, one row each.

A row says everything about its choice that is not mathematics; settings, rules, help texts, the
server and every export read it. The mathematics is the object in `iddm_cli/diffusion` whose name
the row gives, as an entry point does: reading a profile or printing help must not import torch.

To add one, write that object, add a row here, and the name to the `Literal` above the table.
tests/profiles/test_choices.py fails where a row is incomplete or its object is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

SamplerName = Literal[
    "ddim",
    "ddpm",
    "euler",
    "heun",
    "dpm2",
    "plms",
    "ipndm",
    "dpmpp-2m",
    "dpmpp-3m",
    "dpmpp-2m-sde",
    "unipc",
    "consistency",
    "tuned",
]
GridName = Literal["trailing", "linspace", "log-snr", "karras"]
ScheduleName = Literal["linear", "cosine", "sqrt_linear", "flow", "edm"]
PredictionName = Literal["epsilon", "v", "x", "flow", "edm"]
TimeDistributionName = Literal["uniform", "logit-normal", "log-normal"]
KernelsName = Literal[
    "reference", "contiguous", "contiguous-matmul", "channels-last", "channels-last-matmul"
]
"""The rows of `networks.kernels.KERNELS`."""


@dataclass(frozen=True)
class DiffusersScheduler:
    """The scheduler that `iddm export diffusers` writes for a sampler.

    Attributes:
        class_name: Its class in diffusers.
        pipeline: The pipeline of diffusers for a model without classes; None: DDIM_SCHEDULER's.
        sampler: The sampler that it implements. A row whose name is another one exports a
            substitute, and the command warns.
        config: Its configuration, apart from the noise schedule and what all schedulers share.
        clipping: What is added to it where estimates are clipped.
        options: Its names of the sampler's options.
    """

    class_name: str
    pipeline: str | None
    sampler: str
    config: Mapping[str, object]
    clipping: Mapping[str, object]
    options: Mapping[str, str] = field(default_factory=dict)


DDIM_SCHEDULER = DiffusersScheduler(
    "DDIMScheduler",
    "DDIMPipeline",
    sampler="ddim",
    config={"set_alpha_to_one": True, "clip_sample": False},
    clipping={"clip_sample": True, "clip_sample_range": 1.0},
)
EULER_SCHEDULER = replace(DDIM_SCHEDULER, sampler="euler")
DDPM_SCHEDULER = DiffusersScheduler(
    "DDPMScheduler",
    "DDPMPipeline",
    sampler="ddpm",
    config={"variance_type": "fixed_small", "clip_sample": False},
    clipping={"clip_sample": True, "clip_sample_range": 1.0},
)
DPMPP_2M_SCHEDULER = DiffusersScheduler(
    "DPMSolverMultistepScheduler",
    "DDPMPipeline",
    sampler="dpmpp-2m",
    config={"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"},
    # Thresholds between 1 and this largest value: that is clipping.
    clipping={"thresholding": True, "sample_max_value": 1.0},
)
DPMPP_3M_SCHEDULER = replace(
    DPMPP_2M_SCHEDULER, sampler="dpmpp-3m", config={**DPMPP_2M_SCHEDULER.config, "solver_order": 3}
)
UNIPC_SCHEDULER = replace(
    DPMPP_2M_SCHEDULER,
    class_name="UniPCMultistepScheduler",
    pipeline=None,  # those of diffusers pass a generator, which it does not take
    sampler="unipc",
    config={"solver_type": "bh2", "predict_x0": True, "final_sigmas_type": "zero"},
    options={"order": "solver_order"},
)
DPMPP_2M_SDE_SCHEDULER = replace(
    DPMPP_2M_SCHEDULER,
    sampler="dpmpp-2m-sde",
    config={**DPMPP_2M_SCHEDULER.config, "algorithm_type": "sde-dpmsolver++"},
)


@dataclass(frozen=True)
class SamplerRow:
    """A sampler.

    Attributes:
        solver: The function that writes its table of coefficients, as module.function of
            `diffusion.solvers`.
        summary: What it is, for help texts.
        usual_steps: Network calls where no number is given, at most one per timestep; None: one
            per timestep.
        diffusers: Its scheduler in diffusers; None where it has none.
        options: The sampling settings that it takes and others do not, with their defaults. They
            are passed to the solver by name.
        ranges: The values that it takes of such a setting, lowest and highest, where other
            samplers take others.
        for_distilled: Whether it is meant for networks that were distilled, and no other is.
        needs_tables: Whether its tables belong to a trained model: the solver takes the model's
            `TunedTables` as `tables`, and a network without them cannot sample with it.
    """

    solver: str
    summary: str
    usual_steps: int | None
    diffusers: DiffusersScheduler | None
    options: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    for_distilled: bool = False
    needs_tables: bool = False


@dataclass(frozen=True)
class GridRow:
    """A time grid.

    Attributes:
        spread: The function in `diffusion.time_grids` that spreads times over a noise schedule.
        summary: What it is, for help texts.
    """

    spread: str
    summary: str


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


@dataclass(frozen=True)
class TimeDistributionRow:
    """A distribution of the times that training looks at.

    Attributes:
        build: The function in `diffusion.time_distributions` that builds it for a noise schedule.
        summary: What it is, for help texts.
        mean: Its mean where none is given; None: it has none.
        deviation: Its standard deviation where none is given.
    """

    build: str
    summary: str
    mean: float | None = None
    deviation: float | None = None


RowOfDiffusers = SamplerRow | ScheduleRow | PredictionRow
"""Rows whose choice diffusers may have as well."""

Row = RowOfDiffusers | GridRow | TimeDistributionRow

SAMPLERS: dict[SamplerName, SamplerRow] = {
    "ddim": SamplerRow(
        solver="ddim.ddim",
        summary="deterministic where eta is 0",
        usual_steps=20,
        diffusers=DDIM_SCHEDULER,
        options={"eta": 0.0},
    ),
    "ddpm": SamplerRow(
        solver="ddim.ddpm", summary="ancestral", usual_steps=None, diffusers=DDPM_SCHEDULER
    ),
    "euler": SamplerRow(
        solver="ddim.euler", summary="ddim without eta", usual_steps=20, diffusers=EULER_SCHEDULER
    ),
    "heun": SamplerRow(
        solver="two_calls.heun",
        summary="second order by two calls a step",
        usual_steps=21,
        diffusers=DDIM_SCHEDULER,
    ),
    "dpm2": SamplerRow(
        solver="two_calls.dpm2",
        summary="heun with the second call midway",
        usual_steps=21,
        diffusers=DDIM_SCHEDULER,
    ),
    "plms": SamplerRow(
        solver="adams.plms",
        summary="PNDM's multistep method",
        usual_steps=20,
        diffusers=DDIM_SCHEDULER,
    ),
    "ipndm": SamplerRow(
        solver="adams.ipndm",
        summary="improved PNDM, for few calls",
        usual_steps=20,
        diffusers=DDIM_SCHEDULER,
        options={"order": 4},
        ranges={"order": (1, 4)},
    ),
    "dpmpp-2m": SamplerRow(
        solver="dpmpp.dpmpp_2m",
        summary="second-order multistep",
        usual_steps=20,
        diffusers=DPMPP_2M_SCHEDULER,
    ),
    "dpmpp-3m": SamplerRow(
        solver="dpmpp.dpmpp_3m",
        summary="third-order multistep",
        usual_steps=20,
        diffusers=DPMPP_3M_SCHEDULER,
    ),
    "dpmpp-2m-sde": SamplerRow(
        solver="dpmpp.dpmpp_2m_sde",
        summary="dpmpp-2m with new noise",
        usual_steps=20,
        diffusers=DPMPP_2M_SDE_SCHEDULER,
    ),
    "unipc": SamplerRow(
        solver="unipc.unipc",
        summary="multistep with a corrector",
        usual_steps=20,
        diffusers=UNIPC_SCHEDULER,
        options={"order": 2},
        ranges={"order": (2, 3)},
    ),
    "consistency": SamplerRow(
        solver="consistency.consistency",
        summary="for distilled runs",
        usual_steps=2,
        diffusers=None,
        for_distilled=True,
    ),
    "tuned": SamplerRow(
        solver="tuned.find_tuned",
        summary="fitted to the network by iddm tune-sampler",
        usual_steps=10,
        diffusers=DDIM_SCHEDULER,
        needs_tables=True,
    ),
}

GRIDS: dict[GridName, GridRow] = {
    "trailing": GridRow("trailing", "even in time"),
    "linspace": GridRow("linspace", "even, down to time 0"),
    "log-snr": GridRow("log_snr", "even in the logarithm of the signal-to-noise ratio"),
    "karras": GridRow("karras", "even in a root of the noise level, as in EDM"),
}

SCHEDULES: dict[ScheduleName, ScheduleRow] = {
    "linear": ScheduleRow("linear_schedule", "betas on a line, as in DDPM", "linear"),
    "cosine": ScheduleRow(
        "cosine_schedule", "alpha-bar a squared cosine, as in improved DDPM", "squaredcos_cap_v2"
    ),
    "sqrt_linear": ScheduleRow(
        "sqrt_linear_schedule", "square roots of betas on a line, as in LDM", "scaled_linear"
    ),
    "flow": ScheduleRow("flow_schedule", "straight lines, as in rectified flow", None),
    "edm": ScheduleRow("edm_schedule", "noise levels from 0.002 to 80, as in EDM", None),
}

PREDICTIONS: dict[PredictionName, PredictionRow] = {
    "epsilon": PredictionRow("EPSILON", "the noise", "epsilon"),
    "v": PredictionRow("V", "the velocity of Salimans & Ho 2022", "v_prediction"),
    "x": PredictionRow("X", "the clean image", "sample"),
    "flow": PredictionRow("FLOW", "the velocity of rectified flow", None),
    "edm": PredictionRow("EDM", "EDM's preconditioned output", None),
}

TIME_DISTRIBUTIONS: dict[TimeDistributionName, TimeDistributionRow] = {
    "uniform": TimeDistributionRow("uniform_times", "all equally often"),
    "logit-normal": TimeDistributionRow(
        "logit_normal_times", "the middle more often, as in Stable Diffusion 3", 0.0, 1.0
    ),
    "log-normal": TimeDistributionRow(
        "log_normal_times", "noise levels as in EDM", mean=-1.2, deviation=1.2
    ),
}

SAMPLER_SPECIFIC: dict[str, float | None] = {"steps": None, "order": None, "eta": 0.0}
"""Sampling settings that belong to some samplers, and what they are reset to with another one; None
stands for the sampler's own default."""

GENERAL_SAMPLERS = tuple(name for name, row in SAMPLERS.items() if not row.needs_tables)
"""The samplers of every network, trained or not."""


def usual_steps(sampler: SamplerName, timesteps: int) -> int:
    """Return how often a sampler calls the network where the user gives no number."""
    return min(SAMPLERS[sampler].usual_steps or timesteps, timesteps)


def list_names(names: Iterable[str]) -> str:
    """Return names as text: a, b or c."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def list_choices(rows: Mapping[Any, Row]) -> str:
    """Return the names of a table with their summaries: a (what it is), b (…) or c (…)."""
    return list_names(f"{name} ({row.summary})" for name, row in rows.items())


def describe_usual_steps() -> str:
    """Return the usual numbers of calls as text: all timesteps for ddpm, 20 for others."""
    names: dict[str, list[str]] = {}
    for name in GENERAL_SAMPLERS:
        row = SAMPLERS[name]
        names.setdefault(str(row.usual_steps or "all timesteps"), []).append(name)
    usual = max(names, key=lambda number: len(names[number]))
    others = [f"{n} for {' and '.join(own)}" for n, own in names.items() if n != usual]
    return ", ".join([*others, "the most there are for tuned", f"{usual} for others"])

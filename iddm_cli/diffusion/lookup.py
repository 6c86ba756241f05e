"""From a name to the mathematics: the objects that the rows of `profiles/choices.py` give."""

from importlib import import_module

from iddm_cli.diffusion import predictions, schedules, time_distributions, time_grids
from iddm_cli.diffusion.predictions import Prediction
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solvers.solver import Solver
from iddm_cli.diffusion.time_distributions import SampleTimes
from iddm_cli.diffusion.time_grids import TimeGrid
from iddm_cli.profiles.choices import (
    GRIDS,
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    TIME_DISTRIBUTIONS,
    GridName,
    PredictionName,
    SamplerName,
    ScheduleName,
    TimeDistributionName,
)
from iddm_cli.profiles.settings import DiffusionSettings, ResolvedDiffusionSettings


def build_schedule(
    name: ScheduleName, timesteps: int, *, shift: float = 1.0, zero_terminal_snr: bool = False
) -> NoiseSchedule:
    """Return a noise schedule.

    Args:
        name: Which.
        timesteps: Its number of entries, T.
        shift: Factor on sigma / alpha.
        zero_terminal_snr: Whether it ends in pure noise, see `schedules.end_in_noise`.
    """
    schedule: NoiseSchedule = getattr(schedules, SCHEDULES[name].build)(timesteps)
    schedule = schedules.shift_noise(schedule, shift)
    return schedules.end_in_noise(schedule) if zero_terminal_snr else schedule


def build_profile_schedule(diffusion: ResolvedDiffusionSettings) -> NoiseSchedule:
    """Return the noise schedule of a profile."""
    return build_schedule(
        diffusion.schedule,
        diffusion.timesteps,
        shift=diffusion.noise_shift,
        zero_terminal_snr=diffusion.zero_terminal_snr,
    )


def find_prediction(name: PredictionName) -> Prediction:
    """Return a prediction type."""
    prediction: Prediction = getattr(predictions, PREDICTIONS[name].prediction)
    return prediction


def find_solver(name: SamplerName) -> Solver:
    """Return the function that writes a sampler's table of coefficients."""
    module, _, function = SAMPLERS[name].solver.partition(".")
    solver: Solver = getattr(import_module(f"iddm_cli.diffusion.solvers.{module}"), function)
    return solver


def build_time_grid(
    name: GridName, schedule: NoiseSchedule, highest: int | None = None
) -> TimeGrid:
    """Return a time grid over a schedule, from a time down; None: from its last entry."""
    return TimeGrid(getattr(time_grids, GRIDS[name].spread), schedule, highest)


def build_profile_time_distribution(
    diffusion: DiffusionSettings, schedule: NoiseSchedule
) -> SampleTimes:
    """Return the time distribution of a profile, over its noise schedule."""
    return build_time_distribution(
        diffusion.time_distribution,
        schedule,
        mean=diffusion.time_mean,
        deviation=diffusion.time_deviation,
    )


def build_time_distribution(
    name: TimeDistributionName,
    schedule: NoiseSchedule,
    *,
    mean: float | None = None,
    deviation: float | None = None,
) -> SampleTimes:
    """Return a distribution of the times of a schedule.

    Args:
        name: Which.
        schedule: The noise schedule.
        mean: Its mean; None: its usual one.
        deviation: Its standard deviation; None: its usual one.
    """
    row = TIME_DISTRIBUTIONS[name]
    sample: SampleTimes = getattr(time_distributions, row.build)(
        schedule,
        mean=row.mean if mean is None else mean,
        deviation=row.deviation if deviation is None else deviation,
    )
    return sample

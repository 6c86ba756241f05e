"""From a name to the mathematics: the objects that the rows of `profiles/choices.py` give."""

from iddm_cli.diffusion import predictions, schedules, solvers
from iddm_cli.diffusion.predictions import Prediction
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solvers import Solver
from iddm_cli.profiles.choices import (
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    PredictionName,
    SamplerName,
    ScheduleName,
)


def build_schedule(name: ScheduleName, timesteps: int) -> NoiseSchedule:
    """Return a noise schedule of so many entries, T."""
    schedule: NoiseSchedule = getattr(schedules, SCHEDULES[name].build)(timesteps)
    return schedule


def find_prediction(name: PredictionName) -> Prediction:
    """Return a prediction type."""
    prediction: Prediction = getattr(predictions, PREDICTIONS[name].prediction)
    return prediction


def find_solver(name: SamplerName) -> Solver:
    """Return the function that writes a sampler's table of coefficients."""
    solver: Solver = getattr(solvers, SAMPLERS[name].solver)
    return solver

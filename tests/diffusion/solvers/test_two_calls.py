"""Heun's method and DPM-Solver-2, compared with diffusers' schedulers."""

import pytest
import torch
from diffusers import EulerDiscreteScheduler, HeunDiscreteScheduler, KDPM2DiscreteScheduler

from iddm_cli.diffusion.lookup import build_schedule, build_time_grid
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solvers.ddim import euler
from iddm_cli.diffusion.solvers.two_calls import dpm2, heun
from tests.diffusion.reference import (
    Network,
    assert_same_trajectory,
    double_precision,
    their_settings,
    visit,
    visit_theirs,
)

CASES = [(euler, EulerDiscreteScheduler), (heun, HeunDiscreteScheduler),
         (dpm2, KDPM2DiscreteScheduler)]  # fmt: skip


def even_levels(timesteps: int = 120) -> torch.Tensor:
    """Return betas whose sigma / alpha is even in its logarithm: means are times of it."""
    squares = torch.logspace(-1, 1.3, timesteps, dtype=torch.float64).square()
    alpha_bar = torch.cat([torch.ones(1).double(), 1 / (1 + squares)])
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).float()


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize(("solver", "scheduler"), CASES)
@pytest.mark.parametrize("steps", [1, 2, 6, 20])
def test_they_take_their_steps(steps, solver, scheduler, prediction, noises):
    betas = even_levels()
    schedule = NoiseSchedule.from_betas(betas)
    network = Network(schedule, prediction)
    settings = their_settings("linear", prediction, None) | {"num_train_timesteps": len(betas)}
    theirs = double_precision(scheduler(**settings, trained_betas=betas.tolist()))
    theirs.set_timesteps(steps)
    table = solver(schedule, build_time_grid("trailing", schedule), len(theirs.timesteps))
    assert table.times == pytest.approx(theirs.timesteps.tolist(), abs=1e-3)
    theirs.timesteps = theirs.timesteps.round()
    wanted = visit_theirs(theirs, network, noises[-1] / schedule.levels.alpha[-1].float())
    assert_same_trajectory(visit(table, network, noises), wanted)


@pytest.mark.parametrize("name", ["linear", "sqrt_linear"])
@pytest.mark.parametrize("solver", [heun, dpm2])
def test_every_call_is_a_row_and_the_last_step_is_one(solver, name):
    schedule = build_schedule(name, 60)
    grid = build_time_grid("trailing", schedule)
    assert solver(schedule, grid, 1).times == [59]
    assert solver(schedule, grid, 2).times == grid(2), "two steps of Euler"
    assert solver(schedule, grid, 3).times[0::2] == grid(2)
    assert solver(schedule, grid, 4).times[0:2] == grid(3)[:2], "the first step is Euler's"
    for calls in (7, 30, 60):
        table = solver(schedule, grid, calls)
        assert len(table) == calls
        assert set(grid(calls // 2 + 1)) <= set(table.times)


@pytest.mark.parametrize("solver", [heun, dpm2])
@pytest.mark.parametrize("calls", range(1, 14))
def test_steps_from_almost_pure_noise_are_of_one_call(calls, solver):
    schedule = build_schedule("cosine", 1000)
    table = solver(schedule, build_time_grid("karras", schedule), calls)
    assert len(table) == calls
    corrected = table.coefficients[:, 2] != 0
    levels = schedule.levels.sigma / schedule.levels.alpha
    starts = torch.tensor([table.times[k - 1] for k in range(1, calls) if corrected[k]] or [0])
    assert (levels[starts] <= 1000).all()


def test_the_second_call_of_dpm2_is_between_the_ends_or_at_the_lower_one():
    schedule = build_schedule("linear", 60)
    times = dpm2(schedule, build_time_grid("karras", schedule), 59).times
    for start, second, end in zip(times[0::2], times[1::2], times[2::2], strict=False):
        assert end <= second < start

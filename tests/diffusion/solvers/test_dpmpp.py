"""DPM-Solver++, compared with diffusers' scheduler."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m, dpmpp_2m_sde, dpmpp_3m
from tests.diffusion.reference import (
    SHARED_PREDICTIONS,
    SHARED_SCHEDULES,
    Network,
    assert_same_trajectory,
    fixed_grid,
    their_settings,
    visit,
    visit_theirs,
)


@pytest.mark.parametrize("prediction", SHARED_PREDICTIONS)
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
@pytest.mark.parametrize("steps", [5, 10, 20])
def test_dpmpp_2m_takes_their_steps(name, prediction, steps, noises):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    # final_sigmas_type="zero" makes the last step return the estimate; theirs makes it of first
    # order then, and lower_order_final has nothing left to do.
    theirs = DPMSolverMultistepScheduler(
        **their_settings(name, prediction, None),
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type="zero",
        lower_order_final=False,
        euler_at_final=True,
    )
    theirs.set_timesteps(steps)
    x_t = noises[-1]
    for t in theirs.timesteps.tolist():
        x_t = theirs.step(network.out(x_t, t), t, x_t).prev_sample
    found = sample(
        network.denoise,
        dpmpp_2m(schedule, fixed_grid(theirs.timesteps.tolist()), steps),
        noise=noises[-1],
        label=torch.zeros(2, dtype=torch.int64),
        noise_at=lambda k: noises[k],
    )
    torch.testing.assert_close(found, x_t, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("prediction", SHARED_PREDICTIONS)
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
@pytest.mark.parametrize("solver", [dpmpp_3m, dpmpp_2m_sde])
@pytest.mark.parametrize("calls", [1, 3, 10, 20])
def test_other_methods_take_their_steps(calls, solver, name, prediction, noises):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    stochastic = solver is dpmpp_2m_sde
    theirs = DPMSolverMultistepScheduler(
        **their_settings(name, prediction, None),
        algorithm_type="sde-dpmsolver++" if stochastic else "dpmsolver++",
        solver_order=2 if stochastic else 3,
        final_sigmas_type="zero",
    )
    theirs.set_timesteps(calls)
    table = solver(schedule, fixed_grid(theirs.timesteps.tolist()), calls)
    assert table.noisy_steps == (set(range(calls - 1)) if stochastic else set())
    wanted = visit_theirs(theirs, network, noises[-1], noises if stochastic else None)
    assert_same_trajectory(visit(table, network, noises), wanted)

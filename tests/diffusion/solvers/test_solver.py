"""All solvers, compared with exact flows of Gaussians."""

import pytest
import torch

from iddm_cli.diffusion.lookup import build_schedule, build_time_grid, find_solver
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solvers.ddim import ddim, ddpm
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m
from iddm_cli.profiles.choices import SAMPLERS, SCHEDULES
from tests.diffusion.reference import (
    MEAN,
    SPREAD,
    edm,
    flow_matching,
    gaussian,
)


def sample_gaussian(
    solver, steps: int, schedule: NoiseSchedule
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(4, 1, 64, 64, generator=generator)
    x = sample(
        gaussian(schedule),
        solver(schedule, build_time_grid("trailing", schedule), steps),
        noise=noise,
        label=torch.zeros(4, dtype=torch.int64),
        noise_at=lambda k: torch.randn(noise.shape, generator=generator),
    )
    return x, noise


@pytest.mark.parametrize("schedule_name", SCHEDULES)
@pytest.mark.parametrize(("name", "steps"), [("ddim", 250), ("ddpm", 1000), ("dpmpp-2m", 50)])
def test_exact_gaussians_come_out_with_their_mean_and_spread(name, steps, schedule_name):
    schedule = build_schedule(schedule_name, 1000)
    x, _ = sample_gaussian(find_solver(name), steps, schedule)
    assert x.mean() == pytest.approx(MEAN, abs=0.02)
    assert x.std() == pytest.approx(SPREAD, rel=0.05)


def test_the_multistep_solver_is_nearer_the_exact_flow_at_ten_steps():
    schedule = build_schedule("cosine", 1000)

    def distance(solver) -> float:
        x, noise = sample_gaussian(solver, 10, schedule)
        # The probability flow maps a Gaussian's quantiles onto its noise's.
        return float((x - (MEAN + SPREAD * noise)).abs().mean())

    assert distance(dpmpp_2m) < 0.5 * distance(ddim)


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_is_the_first_estimate(name):
    schedule = build_schedule("cosine", 1000)
    x, noise = sample_gaussian(find_solver(name), 1, schedule)
    t, label = torch.full((4,), 999), torch.zeros(4)
    torch.testing.assert_close(x, gaussian(schedule)(noise, t, label))


@pytest.mark.parametrize("make", [flow_matching, edm])
@pytest.mark.parametrize(
    ("solver", "steps"), [(ddim, 250), (ddpm, 1000), (dpmpp_2m, 50)], ids=["ddim", "ddpm", "2m"]
)
def test_every_solver_works_where_variance_is_not_preserved(solver, steps, make):
    x, noise = sample_gaussian(solver, steps, make(1000))
    assert x.mean() == pytest.approx(MEAN, abs=0.02)
    assert x.std() == pytest.approx(SPREAD, rel=0.05)
    if solver is not ddpm:
        torch.testing.assert_close(x, MEAN + SPREAD * noise, atol=0.05, rtol=0)

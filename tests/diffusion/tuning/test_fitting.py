"""The fit of coefficients: it finds those that made the trajectory, and stays near known ones."""

import pytest
import torch

from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.diffusion.solver_table import COLUMNS, SolverTable
from iddm_cli.diffusion.solvers.ddim import ddim
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m
from iddm_cli.diffusion.tuning.fine_sampler import (
    fix_times,
    measure_error,
    record_trajectories,
    sample_end,
)
from iddm_cli.diffusion.tuning.fitting import fit_table
from tests.diffusion.tuning.mixture import labels, mixture, noises

SCHEDULE = cosine_schedule(50)
TIMES = [49, 35, 20, 12, 4]
DENOISE = mixture(SCHEDULE)


def known() -> SolverTable:
    return dpmpp_2m(SCHEDULE, fix_times(SCHEDULE, TIMES), len(TIMES))


def multistep_rule() -> SolverTable:
    """A rule of four terms whose steps go where DDIM's do, more or less."""
    base = ddim(SCHEDULE, fix_times(SCHEDULE, TIMES), len(TIMES)).coefficients.clone()
    bends = torch.tensor([0.3, -0.2, 0.1])
    for k in range(1, len(TIMES)):
        for j in range(min(k, 3)):
            base[k, 1] += base[k, 1] * bends[j] * 0.5
            base[k, 2 + j] -= base[k, 1] * bends[j] * 0.4
    return SolverTable(TIMES, base)


def targets_of(table: SolverTable, noise: torch.Tensor) -> list[torch.Tensor]:
    return record_trajectories(DENOISE, table, noise, labels(len(noise))).states[1:]


def test_it_finds_the_rule_that_made_the_trajectory():
    rule, noise = multistep_rule(), noises(40)
    fitted = fit_table(DENOISE, known(), targets_of(rule, noise), noise, labels(40), ridge=0)
    assert torch.allclose(fitted.coefficients, rule.coefficients, atol=1e-3)
    assert fitted.times == TIMES
    assert not fitted.noisy_steps
    assert fitted.keeps is None


def test_a_strong_ridge_leaves_the_known_coefficients():
    noise = noises(40)
    targets = targets_of(multistep_rule(), noise)
    fitted = fit_table(DENOISE, known(), targets, noise, labels(40), ridge=1e9)
    assert torch.allclose(fitted.coefficients, known().coefficients, atol=1e-6)
    free = fit_table(DENOISE, known(), targets, noise, labels(40))
    assert not torch.allclose(free.coefficients, known().coefficients, atol=1e-2)


def test_terms_that_say_the_same_are_no_trouble():
    """An exact denoiser of one Gaussian is a linear map, so x_t and its estimate are collinear."""
    schedule = cosine_schedule(50)

    def denoise(x_t, t, label):
        alpha, sigma = schedule.at(t)
        return alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * x_t

    noise = noises(10)
    targets = record_trajectories(denoise, known(), noise, labels(10)).states[1:]
    for ridge in (0.0, 1e-4):
        fitted = fit_table(denoise, known(), targets, noise, labels(10), ridge=ridge)
        assert fitted.coefficients.abs().max() < 10
        end = sample_end(denoise, fitted, noise, labels(10))
        assert measure_error(end, targets[-1]) < 1e-3


@pytest.mark.parametrize("step", [1, 3])
def test_each_step_starts_where_the_one_before_really_ended(step):
    """A target that cannot be met moves the next step's start, and its coefficients with it."""
    noise = noises(40)
    targets = targets_of(multistep_rule(), noise)
    before = fit_table(DENOISE, known(), targets, noise, labels(40)).coefficients
    targets[step - 1] = targets[step - 1] + 0.3 * torch.sin(9 * targets[step - 1])
    after = fit_table(DENOISE, known(), targets, noise, labels(40)).coefficients
    assert torch.equal(before[: step - 1], after[: step - 1])
    assert not torch.allclose(before[step], after[step], atol=1e-3)
    assert len(COLUMNS) == after.shape[1]

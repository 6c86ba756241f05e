"""The search for a time grid: dynamic programming finds what trying everything finds."""

import itertools
import math

import pytest
import torch

from iddm_cli.diffusion.schedules import CLEAN, cosine_schedule
from iddm_cli.diffusion.solvers.ddim import ddim
from iddm_cli.diffusion.tuning.fine_sampler import (
    Trajectories,
    build_teacher,
    fix_times,
    record_trajectories,
    sample_end,
)
from iddm_cli.diffusion.tuning.grid_search import find_cheapest_path, measure_jumps
from tests.diffusion.tuning.mixture import labels, mixture, noises


def random_costs(states: int, seed: int) -> torch.Tensor:
    costs = torch.rand(states, states, generator=torch.Generator().manual_seed(seed)).double()
    return costs.masked_fill(torch.ones(states, states).tril().bool(), math.inf)


def price(costs: torch.Tensor, path: list[int]) -> float:
    return sum(float(costs[i, j]) for i, j in itertools.pairwise([*path, len(costs) - 1]))


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_path_is_the_cheapest_of_all(steps, seed):
    costs = random_costs(9, seed)
    ways = [[0, *rest] for rest in itertools.combinations(range(1, 8), steps - 1)]
    path = find_cheapest_path(costs, steps)
    assert path == min(ways, key=lambda way: price(costs, way))


def test_a_jump_costs_what_one_step_of_ddim_misses():
    schedule = cosine_schedule(50)
    denoise, noise = mixture(schedule), noises(6)
    teacher = record_trajectories(denoise, build_teacher(schedule, 10), noise, labels(6))
    costs = measure_jumps(schedule, teacher)
    jumped = sample_end(denoise, ddim(schedule, fix_times(schedule, [49]), 1), noise, labels(6))
    assert costs[0, -1].item() == pytest.approx(
        (jumped - teacher.states[-1]).square().mean().item()
    )
    assert costs.isfinite().equal(torch.ones(11, 11).triu(1).bool())


def test_teachers_that_take_euler_steps_are_free_to_follow():
    schedule = cosine_schedule(50)
    table = ddim(schedule, fix_times(schedule, [49, 30, 10, 3]), 4)
    teacher = record_trajectories(mixture(schedule), table, noises(5), labels(5))
    costs = measure_jumps(schedule, teacher)
    assert costs.diagonal(1).max() < 1e-12
    assert find_cheapest_path(costs, 4) == [0, 1, 2, 3]


def test_costs_are_means_over_all_images():
    schedule = cosine_schedule(50)
    whole = record_trajectories(mixture(schedule), build_teacher(schedule, 8), noises(6), labels(6))
    halves = [
        Trajectories(
            whole.times, [s[part] for s in whole.states], [d[part] for d in whole.denoised]
        )
        for part in (slice(3), slice(3, 6))
    ]
    mean = sum(measure_jumps(schedule, half) for half in halves) / 2
    assert torch.allclose(measure_jumps(schedule, whole), mean)
    assert whole.times[0] == 49
    assert schedule.levels_at([CLEAN]).sigma.item() == 0

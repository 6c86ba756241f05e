"""The search for the times of few steps, by dynamic programming over a teacher's trajectories.

The idea of GITS (Chen et al. 2024, arXiv:2405.11326, section 3.3): trajectories of a network have
nearly the same shape for all noises, so a time grid that suits some of them suits all. The cost of
a step from one of the teacher's states to a later one is how far it misses that; the best grid of N
steps is the cheapest path with N edges.
"""

import itertools
import math

import torch
from torch import Tensor

from iddm_cli.diffusion.schedules import CLEAN, NoiseSchedule
from iddm_cli.diffusion.tuning.fine_sampler import Trajectories


def measure_jumps(schedule: NoiseSchedule, teacher: Trajectories) -> Tensor:
    """Return what each jump along the teacher's trajectories costs.

    A jump is one Euler step, which keeps the teacher's estimate at its start (DDIM's step); its
    cost is the mean square of its distance from the teacher's state where it ends.

    Args:
        schedule: The noise schedule.
        teacher: Trajectories of S steps.

    Returns:
        [S + 1, S + 1], float64, on the CPU: from state i to state j; infinite unless i < j.
    """
    alpha, sigma, _ = schedule.levels_at([*teacher.times, CLEAN])
    count = len(alpha)
    costs = torch.full((count, count), math.inf, dtype=torch.float64)
    for i, j in itertools.combinations(range(count), 2):
        c_x = float(sigma[j] / sigma[i])
        c_denoised = float(alpha[j]) - c_x * float(alpha[i])
        end = c_x * teacher.states[i] + c_denoised * teacher.denoised[i]
        costs[i, j] = float((end - teacher.states[j]).square().mean())
    return costs


def find_cheapest_path(costs: Tensor, steps: int) -> list[int]:
    """Return the states where the steps of the cheapest path start, from the first to the last.

    Args:
        costs: Of each jump, see `measure_jumps`, [S + 1, S + 1].
        steps: Number of jumps, in [1, S].

    Returns:
        `steps` indices of states, rising, the first 0; the last jump ends at state S.
    """
    end = len(costs) - 1
    assert 1 <= steps <= end, "there are fewer states"
    to_go = torch.full((end + 1,), math.inf, dtype=torch.float64)
    to_go[end] = 0
    choices: list[Tensor] = []
    for _ in range(steps):
        to_go, choice = (costs + to_go).min(dim=1)
        choices.append(choice)
    path = [0]
    for choice in reversed(choices[1:]):
        path.append(int(choice[path[-1]]))
    return path

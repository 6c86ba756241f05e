"""DPM-Solver++: multistep exponential integrators over estimates of x."""

import torch
from torch import Tensor

from iddm_cli.diffusion.schedules import NoiseLevels, NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.solver import find_ends
from iddm_cli.diffusion.time_grids import TimeGrid

FEW_CALLS = 15
"""Below so many calls, the order falls over the last steps (the authors' code, dpm-solver)."""


def dpmpp_2m(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2), deterministic.

    Extrapolates from the two newest estimates; the first and the last step are of first order
    (the paper's advice for few steps: the last half-log-SNR step is infinitely long).
    """
    times = grid(calls)
    start, end = find_ends(schedule, times)
    h = _measure_steps(start, end)
    extrapolation = _extrapolate(h)
    first_order = -end.alpha * torch.expm1(-h)
    return SolverTable.from_columns(
        times,
        c_x=end.sigma / start.sigma,
        c_denoised=first_order * (1 + extrapolation),
        c_prev=[-first_order * extrapolation],
    )


def dpmpp_2m_sde(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """SDE-DPM-Solver++(2M): the same for the reverse SDE (arXiv:2211.01095, section 5)."""
    times = grid(calls)
    start, end = find_ends(schedule, times)
    h = _measure_steps(start, end)
    extrapolation = _extrapolate(h)
    added = -torch.expm1(-2 * h)
    first_order = end.alpha * added
    return SolverTable.from_columns(
        times,
        c_x=end.sigma / start.sigma * torch.exp(-h),
        c_denoised=first_order * (1 + extrapolation),
        c_prev=[-first_order * extrapolation],
        c_noise=end.sigma * added.sqrt(),
    )


def dpmpp_3m(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """DPM-Solver++(3M), the multistep method of third order (arXiv:2211.01095, section 4.2).

    As in the authors' code, dpm-solver, the first two steps and the last are of lower order, and
    the one before the last where calls are few.
    """
    times = grid(calls)
    start, end = find_ends(schedule, times)
    h = _measure_steps(start, end)
    weights = torch.zeros(calls, 3, dtype=torch.float64)
    for k in range(calls):
        remaining = calls - k
        order = min(3, k + 1, remaining if calls < FEW_CALLS or remaining == 1 else 3)
        weights[k, :order] = end.alpha[k] * _weigh_estimates(h[: k + 1].flip(0), order)
    return SolverTable.from_columns(
        times,
        c_x=end.sigma / start.sigma,
        c_denoised=weights[:, 0],
        c_prev=[weights[:, 1], weights[:, 2]],
    )


def _measure_steps(start: NoiseLevels, end: NoiseLevels) -> Tensor:
    """Return the length of each step in half the log-SNR, [S]; that of the last is infinite."""
    return (end.alpha / end.sigma).log() - (start.alpha / start.sigma).log()


def _extrapolate(h: Tensor) -> Tensor:
    """Return how far each step extrapolates from the two newest estimates to its middle, [S]."""
    extrapolation = torch.zeros_like(h)
    extrapolation[1:-1] = h[1:-1] / h[:-2] / 2
    return extrapolation


def _weigh_estimates(h: Tensor, order: int) -> Tensor:
    """Return the weights of the newest estimates in a step, the newest first, [order].

    Args:
        h: Length of the step and of those before it, the newest first.
        order: In [1, 3].
    """
    phi = -torch.expm1(-h[0])
    weights = torch.zeros(order, dtype=torch.float64)
    weights[0] = phi
    if order == 2:
        weights += phi * h[0] / h[1] / 2 * torch.tensor([1.0, -1.0], dtype=torch.float64)
    if order == 3:
        # Divided differences of three estimates: first and second derivative where the step starts.
        newer = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64) * h[0] / h[1]
        older = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64) * h[0] / h[2]
        second = (newer - older) * h[0] / (h[1] + h[2])
        first = newer + second * h[1] / h[0]
        weights += (1 - phi / h[0]) * first - ((h[0] - phi) / h[0] ** 2 - 0.5) * second
    return weights

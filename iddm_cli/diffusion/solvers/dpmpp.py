"""DPM-Solver++: multistep exponential integrators over estimates of x."""

import torch

from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.solver import find_ends
from iddm_cli.diffusion.time_grids import TimeGrid


def dpmpp_2m(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2), deterministic.

    Extrapolates from the two newest estimates; the first and the last step are of first order
    (the paper's advice for few steps: the last half-log-SNR step is infinitely long).
    """
    times = grid(calls)
    start, end = find_ends(schedule, times)
    h = (end.alpha / end.sigma).log() - (start.alpha / start.sigma).log()
    extrapolation = torch.zeros_like(h)
    extrapolation[1:-1] = h[1:-1] / h[:-2] / 2
    first_order = -end.alpha * torch.expm1(-h)
    return SolverTable.from_columns(
        times,
        c_x=end.sigma / start.sigma,
        c_denoised=first_order * (1 + extrapolation),
        c_prev=[-first_order * extrapolation],
    )

"""Multistep consistency sampling, for networks that were distilled."""

import torch

from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.solver import find_ends
from iddm_cli.diffusion.time_grids import TimeGrid


def consistency(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """Multistep consistency sampling (Song et al. 2023, arXiv:2303.01469, algorithm 1).

    Each call estimates the image, and every call but the last adds new noise to the estimate.
    """
    times = grid(calls)
    _, end = find_ends(schedule, times)
    return SolverTable.from_columns(
        times, c_x=torch.zeros_like(end.alpha), c_denoised=end.alpha, c_noise=end.sigma
    )
